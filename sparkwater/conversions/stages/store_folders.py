"""Stages saved on stores of objects, which rename nothing: the metadata is written last, as one file, and decides.

A stage's files are in a folder of a new name, and the metadata names it. Until the metadata's one file is there, or
has taken the place of the old one, nothing of an older stage has changed.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.files.session_files import check_free, files_of, new_folder
from sparkwater.conversions.stages.stage_folders import metadata_parts
from sparkwater.errors import CheckpointError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkwater.conversions.sessions.session import Files

logger = logging.getLogger(__name__)

_PATTERN = re.compile(r"content-[0-9a-f]{32}")


def write_to_store(
    spark: SparkSession, path: str, overwrite: bool, write: Callable[[str], None], metadata: Callable[[str], str]
) -> None:
    """Save a stage on a store of objects; driver side.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    path : str
        The stage's folder.
    overwrite : bool
        Whether a stage at the path is replaced.
    write : callable
        Writes the stage's files to the folder of the path that it gets.
    metadata : callable
        Returns the metadata, given the name of that folder.

    Raises
    ------
    ConfigurationError
        If something is at the path and may not be overwritten.
    """
    path, name = path.rstrip("/"), f"content-{uuid.uuid4().hex}"
    files = files_of(spark)
    check_free(spark, path, overwrite)
    with new_folder(files, f"{path}/{name}"):
        write(f"{path}/{name}")
        text = metadata(name)
    write_metadata(files, path, text, [name])


def write_metadata(files: Files, path: str, text: str, folders: Sequence[str]) -> None:
    """Write a stage's metadata, in place of that of an older one, and delete what it doesn't name.

    Parameters
    ----------
    files : Files
        The session's.
    path : str
        The stage's folder, on a store of objects.
    text : str
        The metadata.
    folders : sequence of str
        The folders in it that belong to the stage.
    """
    # Spark reads all files of the folder as one: a second must not appear.
    parts = metadata_parts(files, path) or [f"{path}/metadata/part-00000"]
    # Where this fails it may have been done all the same: the new folders stay, and the next save clears them.
    files.write(parts[0], text.encode())
    part = f"metadata/{parts[0].rpartition('/')[2]}"
    _clear(files, path, (part, *(f"{folder}/" for folder in folders)))


def content_of(path: str, own: Any) -> str:
    """Return the folder of a stage's files: its own, or the one that the metadata of a stage on a store names.

    Raises
    ------
    CheckpointError
        If the name is none that a save gives.
    """
    name = own.get("content") if isinstance(own, dict) else None
    if name is None:
        return path
    if not isinstance(name, str) or not _PATTERN.fullmatch(name):
        raise CheckpointError(f"{path!r} is damaged: its metadata names the folder {name!r}")
    return f"{path}/{name}"


def as_text(metadata: str) -> str:
    """Return metadata as Spark's text files hold it: one line."""
    return json.dumps(json.loads(metadata), separators=(",", ":")) + "\n"


def _clear(files: Files, path: str, stays: tuple[str, ...]) -> None:
    """Delete what earlier saves left; where that fails it stays, and is read by nobody."""
    try:
        for name in leftovers(files.list_files(path), stays):
            files.delete(f"{path}/{name}")
    except Exception as error:
        logger.warning("files of the model before in %s could not be deleted, and stay: %s", path, error)


def leftovers(names: Iterable[str], stays: Sequence[str]) -> list[str]:
    """Return the files to delete, and in their place whole folders in which nothing stays.

    File by file would take a request each, over Spark Connect a job, and leave the markers of empty folders.

    Parameters
    ----------
    names : iterable of str
        Files, relative to the stage's folder.
    stays : sequence of str
        Files that stay, and folders that do, with a slash at their end.
    """
    needed, within = {folder for one in stays for folder in _above(one)}, tuple(one for one in stays if one[-1] == "/")
    old = [name for name in names if name not in stays and not name.startswith(within)]
    return sorted({next((folder for folder in _above(name) if folder not in needed), name) for name in old})


def _above(name: str) -> list[str]:
    """Return the folders that a file or folder is in, the outermost first; of ``a/b/`` also ``a/b``."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
