"""The one place that knows a Spark session: its slots, resources, files and threads.

Driver side. The rest of the package asks `session_of`, and touches no SparkContext, JVM or RDD: not every session has
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from sparkwater.errors import SparkwaterError

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import Column, DataFrame, SparkSession

#: What Spark says of cancelled jobs, and Spark Connect of interrupted requests.
_CANCELLED = re.compile(r"\bJob \d+ cancelled\b|\bOPERATION_CANCELED\b")


class Files(Protocol):
    """Small files and folders on the filesystems that Spark knows."""

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder."""
        ...

    def read(self, path: str, failure: type[SparkwaterError]) -> bytes:
        """Return a file's content; ``failure`` is raised where it can't be read."""
        ...

    def is_store(self, path: str) -> bool:
        """Return whether a path is on a store of objects: a file appears there as a whole, and nothing is renamed."""
        ...

    def missing_for_spark(self, path: str) -> str | None:
        """Return what Spark's own readers and writers lack to reach a path, as a message; None for nothing."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Write a new file, and the folders above it; on a store it takes the place of one that is there."""
        ...

    def make_private_folder(self, path: str) -> None:
        """Make a folder that its owner alone may enter, where the filesystem knows permissions."""
        ...

    def delete(self, path: str) -> None:
        """Delete a file or a whole folder, where it is there."""
        ...

    def move(self, source: str, target: str) -> bool:
        """Rename a file or folder, and make the folders above the target; return whether it was done."""
        ...

    def list_files(self, path: str) -> dict[str, str]:
        """Return the full paths of all files in a folder and in those within, by their names relative to it."""
        ...

    def count_row_groups(self, path: str) -> dict[str, int]:
        """Return the row groups of each Parquet file in a folder, by its name."""
        ...

    def temporary_folder(self) -> AbstractContextManager[str]:
        """Give the path of a folder that is not there yet; what is at it is deleted at the end."""
        ...


class Value(Protocol):
    """A value for functions that run on executors."""

    def get(self) -> Any:
        """Return the value; on an executor."""
        ...


class Session(Protocol):
    """Answers about a session, and what is done by it."""

    #: True for a client of a server, whose process isn't the driver.
    remote: bool

    @property
    def most_models(self) -> int | None:
        """The most models of Spark's own that can be in use; None where nothing but memory limits them."""
        ...

    @property
    def files(self) -> Files:
        """Its files."""
        ...

    @property
    def shares_machine(self) -> bool:
        """True where client, driver and executors always share a machine: ``local[N]``, ``local-cluster[...]``."""
        ...

    @property
    def client_host(self) -> str | None:
        """The address of this process at which executors may reach it; None for loopback."""
        ...

    @property
    def default_parallelism(self) -> int:
        """The number of partitions where nothing else decides: the cores of the executors."""
        ...

    def running_slots(self, profile: ResourceProfile | None) -> int | None:
        """Return the number of tasks of a profile that the present executors run at the same time; None if unknown."""
        ...

    @property
    def heartbeat_seconds(self) -> float:
        """The seconds after which Spark has given up an executor that it doesn't hear of; 0 where unknown."""
        ...

    def executor_places(self) -> list[tuple[str, int]]:
        """Return host and port of the executors that Spark counts on; none where nobody can know."""
        ...

    def known_profile(self, cpus: int, gpus: int) -> ResourceProfile:
        """Return a profile of tasks that Spark's scheduler knows: that of an earlier call where there was one."""
        ...

    def activate(self) -> None:
        """Make the session the active one of this thread, where models need it."""
        ...

    def in_thread(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function for another thread, whose jobs have this thread's tags and properties.

        It also has this thread's context variables.
        """
        ...

    def tagged(self, tag: str) -> AbstractContextManager[None]:
        """Give a tag to the jobs that this thread starts in the ``with`` block, and those that `in_thread` makes."""
        ...

    def cancel(self, tag: str) -> None:
        """Cancel the running jobs that have a tag."""
        ...

    @property
    def stopped(self) -> bool:
        """True where the session is known to be at its end: nothing runs by it any more."""
        ...

    def with_columns(self, frame: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
        """Return the DataFrame with columns added or replaced, as ``withColumns`` does; they keep their metadata."""
        ...

    def ship(self, value: Any) -> Value:
        """Return a value for functions that run on executors, however large it is."""
        ...

    def keep(self, frame: DataFrame) -> DataFrame:
        """Return the rows in Spark's memory or on its disks; `release` may drop the models that gave them."""
        ...

    def release(self, models: Iterable[Any], estimator: Any) -> None:
        """Drop fitted models that nobody uses any more, where a server holds them; not those the estimator had."""
        ...


def session_of(spark: SparkSession) -> Session:
    """Return what a session answers by."""
    if type(spark).__module__.startswith("pyspark.sql.connect"):
        from sparkwater.conversions.sessions.connect import ConnectSession

        return ConnectSession(spark)
    from sparkwater.conversions.sessions.classic import ClassicSession

    return ClassicSession(spark)


def current_session() -> SparkSession:
    """Return the process's session; a classic one is started where there is none."""
    from pyspark.sql import SparkSession
    from pyspark.sql.utils import is_remote

    return SparkSession.active() if is_remote() else SparkSession.builder.getOrCreate()


def spark_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of Spark: its own, and those of a JVM in this process, which a thin client lacks."""
    from pyspark.errors import PySparkException

    try:
        from py4j.protocol import Py4JJavaError
    except ImportError:
        return (PySparkException,)
    return (PySparkException, Py4JJavaError)


def was_cancelled(error: BaseException | None) -> bool:
    """Return whether an error came of Spark jobs that somebody cancelled, who wants no other ones in their place."""
    while error is not None:
        if _CANCELLED.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def master(spark: Any) -> str:
    """Return Spark's master URL, or an empty string."""
    return spark.conf.get("spark.master", "") or ""
