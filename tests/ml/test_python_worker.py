from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import SparkSession

from sparkwater.ml import ImageClassifier, ImageClassifierModel

#: The collector walks through fewer objects than this in a worker that has loaded nothing but pandas and pyarrow.
FEW = 100_000


def workers(spark: SparkSession) -> dict[int, tuple[int, int]]:
    """Return, for each worker that has loaded torch, how many objects the collector passes over, and how many not."""

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            if "torch" in sys.modules:
                counts = {"exempt": [gc.get_freeze_count()], "rest": [len(gc.get_objects())]}
                yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], **counts})

    rows = spark.range(0, 8, 1, 8).mapInArrow(look, "pid long, exempt long, rest long").collect()
    return {row.pid: (row.exempt, row.rest) for row in rows}


def check_workers(spark: SparkSession, work: Callable[[], object]) -> None:
    work()
    first = workers(spark)
    assert first
    assert all(exempt > FEW > rest for exempt, rest in first.values()), first
    work()
    later = workers(spark)
    same = first.keys() & later.keys()
    assert same
    # Nothing that later work made is exempt.
    assert all(later[pid][0] <= first[pid][0] for pid in same)


def test_workers_that_trained_or_scored_collect_no_modules_and_all_else(tmp_path):
    # A session of its own for each: workers stay as long as their session does, and begin with nothing loaded.
    fresh = {"spark.python.daemon.module": "pyspark.daemon"}
    spark = start_session("local[2]", spark__tests__worker="trains", **fresh)
    learner = ImageClassifier(numWorkers=2, epochs=1)
    learner.fit(tensor_frame(spark, 40)).write().overwrite().save(str(tmp_path / "model"))
    check_workers(spark, lambda: learner.fit(tensor_frame(spark, 40)))
    spark = start_session("local[2]", spark__tests__worker="scores", **fresh)
    model = ImageClassifierModel.load(str(tmp_path / "model"))
    check_workers(spark, lambda: model.transform(tensor_frame(spark, 40)).collect())
