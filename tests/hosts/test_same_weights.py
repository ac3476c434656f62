"""Ranks on two hosts learn what two ranks on one learn."""

from __future__ import annotations

import time

import pytest
from conftest import start_session
from digits import tensor_frame
from hosts.fits import learner
from processes import begun, eventually, files_left, within

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.records import Observer
from sparkwater.ml import ImageClassifier, follow_fits


def test_two_hosts_learn_the_same_as_one(hosts, undisturbed):
    # By Horovod; fits by torch have the same weights below, and where hosts fail.
    on_one_machine = learner(collective="memory").fit(tensor_frame(start_session("local[2]"), 100))
    assert undisturbed.summary.collective == "horovod"
    assert undisturbed.weights == on_one_machine.weights


def test_shared_memory_is_refused_with_the_hosts(hosts):
    in_memory = ImageClassifier(epochs=2, numWorkers=2, collective="memory")
    with pytest.raises(ConfigurationError, match=r"on 10\.77\.0\.2, 10\.77\.0\.3; use collective='horovod' or 'torch'"):
        in_memory.fit(tensor_frame(hosts.session(), 100))


def test_more_workers_than_cores_are_refused_within_seconds(hosts):
    spark = hosts.session()
    frame = tensor_frame(spark, 100)
    assert eventually(lambda: len(session_of(spark).executor_places()) == 2, 60)
    spark.sparkContext.setJobGroup("refused", "must stay empty")
    try:
        with within(5), pytest.raises(ConfigurationError, match=r"numWorkers=4, .* 2 tasks .* startTimeout=1 seconds"):
            ImageClassifier(numWorkers=4, startTimeout=1).fit(frame)
        assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("refused")) == []
    finally:
        spark.sparkContext._jsc.clearJobGroup()


def test_two_fits_at_once_learn_what_each_learns_alone(hosts, undisturbed):
    left = files_left()
    added = [hosts.add_worker(number, name) for number, name in ((4, "gamma"), (5, "delta"))]

    def trained(frame, collective):
        """Return the weights, and when an epoch ended."""
        times = []
        with follow_fits(lambda _: Observer(on_epoch=lambda _: times.append(time.monotonic()))):
            # Slowly, so that the one that begins first is still at work when the other has begun.
            slow = learner(collective=collective, callbacks=[lambda _: time.sleep(0.2)])
            return slow.fit(frame).weights, times

    try:
        spark = hosts.session()
        frame = tensor_frame(spark, 100)
        assert eventually(lambda: len(session_of(spark).executor_places()) == 4, 60)
        ImageClassifier(epochs=1, numWorkers=4).fit(frame)  # all have imported torch
        fits = [begun(lambda c=collective: trained(frame, c)) for collective in ("horovod", "torch")]
        (first, times), (second, others) = [fit.result(timeout=150) for fit in fits]
    finally:
        for host in added:
            hosts.end_worker(host.name)
    assert first == second == undisturbed.weights
    assert max(min(times), min(others)) < min(max(times), max(others))
    assert eventually(lambda: files_left() <= left)
