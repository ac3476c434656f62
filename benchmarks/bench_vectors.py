"""ML vectors to tensor columns and back, against a Python function called for each row; and a rank's memory.

60,000 vectors of 784 numbers on local[2]. Both ways end in a count of non-null results on the
executors, so that nothing comes to the driver. In turns, in one run, after a warm-up.

The memory of a rank is measured in a process of its own: `load_rows` takes record batches as a task
gets them, and the peak of its resident memory is compared with the tensors that it ends up with.

    python benchmarks/bench_vectors.py [--rows 60000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import DenseVector, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T
from sessions import start_spark

from sparkwater.conversions import TensorSpec, TensorToVector, VectorToTensor
from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.gpu.rows.held import load_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VALUES = 784


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    report_memory(arguments.rows)
    spark = start_spark(2, memory="6g")
    vectors = spark.range(0, arguments.rows, 1, 2).select(
        array_to_vector(F.transform(F.sequence(F.lit(0), F.lit(VALUES - 1)), lambda i: (i + F.col("id")) / 7)).alias(
            "v"
        )
    )
    vectors = vectors.persist()
    vectors.count()
    tensors = VectorToTensor(inputCol="v", outputCol="t", shape=[VALUES]).transform(vectors).select("t").persist()
    tensors.count()
    compare("vector to tensor", lambda: to_tensors(vectors), lambda: to_tensors_by_row(vectors), arguments.rounds)
    compare("tensor to vector", lambda: to_vectors(tensors), lambda: to_vectors_by_row(tensors), arguments.rounds)
    spark.stop()


def compare(name: str, ours: Any, by_row: Any, rounds: int) -> None:
    frames = {"sparkwater": ours, "a Python UDF": by_row}
    seconds: dict[str, list[float]] = {kind: [] for kind in frames}
    for turn in range(rounds + 1):
        for kind, make in frames.items():
            started = time.perf_counter()
            make().agg(F.count("*"), F.count("result")).collect()
            if turn:  # the first one warms up
                seconds[kind].append(time.perf_counter() - started)
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    ratio = medians["a Python UDF"] / medians["sparkwater"]
    print(f"{name}: " + ", ".join(f"{kind} {value:.2f} s" for kind, value in medians.items()) + f", ratio {ratio:.1f}")


def to_tensors(vectors: DataFrame) -> DataFrame:
    return VectorToTensor(inputCol="v", outputCol="result", shape=[VALUES]).transform(vectors)


def to_tensors_by_row(vectors: DataFrame) -> DataFrame:
    pack = F.udf(lambda vector: bytearray(vector.toArray().tobytes()), T.BinaryType())
    return vectors.withColumn("result", pack("v"))


def to_vectors(tensors: DataFrame) -> DataFrame:
    return TensorToVector(inputCol="t", outputCol="result").transform(tensors)


def to_vectors_by_row(tensors: DataFrame) -> DataFrame:
    unpack = F.udf(lambda tensor: DenseVector(np.frombuffer(tensor)), VectorUDT())
    return tensors.withColumn("result", unpack("t"))


def report_memory(rows: int) -> None:
    """Print the peak memory of a rank beside its tensors; the constant is what it takes without rows."""
    context = multiprocessing.get_context("spawn")
    for place, limit in (("memory", None), ("a mapped file", 0)):
        results = context.Queue()
        process = context.Process(target=hold, args=(rows * 4, limit, results))
        process.start()
        constant, peak, held = results.get()
        process.join()
        mib = 2**20
        print(
            f"a rank with its tensors in {place}: {held / mib:.0f} MiB of tensors, peak {peak / mib:.0f} MiB above a "
            f"constant of {constant / mib:.0f} MiB, ratio {peak / held:.2f}",
            flush=True,
        )


def hold(rows: int, limit: int | None, results: Any) -> None:
    spec = TensorSpec("uint8", (1, 28, 28))
    load_rows(batches(spec, 10), spec, (0.0,), "error", limit)
    reset_peak()
    constant = resident("VmRSS")
    held = load_rows(batches(spec, rows), spec, (0.0,), "error", limit)
    results.put((constant, resident("VmHWM") - constant, held.features.nbytes))


def batches(spec: TensorSpec, rows: int) -> Iterator[pa.RecordBatch]:
    """Make record batches as Spark cuts them by default, each when it is asked for."""
    for start in range(0, rows, 10_000):
        count = min(10_000, rows - start)
        yield pa.RecordBatch.from_pydict(
            {
                "tensor": tensors_to_arrow(np.ones((count, *spec.shape), np.uint8)),
                "problem": pa.nulls(count, pa.string()),
                "label": pa.array(np.zeros(count)),
                "name": pa.array(np.arange(start, start + count).astype(str)),
                "key": pa.array(np.random.default_rng(start).integers(0, 2**62, count)),
            }
        )


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
