"""Predictions of a saved pipeline for a folder of pictures, written as Parquet.

MODEL is a pipeline saved by train_image_classifier.py --save. One row a picture: path, prediction,
predictedLabel, probability. A picture that can't be decoded has nulls, unless --handle-invalid
says otherwise.

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/score_images.py --model build/lenet --images build/mnist_png/testing --output build/scores

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sparkwater.conversions import read_images
from sparkwater.program import run_program

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved pipeline")
    parser.add_argument("--images", required=True, help="folder of pictures; its sub-folders are read too")
    parser.add_argument("--output", required=True, help="folder to write; it must not exist")
    parser.add_argument("--handle-invalid", default="keep", help="corrupt pictures: error, skip or keep (%(default)s)")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("score_images", lambda spark: score(spark, arguments))


def score(spark: SparkSession, arguments: argparse.Namespace) -> str:
    from pyspark.ml import PipelineModel

    images = read_images(spark, arguments.images)
    model = PipelineModel.load(arguments.model)
    for stage in model.stages:
        stage.setHandleInvalid(arguments.handle_invalid)
    scored = model.transform(images)
    kept = [name for name in ("path", "prediction", "predictedLabel", "probability") if name in scored.columns]
    scored.select(kept).write.parquet(arguments.output)
    rows = spark.read.parquet(arguments.output)
    unscored = rows.where("prediction is null").count()
    return f"wrote {rows.count():,} rows to {arguments.output}, {unscored:,} of them without a prediction"


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
