"""Sessions of Spark Connect: a client without a JVM, whose driver is a server."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import functions as F
from pyspark.util import inheritable_thread_target

from sparkwater.conversions.sessions.contexts import in_context
from sparkwater.conversions.sessions.kept_rows import drop_unused, keep_rows
from sparkwater.conversions.sessions.remote_files import RemoteFiles
from sparkwater.conversions.sessions.shipping import Inline, Shipped, ship
from sparkwater.conversions.sessions.versions import check_server

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: Profiles that a server knows, by its session and what a task asks for.
_profiles: dict[tuple[str, int, int], ResourceProfile] = {}

#: Sessions whose server's version was compared with this process's.
_compared: set[str] = set()

#: Spark makes as many partitions of a range as it has cores, where the range is longer.
_LONG = 1 << 16


class ConnectSession:
    """A session whose driver is a Spark Connect server.

    Parameters
    ----------
    spark : pyspark.sql.connect.session.SparkSession
        The session.

    Raises
    ------
    ConfigurationError
        If this process has a newer Spark than the server.
    """

    remote = True
    #: A client isn't told.
    heartbeat_seconds = 0.0

    def __init__(self, spark: SparkSession) -> None:
        self._spark: Any = spark
        _check_server(spark)

    @property
    def files(self) -> RemoteFiles:
        """Files by tasks on the server's side; by this process where it shares the server's machine."""
        return RemoteFiles(self._spark, self.shares_machine)

    @property
    def shares_machine(self) -> bool:
        """True where client, driver and executors run on one machine: ``remote("local[...]")`` starts a server here."""
        return self._master.startswith("local") and "SPARK_LOCAL_REMOTE" in os.environ

    @property
    def most_models(self) -> int | None:
        """A hundred on Spark 4.0, whose server drops older ones without a word; from 4.1 on it writes them to disk."""
        return 100 if self._spark.version.startswith("4.0.") else None

    @property
    def default_parallelism(self) -> int:
        """The number of partitions where nothing else decides; takes a small job unless the master URL says it."""
        return self._promised or self._count_range()

    def running_slots(self, profile: ResourceProfile | None) -> int | None:
        """Return the number of tasks of a profile that the present executors run at the same time.

        None where nobody says it: a remote session can't ask the scheduler, and `default_parallelism` is what the
        user set.
        """
        if self._conf("spark.default.parallelism") or self._conf("spark.sql.leafNodeDefaultParallelism"):
            return None
        own = int(self._conf("spark.task.cpus") or 1)
        cpus = own if profile is None else int(profile.taskResources["cpus"].amount)
        return self.default_parallelism // cpus

    def executor_places(self) -> list[tuple[str, int]]:
        """Return nothing: a client isn't told."""
        return []

    def known_profile(self, cpus: int, gpus: int) -> ResourceProfile:
        """Return a profile of tasks that the server knows: that of an earlier call where there was one."""
        key = (self._spark.session_id, cpus, gpus)
        if key not in _profiles:
            requests = TaskResourceRequests().cpus(cpus).resource("gpu", gpus)
            _profiles[key] = ResourceProfileBuilder().require(requests).build
        return _profiles[key]

    @property
    def client_host(self) -> str | None:
        """The address of this process on the way to the server; None for loopback."""
        if self.shares_machine:
            return None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((self._spark.client.host, 9))  # sends nothing
            except OSError:
                return None
            return str(probe.getsockname()[0])

    def activate(self) -> None:
        """Make this the thread's active session: models on the server look nowhere else for theirs."""
        type(self._spark)._set_default_and_active_session(self._spark)

    def in_thread(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function for another thread, where this session is the active one, with this thread's tags."""

        def run(*given: Any) -> Any:
            self.activate()
            return work(*given)

        target: Callable[..., Any] = inheritable_thread_target(self._spark)(in_context(run))
        return target

    @contextmanager
    def tagged(self, tag: str) -> Iterator[None]:
        """Give a tag to the jobs that this thread starts in the ``with`` block, and those that `in_thread` makes."""
        self._spark.addTag(tag)
        try:
            yield
        finally:
            self._spark.removeTag(tag)

    def cancel(self, tag: str) -> None:
        """Cancel the running jobs that have a tag."""
        self._spark.interruptTag(tag)

    @property
    def stopped(self) -> bool:
        """True where the client was closed; a server that is gone is seen at the next request only."""
        return bool(self._spark.is_stopped)

    def with_columns(self, frame: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
        """Return the DataFrame with columns in place of those of their names, or after all; with their metadata.

        Connect's own ``withColumns`` drops metadata.
        """
        names = {name.lower(): name for name in columns}
        own = {name: columns[names[name.lower()]] for name in frame.columns if name.lower() in names}
        kept = [own.get(name, F.col(_quoted(name))) for name in frame.columns]
        there = {name.lower() for name in own}
        return frame.select(*kept, *(column for name, column in columns.items() if name.lower() not in there))

    def ship(self, value: Any) -> Inline | Shipped:
        """Return a value for executor functions; a large one travels by itself, once a session."""
        return ship(self._spark, value)

    def keep(self, frame: DataFrame) -> DataFrame:
        """Return the rows as they are now, computed at once: without the models in the plan that gave them."""
        return keep_rows(self._spark, frame)

    def release(self, models: Iterable[Any], estimator: Any) -> None:
        """Drop fitted models of Spark's from the server's cache: that of Spark 4.0 holds a hundred.

        Those inside of pipelines too; models that were in the estimator already stay.
        """
        fitted = {name for model in models for name in _references(model)} - set(_references(estimator))
        self._spark.client._delete_ml_cache(sorted(fitted))
        drop_unused(self._spark)

    @property
    def _master(self) -> str:
        return self._conf("spark.master")

    @property
    def _promised(self) -> int | None:
        """The cores that a local master URL promises."""
        if match := re.fullmatch(r"local\[\s*(\d+)\s*(?:,\s*\d+\s*)?]", self._master):
            return int(match[1])
        return None

    def _conf(self, name: str) -> str:
        return self._spark.conf.get(name, None) or ""

    def _count_range(self) -> int:
        numbers = self._spark.range(_LONG).select(F.spark_partition_id().alias("number"))
        return int(numbers.distinct().count())


def _check_server(spark: Any) -> None:
    """Refuse a server that is older than this process's Spark; it is asked once a session."""
    if spark.session_id not in _compared:
        check_server(spark.version)
        _compared.add(spark.session_id)


def _references(stage: Any) -> Iterator[str]:
    """Yield the server's names of a model and of those inside of it.

    From Spark 4.1 on they are objects that the client counts by itself.
    """
    name = getattr(stage, "_java_obj", None)
    if isinstance(name, str) and "." not in name:
        yield name
    inner = [getattr(stage, "bestModel", None)]
    for held in (getattr(stage, "stages", None), getattr(stage, "models", None)):
        inner += held if isinstance(held, list) else []  # of an estimator they are Params
    if hasattr(stage, "getStages") and stage.isDefined("stages"):
        inner += stage.getStages()
    for name in ("estimator", "classifier"):  # of cross-validators, and of one against the rest
        if hasattr(stage, "hasParam") and stage.hasParam(name) and stage.isDefined(name):
            inner.append(stage.getOrDefault(name))
    for one in inner:
        if one is not None:
            yield from _references(one)


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
