"""Rows of a DataFrame as torch tensors on two ranks: petastorm's converter against the package's way.

The DataFrame is Parquet with a tensor column and a label. Three ways, in turns, in one run:

(a) petastorm: ``make_spark_converter`` materializes it, then two processes read a shard each with
    ``make_torch_dataloader`` and ``tensor_transform`` and put their batches together. Timed from the
    DataFrame to the slower rank's tensors; starting the processes and their imports isn't counted.
(b) the package: two barrier tasks get the rows by ``mapInArrow``, sharded by their content, and hold
    them with ``load_rows``. Timed from the DataFrame to the end of the job.
(c) the floor: ``pyarrow.parquet.read_table`` of the same files, and a barrier job on one row a task.

    python benchmarks/bench_petastorm.py [--data folder with MNIST's idx files] [--rounds 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sessions import check_digits, start_spark

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.conversions.images.idx import read_idx_pair
from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.gpu.rows.reading import KEY, LABEL, NAME, PROBLEM, TENSOR

SPEC = TensorSpec("uint8", (1, 28, 28))
SAMPLE = Path(__file__).parents[1] / "build" / "mnist_png"
RANKS, BATCH = 2, 256
Rounds = list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="MNIST's idx files; by default the shipped sample (make demo)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    pictures, labels = read_pictures(arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        cache = (Path(folder) / "petastorm").as_uri()
        spark = start_spark(RANKS, memory="2g", petastorm__spark__converter__parentCacheDirUrl=cache)
        path = Path(folder) / "data"
        write_parquet(path, pictures, labels)
        frame = with_tensor_spec(spark.read.parquet(str(path)), TENSOR, SPEC)
        compare(spark, frame, path, len(labels), arguments.rounds)
        spark.stop()


def compare(spark: SparkSession, frame: DataFrame, path: Path, rows: int, rounds: int) -> None:
    """Print the medians of the three ways and their ratios; the first round of the Spark jobs warms up."""
    by_rank(frame, rows)
    empty_job(spark)
    petastorm, ours, table, empty = [], [], [], []
    for _ in range(rounds):
        petastorm.append(petastorm_converter(frame, rows))
        ours.append(timed(lambda: by_rank(frame, rows)))
        table.append(timed(lambda: pq.read_table(path)))
        empty.append(timed(lambda: empty_job(spark)))
    seconds = {
        "petastorm, to parquet and to tensors": [sum(parts) for parts in petastorm],
        "  of which to tensors": [parts[1] for parts in petastorm],
        "sparkwater, to tensors": ours,
        "pyarrow.parquet.read_table": table,
        "empty barrier job": empty,
    }
    print(f"{rows} rows, {RANKS} ranks, medians of {rounds}")
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.3f} s ({', '.join(f'{value:.3f}' for value in values)})")
    floor = [sum(parts) for parts in zip(table, empty, strict=True)]
    own = statistics.median(ours)
    print(f"petastorm / sparkwater: {statistics.median(seconds['petastorm, to parquet and to tensors']) / own:.1f}")
    print(f"petastorm's reading alone / sparkwater: {statistics.median(seconds['  of which to tensors']) / own:.1f}")
    print(f"sparkwater / (read_table + empty barrier job): {own / statistics.median(floor):.2f}", flush=True)


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def read_pictures(data: Path | None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if data is not None:
        return read_idx_pair(data, "train")
    from PIL import Image

    check_digits(SAMPLE)
    files = sorted(SAMPLE.glob("training/*/*.png"))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    return pixels, np.array([int(file.parent.name) for file in files], np.uint8)


def write_parquet(path: Path, pictures: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> None:
    path.mkdir()
    half = len(labels) // RANKS
    for part, rows in enumerate((slice(0, half), slice(half, None))):
        columns = {
            "id": pa.array(np.arange(len(labels))[rows], pa.int64()),
            TENSOR: tensors_to_arrow(pictures[rows]),
            LABEL: pa.array(labels[rows].astype(np.float64)),
        }
        pq.write_table(pa.table(columns), path / f"{part}.parquet", row_group_size=8192)


def by_rank(frame: DataFrame, rows: int) -> None:
    """Hold the rows as tensors in two barrier tasks, as a fit does."""
    named = frame.select(
        TENSOR,
        F.lit(None).cast("string").alias(PROBLEM),
        LABEL,
        F.col("id").cast("string").alias(NAME),
        F.xxhash64(TENSOR, LABEL).alias(KEY),
    )
    spec = SPEC

    def program(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from sparkwater.gpu.rows.held import load_rows

        held = load_rows(batches, spec, tuple(float(label) for label in range(10)), "error")
        assert held.features.shape[1:] == spec.shape
        yield pa.RecordBatch.from_pydict({"rows": [len(held)]})

    counts = named.repartition(RANKS, KEY).mapInArrow(program, "rows long", barrier=True).collect()
    assert sum(count.rows for count in counts) == rows


def empty_job(spark: SparkSession) -> None:
    def program(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    assert len(spark.range(0, RANKS, 1, RANKS).mapInArrow(program, "id long", barrier=True).collect()) == RANKS


def petastorm_converter(frame: DataFrame, rows: int) -> tuple[float, float]:
    """Return the seconds of materializing and of reading on two ranks."""
    from petastorm.spark import make_spark_converter

    started = time.perf_counter()
    converter = make_spark_converter(frame.select(TENSOR, LABEL), dtype=None)
    materialized = time.perf_counter() - started
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(RANKS), context.Queue()
    processes = [
        context.Process(target=petastorm_rank, args=(converter, rank, barrier, results)) for rank in range(RANKS)
    ]
    try:
        for process in processes:
            process.start()
        ranks = [results.get(timeout=600) for _ in processes]
        for process in processes:
            process.join()
    finally:
        converter.delete()
    assert sum(count for count, _ in ranks) == rows
    return materialized, max(seconds for _, seconds in ranks)


def petastorm_rank(converter: Any, rank: int, barrier: Any, results: Any) -> None:
    warnings.filterwarnings("ignore")
    import torch
    from petastorm.pytorch import DataLoader  # noqa: F401 - so that its import isn't timed

    from sparkwater.conversions.petastorm.frames import tensor_transform

    transform = tensor_transform({TENSOR: SPEC})
    barrier.wait()
    started = time.perf_counter()
    loader = converter.make_torch_dataloader(
        batch_size=BATCH, num_epochs=1, cur_shard=rank, shard_count=RANKS, transform_spec=transform
    )
    with loader as batches:
        parts = list(batches)
    features = torch.cat([part[TENSOR] for part in parts])
    labels = torch.cat([part[LABEL] for part in parts])
    seconds = time.perf_counter() - started
    assert features.shape == (len(labels), *SPEC.shape)
    results.put((len(labels), seconds))


if __name__ == "__main__":
    main()
