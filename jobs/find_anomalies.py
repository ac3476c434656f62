"""The rows that are unlike the others, by an autoencoder, written as Parquet.

ROWS is Parquet with a column of vectors (ML vectors, arrays of numbers or tensors) or with --columns of a table, or
with --images a folder of pictures. An autoencoder learns to give rows back; those that come back worse than
--threshold, a quantile of the rows that it learned, are anomalies. --score has other rows to score; without it they
are ROWS. One row each: the columns that were there (of pictures the path), reconstructionError, and prediction, 1 for
an anomaly. The largest errors come first.

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/find_anomalies.py --rows build/measured --score build/new --output build/anomalies --threshold 0.99

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sparkwater.conversions import read_images
from sparkwater.ml import AutoEncoder
from sparkwater.program import run_program

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True, help="Parquet, or with --images a folder of pictures, to learn")
    parser.add_argument("--score", help="the same, to score; without it those of --rows")
    parser.add_argument("--output", required=True, help="folder to write; it must not exist")
    parser.add_argument("--threshold", type=float, default=0.99, help="quantile of the learned rows (%(default)s)")
    parser.add_argument("--features-col", default="features", help="column of vectors (%(default)s)")
    parser.add_argument("--columns", nargs="+", help="columns of a table as they are, in place of --features-col")
    parser.add_argument("--images", action="store_true", help="read folders of pictures, not Parquet")
    parser.add_argument(
        "--image-shape",
        type=int,
        nargs=3,
        metavar=("HEIGHT", "WIDTH", "CHANNELS"),
        help="what pictures are resized to, or vectors are read as",
    )
    parser.add_argument(
        "--network", default="autoencoder", help="autoencoder, conv_autoencoder, package.module:factory (%(default)s)"
    )
    parser.add_argument("--hidden", type=int, nargs="+", help="units of each layer of the network autoencoder")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the rows (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="ranks, all running at the same time (%(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="(%(default)s)")
    parser.add_argument("--handle-invalid", default="error", help="rows with nulls or NaN: error, skip (%(default)s)")
    parser.add_argument("--save", metavar="FOLDER", help="where to save the model; replaced if it exists")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("find_anomalies", lambda spark: find(spark, arguments))


def find(spark: SparkSession, arguments: argparse.Namespace) -> str:
    learned = _read(spark, arguments.rows, arguments.images)
    rows = _read(spark, arguments.score, arguments.images) if arguments.score else learned
    shape = {"hidden": arguments.hidden} if arguments.hidden else {}
    model = AutoEncoder(
        featuresCol="content" if arguments.images else arguments.features_col,
        inputCols=arguments.columns,
        imageShape=arguments.image_shape,
        network=arguments.network,
        epochs=arguments.epochs,
        numWorkers=arguments.workers,
        seed=arguments.seed,
        handleInvalid=arguments.handle_invalid,
        anomalyThreshold=arguments.threshold,
        **shape,
    ).fit(learned)
    print(f"\n{model.summary}\n")
    if arguments.save:
        model.write().overwrite().save(arguments.save)
        print(f"saved the model to {arguments.save}")
    scored = model.transform(rows).drop(*["content"] * arguments.images)
    scored.orderBy("reconstructionError", ascending=False).write.parquet(arguments.output)
    written = spark.read.parquet(arguments.output)
    found = written.where("prediction = 1").count()
    return (
        f"wrote {written.count():,} rows to {arguments.output}, {found:,} of them anomalies, with errors above "
        f"{model.threshold:.6g}"
    )


def _read(spark: SparkSession, path: str, images: bool) -> DataFrame:
    return read_images(spark, path) if images else spark.read.parquet(path)


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
