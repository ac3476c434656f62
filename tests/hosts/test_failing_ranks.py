"""Ranks that fail, stand still or lose their executor on hosts of their own, as they do on one machine."""

from __future__ import annotations

import re

import psutil
import pytest
from digits import tensor_frame
from failing_networks import failing_networks
from hosts.cluster import python_processes
from hosts.fits import STALL, begun_fit, learner
from hosts.sockets import connects
from processes import begun, eventually, files_left

from sparkwater.errors import RankFailure
from sparkwater.ml import ImageClassifier


@pytest.fixture(autouse=True, scope="module")
def _networks():
    with failing_networks():
        yield


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_the_error_of_one_rank_comes_with_its_host(hosts, collective):
    left = files_left()
    failing = ImageClassifier(network="fails", numWorkers=2, epochs=3, batchSize=16, collective=collective)
    failure = begun(lambda: failing.fit(tensor_frame(hosts.session(), 100))).exception(timeout=120)
    assert isinstance(failure, RankFailure)
    assert (failure.rank, failure.epoch, failure.step, failure.error_type) == (1, 1, 0, "ArithmeticError")
    assert failure.host in hosts.workers
    assert "the eighth step is too much" in str(failure)
    assert eventually(lambda: files_left() <= left)


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_a_rank_that_stands_still_is_named(hosts, collective):
    settings = {"numWorkers": 2, "epochs": 3, "batchSize": 16, "stallTimeout": STALL, "collective": collective}
    failure = begun(
        lambda: ImageClassifier(network="stopped", **settings).fit(tensor_frame(hosts.session(), 100))
    ).exception(timeout=60 + STALL)
    assert isinstance(failure, RankFailure)
    assert failure.rank == 1
    assert "rank 1 stood still" in str(failure)


def test_a_cancelled_fit_ends_soon_on_all_hosts(hosts, caplog):
    left = files_left()
    fit = begun_fit(hosts, caplog, learner(collective="horovod", epochs=100_000, maxRestarts=3))
    alpha, beta = hosts.workers.values()
    ranks = [process for process in python_processes(alpha) if connects(process.pid, beta)]
    hosts.session().sparkContext.cancelAllJobs()
    failure = fit.exception(timeout=10)
    assert isinstance(failure, RankFailure)
    assert "cancel" in str(failure)
    assert ranks
    assert eventually(lambda: not any(connects(process.pid, beta) for process in ranks) and files_left() <= left)


def lose_executor(host):
    """Kill the executor of a host; its ranks end with it."""
    ranks = python_processes(host)
    assert ranks
    for executor in {process.parent().parent() for process in ranks}:
        executor.kill()
    assert psutil.wait_procs(ranks, timeout=30)[1] == []


def test_a_lost_executor_fails_a_fit_without_restarts_and_the_next_goes_on(hosts, undisturbed, caplog, tmp_path):
    left = files_left()
    kept = learner(collective="torch", checkpointDir=str(tmp_path), checkpointInterval=1)
    fit = begun_fit(hosts, caplog, kept)
    lose_executor(hosts.workers["beta"])
    failure = fit.exception(timeout=60)
    assert isinstance(failure, RankFailure)
    assert failure.retryable
    assert failure.epoch >= 1
    assert f"in epoch {failure.epoch}, step {failure.step} or later" in str(failure)
    assert eventually(lambda: files_left() <= left)
    model = kept.fit(tensor_frame(hosts.session(), 100))
    assert model.summary.resumedAt > 0
    assert model.weights == undisturbed.weights


def test_a_lost_executor_costs_no_bit(hosts, undisturbed, caplog, tmp_path):
    again = learner(collective="horovod", maxRestarts=1, checkpointDir=str(tmp_path), checkpointInterval=1)
    fit = begun_fit(hosts, caplog, again)
    lose_executor(hosts.workers["beta"])
    model = fit.result(timeout=120)
    assert re.search(r"restart 1 of 1: .*in epoch \d+, step \d+ or later", caplog.text)
    assert model.summary.restarts == 1
    assert model.summary.resumedAt > 0
    assert model.weights == undisturbed.weights
