"""A picture classifier from a folder of pictures: training, test, and saved pipeline.

DATA holds training/<label>/<picture> and testing/<label>/<picture>, on any filesystem that Spark
reads. Run it with spark-submit; --py-files takes the package where it isn't installed:

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/train_image_classifier.py --data build/mnist_png --workers 2

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sparkwater.conversions import ImageToTensor, read_image_folder
from sparkwater.conversions.images.idx import write_png_tree
from sparkwater.ml import ImageClassifier, confusion_matrix
from sparkwater.program import run_program

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with training/<label>/ and testing/<label>/")
    parser.add_argument(
        "--from-idx", type=Path, metavar="FOLDER", help="first write the folder DATA from MNIST's four idx files here"
    )
    parser.add_argument("--save", metavar="FOLDER", help="where to save the pipeline; replaced if it exists")
    parser.add_argument("--workers", type=int, default=2, help="ranks, all running at the same time (%(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training pictures (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="of all workers together (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=0.05, help="(%(default)s)")
    parser.add_argument("--network", default="lenet", help="registered name or package.module:factory (%(default)s)")
    parser.add_argument(
        "--image-shape",
        type=int,
        nargs=3,
        default=[28, 28, 1],
        metavar=("HEIGHT", "WIDTH", "CHANNELS"),
        help="what pictures are resized to (28 28 1)",
    )
    parser.add_argument("--collective", default="auto", help="auto, horovod, torch or memory (%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="(%(default)s)")
    parser.add_argument(
        "--handle-invalid", default="error", help="corrupt pictures: error, skip, or keep at scoring (%(default)s)"
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("train_image_classifier", lambda spark: train(spark, arguments))


def train(spark: SparkSession, arguments: argparse.Namespace) -> str:
    from pyspark.ml import Pipeline

    if arguments.from_idx:
        print(f"wrote {write_png_tree(arguments.from_idx, Path(arguments.data)):,} pictures to {arguments.data}")
    training = read_image_folder(spark, f"{arguments.data}/training")
    testing = read_image_folder(spark, f"{arguments.data}/testing")
    decode = ImageToTensor(
        inputCol="content",
        outputCol="features",
        imageShape=arguments.image_shape,
        handleInvalid=arguments.handle_invalid,
    )
    classifier = ImageClassifier(
        network=arguments.network,
        numWorkers=arguments.workers,
        epochs=arguments.epochs,
        batchSize=arguments.batch_size,
        learningRate=arguments.learning_rate,
        collective=arguments.collective,
        device=arguments.device,
        seed=arguments.seed,
        handleInvalid=arguments.handle_invalid,
    )
    model = Pipeline(stages=[decode, classifier]).fit(training)
    summary = model.stages[-1].summary
    seconds = sum(record.seconds for record in summary.records)
    print(
        f"\ntrained on {summary.numRows:,} pictures with {summary.numWorkers} workers ({summary.collective}, "
        f"{summary.device}): {summary.numRows * len(summary.records) / seconds:,.0f} rows/s, "
        f"{seconds:.1f} s for {len(summary.records)} epochs, {summary.totalSeconds:.1f} s in all"
    )
    started = time.perf_counter()
    matrix = confusion_matrix(model.transform(testing), "label", "predictedLabel")
    seconds = time.perf_counter() - started
    print(f"scored {matrix.rows:,} test pictures: {matrix.rows / seconds:,.0f} rows/s, reading and decoding included\n")
    print(matrix, end="\n\n")
    if arguments.save:
        model.write().overwrite().save(arguments.save)
        print(f"saved the pipeline to {arguments.save}")
    return f"test error {100 * matrix.error:.2f} % ({matrix.errors:,} of {matrix.rows:,} pictures)"


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
