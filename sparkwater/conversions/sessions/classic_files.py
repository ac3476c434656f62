"""Files of a session with a JVM in the driver's process."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from py4j.protocol import Py4JJavaError

from sparkwater.conversions.files.filesystems import is_store
from sparkwater.conversions.sessions.connectors import lacks_filesystem, missing_connector
from sparkwater.conversions.sessions.python_files import PythonFiles
from sparkwater.errors import CheckpointError, SparkwaterError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Py4J moves bytes as text, in memory.
_CHUNK_BYTES = 4 * 1024 * 1024

_F = TypeVar("_F", bound=Callable[..., Any])


def _or_python(method: _F) -> _F:
    """Return a method that does its work by Python's filesystems where Hadoop has none for a store of objects.

    What Hadoop refuses is a `CheckpointError` with the path, as Python's filesystems have it.
    """

    @wraps(method)
    def run(files: Any, path: str, *more: Any) -> Any:
        if is_store(path) and files.missing_for_spark(path):
            return getattr(PythonFiles(), method.__name__)(path, *more)
        try:
            return method(files, path, *more)
        except Py4JJavaError as error:
            raise _refused(path, error) from error

    given: Any = run
    return given


def _refused(path: str, error: Py4JJavaError) -> CheckpointError:
    return CheckpointError(f"{path!r}: {error.java_exception.toString()}")


class ClassicFiles:
    """Files by Hadoop's filesystems, in the driver's JVM; by Python's where Hadoop has none for a store of objects.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session, whose settings the filesystems have.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._spark: Any = spark

    @_or_python
    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder."""
        filesystem, target = self._resolve(path)
        return bool(filesystem.exists(target))

    @_or_python
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

    @_or_python
    def is_store(self, path: str) -> bool:
        """Return whether a path is on a store of objects, which has no renames."""
        filesystem, _ = self._resolve(path)
        return is_store(f"{filesystem.getUri().toString()}/")

    def missing_for_spark(self, path: str) -> str | None:
        """Return what Spark's own readers and writers lack to reach a path, and where it is from; None for nothing."""
        try:
            self._resolve(path)
        except Py4JJavaError as error:
            if not lacks_filesystem(error):
                raise _refused(path, error) from error
            return missing_connector(path, str(self._jvm.org.apache.hadoop.util.VersionInfo.getVersion()))
        return None

    @_or_python
    def write(self, path: str, content: bytes) -> None:
        """Write a new file, and the folders above it; on a store it takes the place of one that is there."""
        filesystem, target = self._resolve(path)
        stream = filesystem.create(target, self.is_store(path))
        try:
            for start in range(0, len(content), _CHUNK_BYTES):
                stream.write(bytearray(content[start : start + _CHUNK_BYTES]))
        finally:
            stream.close()

    @_or_python
    def make_private_folder(self, path: str) -> None:
        """Make a folder that its owner alone may enter, where the filesystem knows permissions."""
        filesystem, folder = self._resolve(path)
        filesystem.mkdirs(folder)
        filesystem.setPermission(folder, self._jvm.org.apache.hadoop.fs.permission.FsPermission("700"))

    @_or_python
    def delete(self, path: str) -> None:
        """Delete a file or a whole folder, where it is there."""
        filesystem, target = self._resolve(path)
        filesystem.delete(target, True)

    @_or_python
    def move(self, source: str, target: str) -> bool:
        """Rename a file or folder, and make the folders above the target; return whether it was done."""
        filesystem, old = self._resolve(source)
        _, new = self._resolve(target)
        if new.getParent() is not None:
            filesystem.mkdirs(new.getParent())
        return bool(filesystem.rename(old, new))

    @_or_python
    def list_files(self, path: str) -> dict[str, str]:
        """Return the full paths of all files in a folder and in those within, by their names relative to it."""
        filesystem, folder = self._resolve(path)
        root = len(filesystem.makeQualified(folder).toString())
        found, files = {}, filesystem.listFiles(folder, True)
        while files.hasNext():
            file = files.next().getPath().toString()
            found[file[root:].lstrip("/")] = file
        return found

    @_or_python
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
