"""Small files and whole folders on the session's filesystems: reading, and atomic replacement.

Driver side.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sparkwater.conversions.sessions.session import Files, session_of
from sparkwater.errors import CheckpointError, ConfigurationError, SparkwaterError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def files_of(spark: SparkSession) -> Files:
    """Return the files of a session."""
    return session_of(spark).files


def write_bytes(spark: SparkSession, path: str, content: bytes) -> None:
    """Write a new file."""
    files_of(spark).write(path, content)


def read_bytes(spark: SparkSession, path: str, failure: type[SparkwaterError]) -> bytes:
    """Return the content of a file.

    Raises
    ------
    SparkwaterError
        Of the class ``failure``, if it isn't there or can't be read.
    """
    return files_of(spark).read(path, failure)


def copy_to_driver(spark: SparkSession, path: str, folder: Path) -> None:
    """Copy a folder of files, each no larger than the driver's memory, to the driver's machine.

    Raises
    ------
    CheckpointError
        If a file can't be read.
    """
    files = files_of(spark)
    for name, file in files.list_files(path).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files.read(file, CheckpointError))


def copy_from_driver(spark: SparkSession, folder: Path, path: str) -> None:
    """Copy a folder of files, each no larger than the driver's memory, from the driver's machine."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            write_bytes(spark, f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())


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
    files = files_of(spark)
    if files.exists(path) and not overwrite:
        raise ConfigurationError(
            f"{path!r} exists already; write().overwrite().save(path) or mode='overwrite' replaces it"
        )
    beside = f"{path.rstrip('/')}.writing-{uuid.uuid4().hex}"
    try:
        yield beside
        _swap(files, beside, path)
    finally:
        files.delete(beside)


def _swap(files: Files, written: str, target: str) -> None:
    if not files.exists(target):
        _rename(files, written, target)
        return
    replaced = f"{target.rstrip('/')}.replaced-{uuid.uuid4().hex}"
    _rename(files, target, replaced)
    try:
        _rename(files, written, target)
    except BaseException:
        _rename(files, replaced, target)
        raise
    files.delete(replaced)


def _rename(files: Files, source: str, target: str) -> None:
    if not files.move(source, target):
        raise CheckpointError(f"{source} could not be renamed to {target}")
