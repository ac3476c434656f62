"""Effect of gradient compression: the loss by epoch, the error on other rows, and the time.

LeNet learns the shipped digits on two ranks, from the same first weights in the same batches, and is
validated on the digits for testing. torch sums the gradients: Horovod takes no bfloat16. Losses are the same
in every run; seconds are those of one.

    python benchmarks/bench_compression.py [--epochs 4] [--batch-per-rank 64] [--data build/mnist_png]
"""

from __future__ import annotations

import argparse

from pyspark.sql import DataFrame, SparkSession
from sessions import check_digits, start_spark

from sparkwater.conversions import ImageToTensor, read_image_folder
from sparkwater.gpu.training.gradients import COMPRESSIONS
from sparkwater.ml import ImageClassifier

RANKS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-per-rank", type=int, default=64)
    parser.add_argument("--data", default="build/mnist_png", help="folder of training and testing (%(default)s)")
    arguments = parser.parse_args()
    check_digits(arguments.data)
    spark = start_spark()
    rows, others = (digits(spark, f"{arguments.data}/{part}") for part in ("training", "testing"))
    settings = {"numWorkers": RANKS, "epochs": arguments.epochs, "batchSize": RANKS * arguments.batch_per_rank}
    learner = ImageClassifier(collective="torch", validationDataFrame=others, **settings)
    learner.copy({learner.epochs: 1}).fit(rows)  # Spark and its Python workers warm up
    print(f"lenet on {rows.count():,} digits, {RANKS} ranks, {arguments.batch_per_rank} rows a rank and step")
    for compression in COMPRESSIONS:
        summary = learner.copy({learner.gradientCompression: compression}).fit(rows).summary
        losses = ", ".join(f"{record.loss:.4f}" for record in summary.records)
        last, seconds = summary.records[-1], sum(record.seconds for record in summary.records)
        print(f"  {compression}: loss {losses}; on {others.count():,} others {last.judged.logloss:.4f}, error", end="")
        print(f" {last.judged.error:.2%}; {seconds:.2f} s, communication {summary.timings.communication:.2f} s of it")
    spark.stop()


def digits(spark: SparkSession, folder: str) -> DataFrame:
    """Return tensors and labels, held in memory."""
    decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
    return decode.transform(read_image_folder(spark, folder)).select("features", "label").repartition(RANKS).cache()


if __name__ == "__main__":
    main()
