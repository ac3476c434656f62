"""A table of many columns and levels: seconds and memory of a fit's encoding, of training and of scoring.

The table is made by Spark: numbers of which one in ten is missing, and strings, each with so many levels as equally
frequent as the rows allow. It is learned for a part of an epoch by one worker. The first line tells the encoder, the
second the whole fit with the largest growth of the driver's memory, Python's own, and the largest memory of a worker;
the last one the scoring.

    python benchmarks/bench_wide_table.py [--rows 200000] [--numbers 1500] [--strings 500] [--levels 100000]
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import psutil
from memory import MEBIBYTE, watched
from pyspark.sql import functions as F
from sessions import start_spark

from sparkwater.conversions import TableToTensor
from sparkwater.ml import DeepLearningRegressor

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--numbers", type=int, default=1500, help="columns of numbers (%(default)s)")
    parser.add_argument("--strings", type=int, default=500, help="columns of strings (%(default)s)")
    parser.add_argument("--levels", type=int, default=100_000, help="of each column of strings (%(default)s)")
    parser.add_argument("--epochs", type=float, default=0.1, help="(%(default)s)")
    parser.add_argument("--memory", default="6g", help="of Spark's driver, which is the executor, too (%(default)s)")
    arguments = parser.parse_args()
    spark = start_spark(2, memory=arguments.memory)
    frame = table(spark, arguments.rows, arguments.numbers, arguments.strings, arguments.levels)
    inputs = [name for name in frame.columns if name != "label"]
    started = time.perf_counter()
    encoder = TableToTensor(inputCols=inputs, oneHotLevels=0).fit(frame)
    rare = [column.rare or 0.0 for column in encoder.report.columns if column.kind == "category"]
    print(
        f"encoder: {encoder.layout.numbers} numbers and {len(encoder.layout.categories)} ids of at most "
        f"{max(encoder.layout.categories, default=0):,}, {100 * max(rare, default=0):.0f} % of rows rare, "
        f"{time.perf_counter() - started:.0f} s",
        flush=True,
    )
    learner = DeepLearningRegressor(recipe="mlp", inputCols=inputs, epochs=arguments.epochs)
    started, before = time.perf_counter(), psutil.Process().memory_info().rss / MEBIBYTE
    with watched() as peaks:
        model = learner.fit(frame)
    print(
        f"fit: {time.perf_counter() - started:.0f} s, {model.summary.totalSeconds:.0f} of them with the workers; the "
        f"driver's Python grew by {peaks.driver - before:.0f} MiB, a worker had {peaks.worker:.0f} MiB",
        flush=True,
    )
    started = time.perf_counter()
    scored = model.transform(frame).where(F.col("prediction").isNotNull()).count()
    print(f"scoring: {scored:,} rows, {time.perf_counter() - started:.0f} s")
    spark.stop()


def table(spark: SparkSession, rows: int, numbers: int, strings: int, levels: int) -> DataFrame:
    """Return a table whose label follows from the row."""
    columns = [
        f"if(pmod(hash(id, {place}), 10) = 0, null, pmod(hash({place}, id), 10007) / 7.0d) as n{place}"
        for place in range(numbers)
    ]
    columns += [f"concat('level ', pmod(id * 7919 + {place}, {levels})) as s{place}" for place in range(strings)]
    return spark.range(0, rows, 1, 8).selectExpr(*columns, "pmod(id, 10) / 1.0d as label")


if __name__ == "__main__":
    main()
