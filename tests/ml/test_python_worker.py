from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest
from digits import tensor_frame
from pyspark.sql import SparkSession

from sparkwater.ml import ImageClassifier


def exempted(spark: SparkSession, loaded: str) -> dict[int, int]:
    """Return how many objects the collector passes over in each worker that has loaded a module."""

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from ()
        for _ in batches:
            count = gc.get_freeze_count() if loaded in sys.modules else -1
            yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "count": [count]})

    rows = spark.range(0, 8, 1, 8).mapInArrow(look, "pid long, count long").collect()
    return {row.pid: row["count"] for row in rows if row["count"] >= 0}


@pytest.mark.parametrize("loaded", ["sparkwater.gpu.rank", "sparkwater.ml.scoring"])
def test_workers_that_trained_or_scored_collect_no_modules_and_all_else(spark, loaded):
    def work() -> None:
        model = ImageClassifier(numWorkers=2, epochs=1).fit(tensor_frame(spark, 40))
        model.transform(tensor_frame(spark, 40)).collect()

    work()
    first = exempted(spark, loaded)
    assert first
    assert min(first.values()) > 50_000
    work()
    later = exempted(spark, loaded)
    same = first.keys() & later.keys()
    assert same
    # Nothing that later tasks made is exempt.
    assert all(later[pid] <= first[pid] for pid in same)
