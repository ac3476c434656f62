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
    before = [spent(process) for process in processes]
    time.sleep(1)
    return [process for process, earlier in zip(processes, before, strict=True) if spent(process) > earlier]


def spent(process: psutil.Process) -> float:
    """Return the processor seconds of a process; none where it is gone."""
    try:
        return process.cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


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
        # The first one ends its process; another that misses it may end its task, and waits for the next one, until
        # Spark ends idle workers.
        assert eventually(lambda: not all(process.is_running() for process in ranks) and busy(ranks) == [], 60)
        assert eventually(lambda: files_left() <= left)
    finally:
        hosts.driver.restore()
    assert isinstance(fit.exception(timeout=60), RankFailure)
