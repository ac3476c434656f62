"""Deep features of pictures, or of the rows of a table, by layers of a saved network, written as Parquet.

MODEL is a pipeline saved by train_image_classifier.py --save, or a saved ImageClassifierModel. One row a picture:
path, and a column for each layer; with --table, the id column and these. A row that can't be used has
nulls, unless --handle-invalid says otherwise. find_similar.py and Spark ML's stages read the result.

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/extract_features.py --model build/lenet --images build/mnist_png/testing --layers fc1 --output build/known
    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/find_similar.py --queries build/known --references build/known --id-col path \\
        --features-col deepFeatures --output build/similar

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sparkwater.conversions import read_images
from sparkwater.errors import ConfigurationError
from sparkwater.ml import ImageClassifierModel
from sparkwater.program import run_program

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def layer(text: str) -> str | int:
    return int(text) if text.lstrip("-").isdigit() else text


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved pipeline or classifier")
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument("--images", help="folder of pictures; its sub-folders are read too")
    rows.add_argument("--table", help="Parquet with the columns that the model reads, and the id column")
    parser.add_argument("--output", required=True, help="folder to write; it must not exist")
    parser.add_argument(
        "--layers",
        type=layer,
        nargs="+",
        default=["penultimate"],
        metavar="LAYER",
        help="names, positions from 0, or penultimate: what the last layer that has weights takes (%(default)s)",
    )
    parser.add_argument(
        "--output-cols", nargs="+", metavar="COLUMN", help="one a layer (deepFeatures; for several, the layers)"
    )
    parser.add_argument("--pooling", default="flatten", help="flatten, average or max (%(default)s)")
    parser.add_argument("--output-type", default="vector", help="vector or tensor (%(default)s)")
    parser.add_argument("--id-col", default="path", help="column that names a row (%(default)s)")
    parser.add_argument("--features-col", help="column that the network reads (the classifier's own)")
    parser.add_argument("--handle-invalid", default="keep", help="unusable rows: error, skip or keep (%(default)s)")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("extract_features", lambda spark: extract(spark, arguments))


def extract(spark: SparkSession, arguments: argparse.Namespace) -> str:
    frame = read_images(spark, arguments.images) if arguments.images else spark.read.parquet(arguments.table)
    before, classifier = load(spark, arguments.model)
    for stage in before:
        if stage.hasParam("handleInvalid"):
            stage.set(stage.getParam("handleInvalid"), arguments.handle_invalid)
        frame = stage.transform(frame)
    several = len(arguments.layers) > 1
    columns = arguments.output_cols or (list(map(str, arguments.layers)) if several else ["deepFeatures"])
    features = classifier.deepFeatures(
        arguments.layers,
        outputCols=columns,
        pooling=arguments.pooling,
        outputType=arguments.output_type,
        handleInvalid=arguments.handle_invalid,
        idCol=arguments.id_col,
    )
    if arguments.features_col:
        features.setFeaturesCol(arguments.features_col)
    extracted = features.transform(frame).select(*(f"`{name}`" for name in (arguments.id_col, *columns)))
    extracted.write.parquet(arguments.output)
    rows = spark.read.parquet(arguments.output)
    without = rows.where(rows[f"`{columns[0]}`"].isNull()).count()
    return f"wrote {rows.count():,} rows to {arguments.output}, {without:,} of them without features"


def load(spark: SparkSession, path: str) -> tuple[list[Any], ImageClassifierModel]:
    """Return the stages before the classifier, and the classifier."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.util import DefaultParamsReader

    if not DefaultParamsReader.loadMetadata(path, spark)["class"].endswith("PipelineModel"):
        return [], ImageClassifierModel.load(path)
    stages = PipelineModel.load(path).stages
    position = next((at for at, stage in enumerate(stages) if isinstance(stage, ImageClassifierModel)), None)
    if position is None:
        raise ConfigurationError(f"the pipeline in {path!r} has no ImageClassifierModel")
    return stages[:position], stages[position]


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
