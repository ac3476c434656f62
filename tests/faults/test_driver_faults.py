"""Drivers that die or cancel, and many fits in one session: nothing stays behind."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from digits import tensor_frame
from processes import await_during, begun, files_left, is_clean, python_workers, traces
from pyspark.errors import PySparkException

from sparkwater.errors import RankFailure
from sparkwater.ml import ImageClassifier

TESTS = Path(__file__).parents[1]

DRIVER = """
import logging
from conftest import start_session
from digits import tensor_frame
from sparkwater.ml import ImageClassifier
logging.basicConfig(level=logging.INFO)
endless = ImageClassifier(numWorkers=2, collective="horovod", epochs=100_000, batchSize=16)
endless.fit(tensor_frame(start_session("local[2]"), 100))
"""


def test_workers_are_gone_soon_after_their_driver_is_killed():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, text=True
    ) as driver:
        for line in driver.stderr:
            if "epoch 1/" in line:
                break
        started = psutil.Process(driver.pid).children(recursive=True)
        # The JVM, the daemon and two ranks.
        assert len(started) >= 4
        driver.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(started, timeout=30)
        for process in alive:
            process.kill()
        assert alive == []


def test_cancelled_fit_ends_soon_and_the_next_one_works(spark, caplog):
    frame = tensor_frame(spark, 100)
    ImageClassifier(numWorkers=2, collective="horovod", epochs=1).fit(frame)
    before = traces()

    def train() -> None:
        spark.sparkContext.setJobGroup("to be cancelled", "a fit that never ends")
        ImageClassifier(numWorkers=2, collective="horovod", epochs=100_000, batchSize=16, maxRestarts=3).fit(frame)

    with caplog.at_level(logging.INFO, logger="sparkwater"):
        fit = begun(train)
        await_during(fit, lambda: "epoch 1/" in caplog.text)
    spark.sparkContext.cancelJobGroup("to be cancelled")
    failure = fit.exception(timeout=10)
    assert isinstance(failure, RankFailure)
    assert "cancel" in str(failure)
    assert is_clean(before), traces() - before
    assert ImageClassifier(numWorkers=2, collective="horovod", epochs=1).fit(frame).summary.numRows == 100


def python_processes() -> list[psutil.Process]:
    """Return this process and the Python workers of its session."""
    return [psutil.Process(), *python_workers()]


def usage(process: psutil.Process) -> dict[str, int]:
    return {"file descriptors": process.num_fds(), "threads": process.num_threads()}


def test_fits_transforms_and_failing_fits_leave_nothing_behind(spark):
    frame = tensor_frame(spark, 60).cache()
    good = ImageClassifier(numWorkers=2, collective="horovod", epochs=1, batchSize=32)
    failing = ImageClassifier(
        numWorkers=2, collective="horovod", epochs=1, batchSize=32, learningRate=1e30, momentum=0.0
    )

    def once() -> None:
        good.fit(frame).transform(frame).count()
        with pytest.raises((RankFailure, ValueError, PySparkException)):
            failing.fit(frame)

    rounds = 20
    for _ in range(4):
        once()
    gc.collect()
    processes, left = python_processes(), files_left()
    before = {process: (usage(process), process.memory_info().rss) for process in processes}
    for _ in range(rounds):
        once()
    gc.collect()
    assert files_left() <= left
    assert len(python_processes()) <= len(processes)
    same = before.keys() & set(python_processes())
    assert len(same) >= 3  # this process and the two ranks; idle workers end after a while
    for process in same:
        counts, memory = before[process]
        # Pools and reused connections come and go; what leaks a round would add up.
        growth = {kind: count - counts[kind] for kind, count in usage(process).items()}
        assert max(growth.values()) < rounds / 2, growth
        assert process.memory_info().rss - memory < rounds * 2**20
