"""Task resources of the training's stage: one GPU a rank, where the executors have some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.conversions.sessions.session import session_of

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import SparkSession


def rank_profile(spark: SparkSession, device: str) -> ResourceProfile | None:
    """Return the resources of one rank, or None where the session's own settings for tasks hold.

    Where executors have GPUs and the session doesn't say how many of them a task gets, a rank asks
    for one GPU, and for its share of the executor's cores: all of them run on GPUs that no other
    rank uses, while the session's other tasks go on as they were.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session to run in.
    device : str
        The estimator's ``device``; ``cpu`` asks for nothing.
    """
    gpus = int(spark.conf.get("spark.executor.resource.gpu.amount", "0") or 0)
    if device == "cpu" or not gpus or spark.conf.get("spark.task.resource.gpu.amount", None) is not None:
        return None
    cores = int(spark.conf.get("spark.executor.cores", "0") or 0)
    own = int(spark.conf.get("spark.task.cpus", "1") or 1)
    return session_of(spark).known_profile(max(own, cores // gpus), 1)
