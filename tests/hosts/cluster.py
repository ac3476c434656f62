"""A standalone Spark cluster on hosts of a `network.Network`: the driver in this process, master and workers beside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psutil
import pyspark
from conftest import ROOT, start_session
from hosts.network import Host, Network
from pyspark import SparkContext
from pyspark.sql import SparkSession

SETTINGS = {
    "spark.executor.memory": "600m",
    "spark.executor.cores": "1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.ui.enabled": "false",
}


class Cluster:
    """Hosts with Spark on them.

    Attributes
    ----------
    driver : Host
        The host of this process while its session runs, and of the master.
    workers : dict of str to Host
        Hosts with a worker each.
    stranger : Host
        A host without anything.
    """

    def __init__(self, network: Network) -> None:
        self._network, self._folder = network, network.folder
        self.driver = network.add(1, "driver")
        self.stranger = network.add(9, "stranger")
        self.workers: dict[str, Host] = {}
        self.master = f"spark://{self.driver.address}:7077"
        where = ["--host", self.driver.address, "--port", "7077", "--webui-port", "0"]
        self._spark(self.driver, "master.Master", where, {"SPARK_MASTER_OPTS": "-Dspark.worker.timeout=60"})

    def add_worker(self, number: int, name: str, cores: int = 1) -> Host:
        """Start a worker on a new host, or on one whose worker was ended, with an executor a core."""
        host = self.workers[name] = self._network.hosts.get(name) or self._network.add(number, name)
        options = ["--host", host.address, "--cores", str(cores), "--memory", f"{cores}g", "--webui-port", "0"]
        self._spark(host, "worker.Worker", [*options, "--work-dir", str(self._folder / name), self.master], {})
        return host

    def end_worker(self, name: str) -> None:
        """End a worker and its executors; the host stays, without a process."""
        processes = self.workers.pop(name).processes
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)

    def session(self, **given: str) -> SparkSession:
        """Return a session of this process, which must be on the driver's host, on this cluster."""
        return start_session(self.master, **settings(self.driver.address), **given)

    @staticmethod
    def free() -> None:
        """Stop this process's session, which holds all cores."""
        session = SparkSession.getActiveSession()
        if session is not None:
            session.stop()

    def _spark(self, host: Host, name: str, options: list[str], environment: dict[str, str]) -> None:
        home = Path(pyspark.__file__).parent
        environment = {
            **os.environ,
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": host.address,
            # Processes that are killed leave these behind, and Spark's own choice is the folder of all programs.
            "SPARK_LOCAL_DIRS": str(self._folder / f"{host.name}-local"),
            "PYTHONPATH": str(ROOT),
            "SPARK_DAEMON_MEMORY": "256m",
            "PYSPARK_PYTHON": sys.executable,
            **environment,
        }
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *options]
        with (self._folder / f"{host.name}.log").open("w") as log:
            subprocess.Popen(host.on(command), stdout=log, stderr=subprocess.STDOUT, env=environment)


def settings(address: str) -> dict[str, str]:
    """Return what a session of a driver at this address is started with."""
    return {**SETTINGS, "spark.driver.host": address, "spark.driver.bindAddress": address}


@contextmanager
def started(cores: Mapping[str, int] = MappingProxyType({"alpha": 1, "beta": 1})) -> Iterator[Cluster]:
    """Start a cluster, and put this process on the driver's host while the block runs.

    Parameters
    ----------
    cores : mapping of str to int
        The cores of each worker, by its host's name.
    """
    with Network() as network:
        cluster = Cluster(network)
        for number, name in enumerate(cores, 2):
            cluster.add_worker(number, name, cores[name])
        before = os.environ["SPARK_LOCAL_IP"]
        os.environ["SPARK_LOCAL_IP"] = cluster.driver.address
        _end_spark()  # a JVM of earlier tests is on another network
        try:
            with cluster.driver.entered():
                yield cluster
        finally:
            os.environ["SPARK_LOCAL_IP"] = before
            _end_spark()


def python_processes(host: Host) -> list[psutil.Process]:
    """Return the Python workers on a host; their daemon, which starts them, isn't one."""
    found = []
    for process in host.processes:
        with suppress(psutil.Error):
            daemon = process.parent().name() == "java"
            found += [process] if process.name().startswith("python") and not daemon else []
    return found


def _end_spark() -> None:
    """End this process's session and its JVM, so that the next session starts another one."""
    gateway = SparkContext._gateway
    if gateway is None:
        return
    # After a test that was stopped at its time limit it may not answer as it should.
    with suppress(Exception):
        Cluster.free()
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    with suppress(Exception):
        gateway.shutdown()
    gateway.proc.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        gateway.proc.wait(10)
    gateway.proc.kill()
    gateway.proc.wait()
