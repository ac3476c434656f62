"""Hosts whose link is cut, or that stand still while ranks train on them."""

from __future__ import annotations

import re
import time

import psutil
import pytest
from digits import tensor_frame
from hosts.cluster import python_processes
from hosts.fits import STALL, begun_fit, learner
from hosts.network import parted
from hosts.sockets import connects
from processes import await_during, begun, eventually, files_left, within

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError
from sparkwater.ml.launch.preflight import wait_for_lost_executors

#: Of the failure after a link was cut: which end can't be reached from which other, and nobody to blame.
CUT = (
    r"rank \d waited \d+ seconds for the other ranks .* (?:in epoch \d+, step \d+|between steps of epoch \d+); "
    r"rank \d's host can't be reached at 10\.77\.0\.3:\d+ from 10\.77\.0\.2: "
    r"the network between them, or a host, is gone"
)

#: Spark gives up executors that it doesn't hear of, some seconds after the ranks said what they know, and rows of
#: executors that aren't reached at once.
SOON = {
    "spark.shuffle.io.maxRetries": "0",
    "spark.network.timeout": "20s",
    "spark.network.timeoutInterval": "1s",
    "spark.executor.heartbeatInterval": "1s",
}


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_a_host_that_stands_still_for_five_seconds_changes_nothing(hosts, undisturbed, caplog, collective):
    fit = begun_fit(hosts, caplog, learner(collective=collective))
    stopped = hosts.workers["alpha"].processes
    for process in stopped:
        process.suspend()
    time.sleep(5)
    for process in stopped:
        process.resume()
    assert fit.result(timeout=60).weights == undisturbed.weights


def await_restart(fit, cut, caplog):
    """Return what is logged of the failure, which comes in time after a link was cut."""
    await_during(fit, lambda: "restart 1 of 1" in caplog.text, STALL + 10)
    assert time.monotonic() - cut < STALL + 10
    return next(record.getMessage() for record in caplog.records if "restart 1 of 1" in record.getMessage())


def counts_on(spark, host):
    """Return whether Spark counts on an executor of a host."""
    return host.address in [address for address, _ in session_of(spark).executor_places()]


def test_training_goes_on_from_its_checkpoint_after_a_link_was_cut(hosts, undisturbed, caplog, tmp_path):
    left = files_left()
    again = learner(collective="torch", maxRestarts=1, checkpointDir=str(tmp_path))
    fit = begun_fit(hosts, caplog, again)
    alpha, beta = hosts.workers["alpha"], hosts.workers["beta"]
    ranks = [process for process in python_processes(beta) if connects(process.pid, alpha)]
    beta.cut()
    cut = time.monotonic()
    try:
        restart = await_restart(fit, cut, caplog)
        assert re.search(CUT, restart)
        assert "stood still" not in restart
        # The rank on the other side has ended by itself: nobody could tell it to.
        assert ranks
        assert psutil.wait_procs(ranks, timeout=30)[1] == []
        beta.restore()
        model = fit.result(timeout=90)
    finally:
        beta.restore()
    assert model.summary.restarts == 1
    assert model.summary.resumedAt > 0
    assert model.weights == undisturbed.weights
    assert eventually(lambda: files_left() <= left)


def test_a_restart_waits_while_an_executor_that_spark_counts_on_cannot_be_reached(hosts, caplog):
    spark, beta = hosts.session(), hosts.workers["beta"]
    assert eventually(lambda: len(session_of(spark).executor_places()) == 2, 60)
    wait_for_lost_executors(spark, 0)  # both answer
    beta.cut()
    try:
        waiting = begun(lambda: wait_for_lost_executors(spark, 5))
        at_once = -int(session_of(spark).heartbeat_seconds)
        wait_for_lost_executors(spark, at_once)  # when its time is over it says so, and ends
        assert f"executors on {beta.address}:" in caplog.text
        time.sleep(1)
        assert not waiting.done()
    finally:
        beta.restore()
    assert waiting.exception(timeout=10) is None
    assert caplog.text.count("can't be reached") == 1


def test_horovod_goes_on_on_a_third_host_while_the_link_is_cut(hosts, undisturbed, caplog, tmp_path):
    left = files_left()
    again = learner(collective="horovod", maxRestarts=1, checkpointDir=str(tmp_path))
    fit = begun_fit(hosts, caplog, again, **SOON)
    spark = hosts.session(**SOON)
    alpha, beta = hosts.workers["alpha"], hosts.workers["beta"]
    ranks = [
        process
        for host, other in ((alpha, beta), (beta, alpha))
        for process in python_processes(host)
        if connects(process.pid, other)
    ]
    assert len(ranks) == 2
    beta.cut()
    cut = time.monotonic()
    try:
        gamma = hosts.add_worker(4, "gamma")
        restart = await_restart(fit, cut, caplog)
        assert re.search(CUT, restart)
        assert "stood still" not in restart
        assert psutil.wait_procs(ranks, timeout=30)[1] == []
        # It doesn't begin again while Spark would give a rank to the host that is cut off.
        await_during(fit, lambda: spark.sparkContext.statusTracker().getActiveJobsIds() != [])
        assert not counts_on(spark, beta)
        await_during(fit, lambda: any(connects(process.pid, alpha) for process in python_processes(gamma)))
        model = fit.result(timeout=90)
    finally:
        beta.restore()
        hosts.end_worker("gamma")
    assert model.summary.restarts == 1
    assert model.summary.resumedAt > 0
    assert model.weights == undisturbed.weights
    assert eventually(lambda: files_left() <= left)


def test_hosts_that_reach_the_driver_but_not_each_other_are_named_by_the_fit(hosts):
    spark = hosts.session(**SOON)
    frame = tensor_frame(spark, 100)
    assert eventually(lambda: len(session_of(spark).executor_places()) == 2, 60)
    with parted(*hosts.workers.values()), within(100):
        failure = begun(lambda: learner(collective="torch").fit(frame)).exception(timeout=100)
    assert isinstance(failure, ConfigurationError), getattr(failure, "remote_traceback", failure)
    named = re.match(
        r"an executor on (10\.77\.0\.\d) can't fetch rows from the one on (10\.77\.0\.\d) at port \d+, which the "
        r"driver reaches; let executors' hosts connect to each other",
        str(failure),
    )
    assert {named[1], named[2]} == {host.address for host in hosts.workers.values()}
