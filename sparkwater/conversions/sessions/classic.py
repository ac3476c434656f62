"""Sessions with a JVM in the driver's process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError
from pyspark import StorageLevel
from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.util import inheritable_thread_target

from sparkwater.conversions.sessions.classic_files import ClassicFiles
from sparkwater.conversions.sessions.contexts import in_context
from sparkwater.conversions.sessions.shipping import Inline

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: Settings of how long the driver waits for a heartbeat: the first that is set counts, before the whole network's.
_HEARTBEAT_TIMEOUTS = ("spark.storage.blockManagerHeartbeatTimeoutMs", "spark.storage.blockManagerSlaveTimeoutMs")


class ClassicSession:
    """A session whose driver is this process.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    """

    remote = False
    most_models = None

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    @property
    def files(self) -> ClassicFiles:
        """Files by Hadoop's filesystems."""
        return ClassicFiles(self._spark)

    @property
    def shares_machine(self) -> bool:
        """True where driver and executors always share a machine."""
        return (self._spark.conf.get("spark.master", "") or "").startswith("local")

    @property
    def client_host(self) -> str | None:
        """The driver's address; None for loopback."""
        return None if self.shares_machine else self._spark.conf.get("spark.driver.host", None)

    @property
    def default_parallelism(self) -> int:
        """The number of partitions where nothing else decides."""
        return self._spark.sparkContext.defaultParallelism

    def running_slots(self, profile: ResourceProfile | None) -> int:
        """Return the number of tasks of a profile that the present executors run at the same time."""
        context = self._context
        own = context.resourceProfileManager().defaultResourceProfile()
        return int(context.maxNumConcurrentTasks(profile._java_resource_profile if profile else own))

    @property
    def heartbeat_seconds(self) -> float:
        """The seconds after which Spark has given up an executor that it doesn't hear of."""
        return longest_silence(self._context.conf())

    def executor_places(self) -> list[tuple[str, int]]:
        """Return host and port of the executors that Spark counts on."""
        listed = self._context.statusStore().executorList(True)
        executors = [listed.apply(place) for place in range(listed.size())]
        return places_of(one.hostPort() for one in executors if one.id() != "driver")

    def known_profile(self, cpus: int, gpus: int) -> ResourceProfile:
        """Return a profile of tasks that Spark's scheduler knows: that of an earlier call where there was one."""
        profile = ResourceProfileBuilder().require(TaskResourceRequests().cpus(cpus).resource("gpu", gpus)).build
        manager = self._context.resourceProfileManager()
        earlier = manager.getEquivalentProfile(profile._java_resource_profile)
        if earlier.isDefined():
            return ResourceProfile(_java_resource_profile=earlier.get())
        manager.addResourceProfile(profile._java_resource_profile)
        return profile

    def activate(self) -> None:
        """Do nothing: models find the JVM by themselves."""

    def in_thread(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function for another thread, whose jobs have this thread's tags and properties."""
        target: Callable[..., Any] = inheritable_thread_target(self._spark)(in_context(work))
        return target

    @contextmanager
    def tagged(self, tag: str) -> Iterator[None]:
        """Give a tag to the jobs that this thread starts in the ``with`` block, and those that `in_thread` makes."""
        self._spark.sparkContext.addJobTag(tag)
        try:
            yield
        finally:
            self._spark.sparkContext.removeJobTag(tag)

    def cancel(self, tag: str) -> None:
        """Cancel the running jobs that have a tag."""
        self._spark.sparkContext.cancelJobsWithTag(tag)

    @property
    def stopped(self) -> bool:
        """True where the JVM is gone, or its context was stopped."""
        try:
            return bool(self._context.isStopped())
        except (AttributeError, Py4JError, OSError):  # the context without a JVM, the JVM without a process
            return True

    def with_columns(self, frame: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
        """Return the DataFrame with columns added or replaced."""
        return frame.withColumns(dict(columns))

    def ship(self, value: Any) -> Inline:
        """Return a value for functions that run on executors; Spark broadcasts large functions."""
        return Inline(value)

    def keep(self, frame: DataFrame) -> DataFrame:
        """Return the rows, in Spark's cache once they are computed."""
        return frame.persist(StorageLevel.MEMORY_AND_DISK)

    def release(self, models: Iterable[Any], estimator: Any) -> None:
        """Do nothing: models that nobody uses are garbage."""

    @property
    def _context(self) -> Any:
        context: Any = self._spark.sparkContext
        return context._jsc.sc()


def longest_silence(conf: Any) -> float:
    """Return the seconds after which the driver has given up an executor that it doesn't hear of.

    ``org.apache.spark.HeartbeatReceiver`` looks once an interval for executors whose time is over, in Spark 4.0.5 as in
    4.3.0.

    Parameters
    ----------
    conf : py4j.java_gateway.JavaObject
        A ``SparkConf``; it knows the units.
    """
    given = next((name for name in _HEARTBEAT_TIMEOUTS if conf.contains(name)), None)
    patience = conf.getTimeAsMs(given) if given else 1000 * conf.getTimeAsSeconds("spark.network.timeout", "120s")
    return float(patience + conf.getTimeAsMs("spark.network.timeoutInterval", "60s")) / 1000


def places_of(texts: Iterable[str]) -> list[tuple[str, int]]:
    """Return hosts and ports; of an executor that has just begun Spark knows the host only, and it is left out."""
    places = [text.rpartition(":") for text in texts]
    return [(host, int(port)) for host, _, port in places if host and port.isdecimal()]
