"""Ranks whose driver is killed, or can't be reached for a while or for good."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile

import psutil
from conftest import PATHS
from hosts.cluster import Cluster, python_processes
from hosts.fits import begun_fit, learner
from hosts.sockets import connects
from processes import eventually, files_left

from sparkwater.errors import RankFailure

#: Spark ends executors whose heartbeats had no answer for so long, after the ranks have ended by themselves: by default
#: after ten minutes and more.
ALONE_LATER = {"spark.executor.heartbeatInterval": "1s", "spark.executor.heartbeat.maxFailures": "55"}

#: A driver in a process of its own, with the master's URL and its host's address.
DRIVER = """
import logging, os, sys
from conftest import start_session
from digits import tensor_frame
from hosts.cluster import settings
from hosts.fits import learner
master, address = sys.argv[1:]
os.environ["SPARK_LOCAL_IP"] = address
logging.basicConfig(level=logging.INFO)
frame = tensor_frame(start_session(master, **settings(address)), 100)
learner(collective="horovod", epochs=100_000).fit(frame)
"""


def workers(hosts: Cluster) -> list[psutil.Process]:
    return [process for host in hosts.workers.values() for process in python_processes(host)]


def processes(hosts: Cluster) -> set[psutil.Process]:
    """Return all processes on the workers' hosts: Spark's workers, their executors, and Python's."""
    return {process for host in hosts.workers.values() for process in host.processes}


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


def kill(driver: subprocess.Popen[str]) -> None:
    """Kill a driver and its JVM."""
    if driver.poll() is None:
        for process in [*psutil.Process(driver.pid).children(recursive=True), driver]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def training_driver(hosts: Cluster) -> Iterator[subprocess.Popen[str]]:
    """Give a driver in a process of its own, once its fit has done an epoch."""
    hosts.free()
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, hosts.master, hosts.driver.address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PATHS},
        text=True,
    ) as driver:
        try:
            said = list(takewhile(lambda line: "epoch 2/" not in line, driver.stderr))
            assert driver.poll() is None, "".join(said)
            yield driver
        finally:
            kill(driver)


def test_nothing_is_left_on_the_workers_of_a_driver_that_was_killed(hosts):
    left, before = files_left(), processes(hosts)
    with training_driver(hosts) as driver:
        begun = processes(hosts) - before
        alpha, beta = hosts.workers.values()
        ranks = [process for process in python_processes(alpha) if connects(process.pid, beta)]
        ranks += [process for process in python_processes(beta) if connects(process.pid, alpha)]
        assert len(ranks) == 2
        assert begun >= set(ranks)
        kill(driver)  # its JVM too: nobody says a word to the executors
        _, alive = psutil.wait_procs(begun, timeout=30)
    for process in alive:
        process.kill()
    assert alive == []
    assert processes(hosts) <= before
    assert eventually(lambda: files_left() <= left)


def test_a_driver_that_is_cut_off_for_twenty_seconds_gets_its_model(hosts, undisturbed, caplog):
    # Horovod's ranks meet at the driver, those of torch at each other's hosts.
    fit = begun_fit(hosts, caplog, learner(collective="horovod"))
    hosts.driver.cut()
    time.sleep(20)
    hosts.driver.restore()
    assert fit.result(timeout=60).weights == undisturbed.weights


def test_nothing_is_left_on_the_workers_when_the_drivers_host_is_gone(hosts, caplog):
    hosts.free()
    left, before = files_left(), processes(hosts)
    fit = begun_fit(hosts, caplog, learner(collective="horovod", epochs=100_000), **ALONE_LATER)
    ranks = busy(workers(hosts))
    assert len(ranks) >= 2
    executors = {process.parent().parent() for process in ranks}
    hosts.driver.cut()
    try:
        # The first one ends its process; another that misses it may end its task, and waits for the next one, until
        # its executor ends.
        assert eventually(lambda: not all(process.is_running() for process in ranks) and busy(ranks) == [], 60)
        assert all(executor.is_running() for executor in executors)  # it was not Spark that ended the ranks
        assert eventually(lambda: processes(hosts) <= before, 100)
        assert eventually(lambda: files_left() <= left)
    finally:
        hosts.driver.restore()
    assert isinstance(fit.exception(timeout=60), RankFailure)
