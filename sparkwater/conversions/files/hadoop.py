"""Small files and whole folders on Hadoop filesystems: reading, and atomic replacement.

Driver side.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from sparkwater.errors import CheckpointError, ConfigurationError, SparkwaterError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Py4J moves bytes as text, in memory.
_CHUNK_BYTES = 4 * 1024 * 1024


def write_bytes(spark: SparkSession, path: str, content: bytes) -> None:
    """Write a new file."""
    filesystem, target = resolve(spark, path)
    stream = filesystem.create(target, False)
    try:
        for start in range(0, len(content), _CHUNK_BYTES):
            stream.write(bytearray(content[start : start + _CHUNK_BYTES]))
    finally:
        stream.close()


def read_bytes(spark: SparkSession, path: str, failure: type[SparkwaterError]) -> bytes:
    """Return the content of a file.

    Raises
    ------
    SparkwaterError
        Of the class ``failure``, if it isn't there or can't be read.
    """
    filesystem, target = resolve(spark, path)
    try:
        stream = filesystem.open(target)
        try:
            return bytes(_jvm(spark).org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()
    except Py4JJavaError as error:
        raise failure(f"{path!r} can't be read: {error.java_exception.toString()}") from error


@contextmanager
def replacing(spark: SparkSession, path: str, overwrite: bool) -> Iterator[str]:
    """Write a folder beside a path and swap it in when the ``with`` block ends well.

    Until then, and also when the block raises, whatever was at the path stays as it is.

    Yields
    ------
    str
        The folder to write to.

    Raises
    ------
    ConfigurationError
        If something is at the path and may not be overwritten.
    """
    filesystem, target = resolve(spark, path)
    if filesystem.exists(target) and not overwrite:
        raise ConfigurationError(
            f"{path!r} exists already; write().overwrite().save(path) or mode='overwrite' replaces it"
        )
    beside = f"{path.rstrip('/')}.writing-{uuid.uuid4().hex}"
    _, written = resolve(spark, beside)
    try:
        yield beside
        _swap(spark, filesystem, written, target, path)
    finally:
        filesystem.delete(written, True)


def _swap(spark: SparkSession, filesystem: Any, written: Any, target: Any, path: str) -> None:
    if target.getParent() is not None:
        filesystem.mkdirs(target.getParent())
    if not filesystem.exists(target):
        _rename(filesystem, written, target)
        return
    _, replaced = resolve(spark, f"{path.rstrip('/')}.replaced-{uuid.uuid4().hex}")
    _rename(filesystem, target, replaced)
    try:
        _rename(filesystem, written, target)
    except BaseException:
        _rename(filesystem, replaced, target)
        raise
    filesystem.delete(replaced, True)


def _rename(filesystem: Any, source: Any, target: Any) -> None:
    if not filesystem.rename(source, target):
        raise CheckpointError(f"{source.toString()} could not be renamed to {target.toString()}")


def resolve(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Return the Hadoop filesystem of a path, and the path as Hadoop takes it."""
    target = _jvm(spark).org.apache.hadoop.fs.Path(path)
    return target.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf()), target


def _jvm(spark: SparkSession) -> Any:
    return spark._jvm
