"""Ranks whose driver can't be reached, for a while or for good."""

from __future__ import annotations

import time

import psutil
from hosts.cluster import Cluster, python_processes
from hosts.fits import begun_fit, learner
from processes import eventually, files_left

from sparkwater.errors import RankFailure


def workers(hosts: Cluster) -> list[psutil.Process]:
    return [process for host in hosts.workers.values() for process in python_processes(host)]


def busy(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that compute; workers of earlier jobs may be there, idle."""
    before = [process.cpu_times().user for process in processes]
    time.sleep(1)
    return [process for process, spent in zip(processes, before, strict=True) if process.cpu_times().user > spent]


def test_a_driver_that_is_cut_off_for_twenty_seconds_gets_its_model(hosts, undisturbed, caplog):
    fit = begun_fit(hosts, caplog, learner(collective="torch"))
    hosts.driver.cut()
    time.sleep(20)
    hosts.driver.restore()
    assert fit.result(timeout=60).weights == undisturbed


def test_ranks_end_when_the_drivers_host_is_gone(hosts, caplog):
    left = files_left()
    fit = begun_fit(hosts, caplog, learner(collective="torch", epochs=100_000))
    ranks = busy(workers(hosts))
    assert len(ranks) >= 2
    hosts.driver.cut()
    try:
        assert psutil.wait_procs(ranks, timeout=60)[1] == []
        assert eventually(lambda: workers(hosts) == [], 90)  # Spark ends those that are idle after a minute
        assert eventually(lambda: files_left() <= left)
    finally:
        hosts.driver.restore()
    assert isinstance(fit.exception(timeout=60), RankFailure)
