"""A saved model or pipeline as a bundle, which is scored without Spark and torch.

MODEL is the folder of a saved pipeline, or of a saved model of this package. SAMPLE has rows of real input: Parquet,
a CSV file with a header (name.csv), or with --images a folder of pictures. Up to 100 of them are in the bundle.

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/export_bundle.py --model build/lenet --sample build/mnist_png/testing --images --output build/lenet_bundle

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sparkwater import ml, stacking
from sparkwater.bundle import export_bundle
from sparkwater.conversions import read_images
from sparkwater.errors import ConfigurationError
from sparkwater.program import read_table, run_program

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Models of this package that are saved by themselves.
MODELS = (
    ml.AutoEncoderModel,
    ml.DeepFeatures,
    ml.DeepLearningClassifierModel,
    ml.DeepLearningRegressorModel,
    ml.ImageClassifierModel,
    ml.ImageRegressorModel,
    stacking.StackedEnsembleModel,
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved pipeline or model")
    parser.add_argument("--sample", required=True, help="rows of real input; 100 of them go along")
    parser.add_argument("--images", action="store_true", help="SAMPLE is a folder of pictures")
    parser.add_argument("--null", default="", help="how CSV writes a missing value (an empty field)")
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder if it exists")
    parser.add_argument("--licence", help="licence of the model, such as Apache-2.0")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("export_bundle", lambda spark: export(spark, arguments))


def export(spark: SparkSession, arguments: argparse.Namespace) -> str:
    model, sample = load(spark, arguments.model), read(spark, arguments)
    export_bundle(model, arguments.output, sample, overwrite=arguments.overwrite, licence=arguments.licence)
    return f"wrote the bundle {arguments.output}"


def load(spark: SparkSession, path: str) -> Any:
    from pyspark.ml import PipelineModel
    from pyspark.ml.util import DefaultParamsReader

    saved = DefaultParamsReader.loadMetadata(path, spark)["class"]
    if saved.rpartition(".")[2] == "PipelineModel":
        return PipelineModel.load(path)
    for model in MODELS:
        if saved == f"{model.__module__}.{model.__name__}":
            return model.load(path)
    raise ConfigurationError(
        f"{path!r} holds a {saved}; accepted: PipelineModel, {', '.join(m.__name__ for m in MODELS)}"
    )


def read(spark: SparkSession, arguments: argparse.Namespace) -> DataFrame:
    if arguments.images:
        return read_images(spark, arguments.sample)
    return read_table(spark, arguments.sample, arguments.null)


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
