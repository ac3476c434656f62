"""Hosts whose link is cut, or that stand still while ranks train on them."""

from __future__ import annotations

import re
import time

import psutil
from hosts.cluster import python_processes
from hosts.fits import STALL, begun_fit, learner
from hosts.sockets import connects
from processes import await_during, eventually, files_left


def test_a_host_that_stands_still_for_five_seconds_changes_nothing(hosts, undisturbed, caplog):
    fit = begun_fit(hosts, caplog, learner(collective="torch"))
    stopped = hosts.workers["alpha"].processes
    for process in stopped:
        process.suspend()
    time.sleep(5)
    for process in stopped:
        process.resume()
    assert fit.result(timeout=60).weights == undisturbed


def await_restart(fit, cut, caplog):
    """Return what is logged of the failure, which comes in time after a link was cut."""
    await_during(fit, lambda: "restart 1 of 1" in caplog.text, STALL + 10)
    assert time.monotonic() - cut < STALL + 10
    return next(record.getMessage() for record in caplog.records if "restart 1 of 1" in record.getMessage())


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
        assert re.search(
            r"rank \d waited \d+ seconds for the other ranks .* in epoch \d+, step \d+; rank \d's host can't be "
            r"reached at 10\.77\.0\.3:\d+ from 10\.77\.0\.2: the network between them, or a host, is gone",
            restart,
        )
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
    assert model.weights == undisturbed
    assert eventually(lambda: files_left() <= left)
