"""Preflight checks of the cluster, on the driver, before any job."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

from sparkwater.conversions.sessions.session import master, session_of
from sparkwater.conversions.sessions.versions import first_numbers
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.connections import missing_collective
from sparkwater.ml.launch.apart import silent
from sparkwater.ml.launch.resources import rank_profile

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

#: The first Spark whose mapInArrow takes a resource profile.
OLDEST_SPARK = (4, 0)

#: Settings under which Spark encrypts or authenticates its own traffic; the ranks' is plain.
_PROTECTED = (
    "spark.authenticate",
    "spark.network.crypto.enabled",
    "spark.ssl.enabled",
    "spark.ssl.rpc.enabled",
    "spark.io.encryption.enabled",
)


def check_cluster(
    spark: SparkSession,
    num_workers: int,
    collective: str,
    device: str,
    start_timeout: int,
    allow_plaintext: bool,
) -> None:
    """Refuse a training that this cluster can't run.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session to run in.
    num_workers : int
        Ranks; all of them must run at the same time.
    collective : str
        The collective that sums gradients.
    device : str
        The estimator's ``device``.
    start_timeout : int
        Seconds to wait for executors that are still starting.
    allow_plaintext : bool
        Whether ranks may talk in plain text where Spark itself doesn't.

    Raises
    ------
    ConfigurationError
        With the request, the cluster's resources, and advice.
    """
    check_spark_version(spark.version)
    _check_settings(spark, num_workers, allow_plaintext or collective == "memory")
    if session_of(spark).shares_machine:
        # Executors here run this very Python; elsewhere the ranks look for themselves.
        refusal = missing_collective(collective, num_workers)
        if refusal:
            raise ConfigurationError(refusal)
    wait_for_slots(spark, num_workers, device, start_timeout)


def check_spark_version(version: str) -> None:
    """Refuse a Spark that is too old."""
    if first_numbers(version) < OLDEST_SPARK:
        raise ConfigurationError(
            f"Spark {version} is too old: sparkwater needs Spark {OLDEST_SPARK[0]}.{OLDEST_SPARK[1]} or newer, "
            "on the cluster as well as in Python (pip install 'pyspark>=4.0')"
        )


def _check_settings(spark: SparkSession, num_workers: int, allow_plaintext: bool) -> None:
    # Spark fails such a job itself, once it has begun (DAGScheduler.checkBarrierStageWithDynamicAllocation, in 4.0 as
    # in 4.3). On a local master the setting means nothing to it (Utils.isDynamicAllocationEnabled).
    if _is_on(spark, "spark.dynamicAllocation.enabled") and not re.fullmatch(r"local(\[.*)?", master(spark)):
        raise ConfigurationError(
            "spark.dynamicAllocation.enabled=true: all ranks of a training must run at the same time, and Spark has no "
            "barrier stages with dynamic allocation; set it to false and spark.executor.instances as needed"
        )
    protected = [name for name in _PROTECTED if _is_on(spark, name)]
    if protected and num_workers > 1 and not allow_plaintext:
        raise ConfigurationError(
            f"{protected[0]}=true protects Spark's traffic, but the ranks exchange gradients in plain text; "
            "set allowPlaintext=True where the network between executors is trusted, or use collective='memory' on one "
            "machine, or numWorkers=1"
        )


def wait_for_slots(spark: SparkSession, num_workers: int, device: str, start_timeout: int) -> None:
    """Wait until the cluster can run all ranks at the same time.

    Raises
    ------
    ConfigurationError
        If it can't within ``start_timeout`` seconds; at once where it never will.
    """
    profile = rank_profile(spark, device)
    deadline = time.monotonic() + start_timeout
    while (running := session_of(spark).running_slots(profile)) is not None and running < num_workers:
        promised = promised_slots(master(spark), running) if profile is None else None
        hopeless = promised is not None and promised < num_workers
        if hopeless or time.monotonic() > deadline:
            waited = "" if hopeless else f" after startTimeout={start_timeout} seconds"
            raise ConfigurationError(
                f"numWorkers={num_workers}, but the cluster runs {promised if hopeless else running} tasks at a time"
                f"{waited} ({_task_needs(spark, profile)}); lower numWorkers, or give Spark more cores or executors"
            )
        time.sleep(0.1)


def wait_for_lost_executors(spark: SparkSession, start_timeout: int) -> None:
    """Wait until all executors that Spark counts on can be reached.

    Spark counts on executors of a host that is cut off until it has missed their heartbeats for long enough, and
    would give them ranks. Either they come back, or Spark gives them up, and others may take their place.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session to run in.
    start_timeout : int
        Seconds to wait beyond those after which Spark gives them up.
    """
    session = session_of(spark)
    deadline = time.monotonic() + start_timeout + session.heartbeat_seconds
    while unreached := silent(session.executor_places()):
        if time.monotonic() > deadline:
            logger.warning("executors on %s can't be reached, and Spark counts on them", ", ".join(unreached))
            return
        time.sleep(0.5)


def _task_needs(spark: SparkSession, profile: ResourceProfile | None) -> str:
    if profile is None:
        return f"spark.task.cpus={spark.conf.get('spark.task.cpus', '1')}"
    cores = int(profile.taskResources["cpus"].amount)
    return f"each with a GPU and {cores} cores; device='cpu' trains without GPUs"


def promised_slots(master: str, running: int) -> int | None:
    """Return the slots that there will be once all executors run, or None where only time can tell.

    Parameters
    ----------
    master : str
        Spark's master URL.
    running : int
        The slots that there are now.
    """
    if match := re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,\s*\d+\s*]", master):
        return int(match[1]) * int(match[2])
    return running if master.startswith("local") else None


def is_local(spark: SparkSession) -> bool:
    """Return whether driver and executors always share a machine: ``local[N]``, or ``local-cluster[...]``."""
    return master(spark).startswith("local")


def _is_on(spark: SparkSession, name: str) -> bool:
    return (spark.conf.get(name, "false") or "false").lower() == "true"
