from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa
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


@contextmanager
def fresh_workers(spark: SparkSession, name: str) -> Iterator[None]:
    """Let work have workers of its own, which begin with nothing loaded: those of another environment are others."""
    conf, environment = spark.sparkContext._jsc.sc().conf(), spark.sparkContext.environment
    before = conf.get("spark.python.daemon.module")
    conf.set("spark.python.daemon.module", "pyspark.daemon")
    environment["WORKERS_OF_A_TEST"] = name
    try:
        yield
    finally:
        conf.set("spark.python.daemon.module", before)
        del environment["WORKERS_OF_A_TEST"]


def test_workers_that_trained_or_scored_collect_no_modules_and_all_else(spark, tmp_path):
    path = str(tmp_path / "model")
    learner = ImageClassifier(numWorkers=2, epochs=1)
    with fresh_workers(spark, "trains"):
        assert workers(spark) == {}
        check_workers(spark, lambda: learner.fit(tensor_frame(spark, 40)).write().overwrite().save(path))
    model = ImageClassifierModel.load(path)
    with fresh_workers(spark, "scores"):
        assert workers(spark) == {}
        check_workers(spark, lambda: model.transform(tensor_frame(spark, 40)).collect())
