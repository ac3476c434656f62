"""Sessions with a JVM in the driver's process."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import StorageLevel
from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.util import inheritable_thread_target

from sparkwater.conversions.sessions.contexts import in_context
from sparkwater.conversions.sessions.shipping import Inline
from sparkwater.errors import SparkwaterError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: Py4J moves bytes as text, in memory.
_CHUNK_BYTES = 4 * 1024 * 1024


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
        """The seconds after which Spark gives up an executor that it doesn't hear of."""
        return float(self._context.conf().getTimeAsSeconds("spark.network.timeout", "120s"))

    def executor_places(self) -> list[tuple[str, int]]:
        """Return host and port of the executors that Spark counts on."""
        listed = self._context.statusStore().executorList(True)
        executors = [listed.apply(place) for place in range(listed.size())]
        places = [one.hostPort().rpartition(":") for one in executors if one.id() != "driver"]
        return [(host, int(port)) for host, _, port in places]

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


class ClassicFiles:
    """Files by Hadoop's filesystems, in the driver's JVM.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session, whose settings the filesystems have.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._spark: Any = spark

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder."""
        filesystem, target = self._resolve(path)
        return bool(filesystem.exists(target))

    def read(self, path: str, failure: type[SparkwaterError]) -> bytes:
        """Return a file's content; ``failure`` is raised where it can't be read."""
        filesystem, target = self._resolve(path)
        try:
            stream = filesystem.open(target)
            try:
                return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
            finally:
                stream.close()
        except Py4JJavaError as error:
            raise failure(f"{path!r} can't be read: {error.java_exception.toString()}") from error

    def write(self, path: str, content: bytes) -> None:
        """Write a new file, and the folders above it."""
        filesystem, target = self._resolve(path)
        stream = filesystem.create(target, False)
        try:
            for start in range(0, len(content), _CHUNK_BYTES):
                stream.write(bytearray(content[start : start + _CHUNK_BYTES]))
        finally:
            stream.close()

    def make_private_folder(self, path: str) -> None:
        """Make a folder that its owner alone may enter, where the filesystem knows permissions."""
        filesystem, folder = self._resolve(path)
        filesystem.mkdirs(folder)
        filesystem.setPermission(folder, self._jvm.org.apache.hadoop.fs.permission.FsPermission("700"))

    def delete(self, path: str) -> None:
        """Delete a file or a whole folder, where it is there."""
        filesystem, target = self._resolve(path)
        filesystem.delete(target, True)

    def move(self, source: str, target: str) -> bool:
        """Rename a file or folder, and make the folders above the target; return whether it was done."""
        filesystem, old = self._resolve(source)
        _, new = self._resolve(target)
        if new.getParent() is not None:
            filesystem.mkdirs(new.getParent())
        return bool(filesystem.rename(old, new))

    def list_files(self, path: str) -> dict[str, str]:
        """Return the full paths of all files in a folder and in those within, by their names relative to it."""
        filesystem, folder = self._resolve(path)
        root = len(filesystem.makeQualified(folder).toString())
        found, files = {}, filesystem.listFiles(folder, True)
        while files.hasNext():
            file = files.next().getPath().toString()
            found[file[root:].lstrip("/")] = file
        return found

    def count_row_groups(self, path: str) -> dict[str, int]:
        """Return the row groups of each Parquet file in a folder, from the footers; several at a time."""
        filesystem, folder = self._resolve(path)
        reader = self._jvm.org.apache.parquet.hadoop.ParquetFileReader
        footers = reader.readAllFootersInParallel(filesystem.getConf(), filesystem.getFileStatus(folder), False)
        return {footer.getFile().getName(): footer.getParquetMetadata().getBlocks().size() for footer in footers}

    @contextmanager
    def temporary_folder(self) -> Iterator[str]:
        """Give the path of a folder that is not there yet, on the filesystem of Spark; it is deleted at the end."""
        filesystem, _ = self._resolve("/")
        if filesystem.getUri().getScheme() == "file":
            with tempfile.TemporaryDirectory(prefix="sparkwater-") as local:
                yield f"file:{local}/model"
            return
        path = f"{filesystem.getHomeDirectory().toString()}/.sparkwater-{uuid.uuid4().hex}"
        try:
            yield path
        finally:
            self.delete(path)

    @property
    def _jvm(self) -> Any:
        return self._spark._jvm

    def _resolve(self, path: str) -> tuple[Any, Any]:
        """Return the Hadoop filesystem of a path, and the path as Hadoop takes it."""
        target = self._jvm.org.apache.hadoop.fs.Path(path)
        return target.getFileSystem(self._spark._jsparkSession.sessionState().newHadoopConf()), target
