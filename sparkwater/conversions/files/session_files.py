"""Small files and whole folders on the session's filesystems: reading, and replacement as a whole.

Where folders can be renamed, a new one is written beside its target and swapped in. A store of objects has no renames,
but a file appears there as a whole: what is written last, and says what counts, decides.

Driver side.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sparkwater.conversions.sessions.session import Files, session_of
from sparkwater.errors import CheckpointError, ConfigurationError, SparkwaterError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


logger = logging.getLogger(__name__)


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

    Until then, and also when the block raises, whatever was at the path stays as it is. On a store of objects the
    folder is written in its place, and deleted when the block raises: write the file that makes it whole last.

    Yields
    ------
    str
        The folder to write to.

    Raises
    ------
    ConfigurationError
        As `check_replaceable` does.
    """
    files = files_of(spark)
    check_replaceable(spark, path, overwrite)
    if files.is_store(path):
        with new_folder(files, path):
            yield path
        return
    beside = f"{path.rstrip('/')}.writing-{uuid.uuid4().hex}"
    with new_folder(files, beside):
        yield beside
        _swap(files, beside, path)


def check_free(spark: SparkSession, path: str, overwrite: bool) -> None:
    """Refuse a path at which something is that may not be overwritten.

    Raises
    ------
    ConfigurationError
        With what replaces it.
    """
    if not overwrite and files_of(spark).exists(path):
        raise ConfigurationError(
            f"{path!r} exists already; write().overwrite().save(path) or mode='overwrite' replaces it"
        )


def check_replaceable(spark: SparkSession, path: str, overwrite: bool) -> None:
    """Refuse a path that `replacing` refuses.

    Raises
    ------
    ConfigurationError
        If something is at the path and may not be overwritten; on a store of objects it never may.
    """
    check_free(spark, path, overwrite)
    files = files_of(spark)
    if files.is_store(path) and files.exists(path):
        raise ConfigurationError(
            f"{path!r} exists, and a store of objects can't replace a folder as a whole; give a new path, or "
            "delete the old folder first"
        )


@contextmanager
def keeping(spark: SparkSession, place: str) -> Iterator[str]:
    """Write a folder that `kept` finds once the ``with`` block has ended well, and in place of an earlier one.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    place : str
        The folder's place; on a store of objects a file of that name and ``.json`` points to the folder, beside it.

    Yields
    ------
    str
        The folder to write to.
    """
    files = files_of(spark)
    if not files.is_store(place):
        with replacing(spark, place, True) as folder:
            yield folder
        return
    folder = f"{place}-{uuid.uuid4().hex}"
    with new_folder(files, folder):
        yield folder
    point_to(spark, place, folder)


def point_to(spark: SparkSession, place: str, folder: str) -> None:
    """Let `kept` find a folder for a place on a store of objects."""
    write_bytes(spark, f"{place}.json", json.dumps({"folder": folder}).encode())


def kept(spark: SparkSession, place: str) -> str | None:
    """Return the folder that was written for a place by `keeping`, or None where none was finished.

    Raises
    ------
    CheckpointError
        If a store's pointer is damaged.
    """
    files = files_of(spark)
    if not files.is_store(place):
        return place if files.exists(place) else None
    if not files.exists(f"{place}.json"):
        return None
    try:
        folder = str(json.loads(read_bytes(spark, f"{place}.json", CheckpointError))["folder"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{place}.json is damaged: {error!r}; delete it") from error
    # Somebody may have deleted the folder, and not the pointer.
    return folder if files.exists(folder) else None


def check_spark_reaches(spark: SparkSession, path: str) -> None:
    """Refuse a path that Spark's own readers and writers don't reach; runs no job.

    Raises
    ------
    ConfigurationError
        With the connector to add.
    """
    missing = files_of(spark).missing_for_spark(path)
    if missing:
        raise ConfigurationError(missing)


@contextmanager
def new_folder(files: Files, folder: str) -> Iterator[None]:
    """Write a folder, and delete it where the ``with`` block raises; the block's own error is the one raised."""
    try:
        yield
    except BaseException:
        try:
            files.delete(folder)
        except Exception as error:
            logger.warning("what was written to %s could not be deleted, and stays: %s", folder, error)
        raise


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
