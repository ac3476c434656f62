"""A petastorm dataset's files, on any filesystem that Spark knows: written beside, read back, swapped in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from sparkwater.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def replacing(spark: SparkSession, url: str, overwrite: bool) -> Iterator[str]:
    """Write a folder beside a URL and swap it in when the ``with`` block ends well; driver side.

    Until then, and also when the block raises, whatever was there stays as it is.

    Yields
    ------
    str
        The folder to write to.

    Raises
    ------
    ConfigurationError
        If something is there and may not be overwritten.
    """
    filesystem, target = _resolve(spark, url)
    if filesystem.exists(target) and not overwrite:
        raise ConfigurationError(f"{url!r} exists already; mode='overwrite' replaces it")
    beside = f"{url.rstrip('/')}.writing-{uuid.uuid4().hex}"
    _, written = _resolve(spark, beside)
    try:
        yield beside
        _swap(spark, filesystem, written, target, url)
    finally:
        filesystem.delete(written, True)


def write_file(spark: SparkSession, url: str, content: bytes) -> None:
    """Write a new file, which Py4J takes as text in memory: for small ones."""
    filesystem, target = _resolve(spark, url)
    stream = filesystem.create(target, False)
    try:
        stream.write(bytearray(content))
    finally:
        stream.close()


def read_file(spark: SparkSession, url: str) -> bytes:
    """Return the content of a small file.

    Raises
    ------
    DataError
        If it isn't there or can't be read.
    """
    filesystem, target = _resolve(spark, url)
    try:
        stream = filesystem.open(target)
        try:
            return bytes(_jvm(spark).org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()
    except Py4JJavaError as error:
        raise DataError(f"{url!r} can't be read: {error.java_exception.toString()}") from error


def count_row_groups(spark: SparkSession, url: str) -> dict[str, int]:
    """Return the row groups in each Parquet file of a folder, from the footers; read by the JVM, several at a time."""
    filesystem, target = _resolve(spark, url)
    reader = _jvm(spark).org.apache.parquet.hadoop.ParquetFileReader
    footers = reader.readAllFootersInParallel(filesystem.getConf(), filesystem.getFileStatus(target), False)
    return {footer.getFile().getName(): footer.getParquetMetadata().getBlocks().size() for footer in footers}


def _swap(spark: SparkSession, filesystem: Any, written: Any, target: Any, url: str) -> None:
    if not filesystem.exists(target):
        _rename(filesystem, written, target)
        return
    _, replaced = _resolve(spark, f"{url.rstrip('/')}.replaced-{uuid.uuid4().hex}")
    _rename(filesystem, target, replaced)
    try:
        _rename(filesystem, written, target)
    except BaseException:
        _rename(filesystem, replaced, target)
        raise
    filesystem.delete(replaced, True)


def _rename(filesystem: Any, source: Any, target: Any) -> None:
    if not filesystem.rename(source, target):
        raise DataError(f"{source.toString()} could not be renamed to {target.toString()}")


def _resolve(spark: SparkSession, url: str) -> tuple[Any, Any]:
    target = _jvm(spark).org.apache.hadoop.fs.Path(url)
    return target.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf()), target


def _jvm(spark: SparkSession) -> Any:
    return spark._jvm
