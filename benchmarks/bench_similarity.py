"""The nearest neighbours by Spark against NumPy's matrix product and argpartition on the same cores.

Both search the 10 nearest by inner product among float32 vectors, in turns, in one run: NumPy with
arrays in memory in one process with all cores; sparkwater from Parquet, from read to the count of
the result, on ``local[cores]``. Prints seconds of both, their ratio, and the peak memory of the
Python workers beside the size of a block.

    python benchmarks/bench_similarity.py [--rows 10000] [--length 512] [--k 10] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from memory import MEBIBYTE, watched
from pyspark.sql import SparkSession
from sessions import start_spark

from sparkwater.ml import k_nearest
from sparkwater.ml.similarity.blocks import BLOCK_BYTES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="vectors on each side (%(default)s)")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    spark = start_spark(arguments.cores)
    with tempfile.TemporaryDirectory() as folder:
        compare(spark, folder, arguments)
    spark.stop()


def compare(spark: SparkSession, folder: str, arguments: argparse.Namespace) -> None:
    random = np.random.default_rng(0)
    sides = [random.standard_normal((arguments.rows, arguments.length), np.float32) for _ in range(2)]
    paths = [f"{folder}/{side}.parquet" for side in range(2)]
    for values, path in zip(sides, paths, strict=True):
        write(values, path)
    spark_search(spark, paths, arguments.k)  # the workers start and import torch
    ours, plain = [], []
    with watched() as peaks:
        for _ in range(arguments.rounds):
            plain.append(seconds(lambda: numpy_search(*sides, arguments.k)))
            ours.append(seconds(lambda: spark_search(spark, paths, arguments.k)))
    ratios = [theirs / mine for mine, theirs in zip(ours, plain, strict=True)]
    print(
        f"{arguments.rows:,} x {arguments.rows:,} vectors of {arguments.length}, k={arguments.k}: sparkwater "
        f"{statistics.median(ours):.2f} s, NumPy {statistics.median(plain):.2f} s, speed ratio "
        f"{statistics.median(ratios):.2f} (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})\n"
        f"blocks of at most {BLOCK_BYTES // MEBIBYTE} MiB, peak memory of a Python worker "
        f"{peaks.worker:.0f} MiB",
        flush=True,
    )


def write(values: np.ndarray[Any, np.dtype[np.float32]], path: str) -> None:
    rows, length = values.shape
    lists = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * length), pa.array(values.ravel()))
    pq.write_table(pa.table({"id": pa.array(np.arange(rows)), "features": lists}), path)


def spark_search(spark: SparkSession, paths: list[str], k: int) -> None:
    queries, references = (spark.read.parquet(path) for path in paths)
    k_nearest(queries, references, k, "inner").write.format("noop").mode("overwrite").save()


def numpy_search(queries: Any, references: Any, k: int) -> None:
    products = queries @ references.T
    nearest = np.argpartition(-products, k, axis=1)[:, :k]
    values = np.take_along_axis(products, nearest, axis=1)
    order = np.argsort(-values, axis=1)
    assert np.take_along_axis(nearest, order, axis=1).shape == (len(queries), k)


def seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
