"""Files of a bundle, read once and checked before anything is made of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkwater.bundle.format import (
    FORMAT,
    MANIFEST,
    MODEL,
    MOST_BYTES,
    MOST_MANIFEST_BYTES,
    PREPROCESSING,
    SIGNATURE,
    VECTORS,
)
from sparkwater.errors import CheckpointError, UnsafeLoadError

#: Files that a scorer needs.
_NEEDED = (MODEL, SIGNATURE, PREPROCESSING, VECTORS)

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BundleFiles:
    """The content of a bundle's files, as their hashes say it is.

    Attributes
    ----------
    path : str
        The folder.
    manifest : dict
        The manifest.
    content : dict of str to bytes
        The files, by name.
    """

    path: str
    manifest: dict[str, Any]
    content: Mapping[str, bytes]

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file.

        Raises
        ------
        CheckpointError
            If the file holds something else.
        """
        return parse_object(self.content[name], f"{self.path}/{name}")


def read_files(path: str | os.PathLike[str]) -> BundleFiles:
    """Return the files of a bundle.

    Each file is opened once and without following links, is as long as the manifest says, and has the SHA-256 that
    the manifest says. The folder holds no other files; those whose names begin with a period are passed over.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged or too large, or the bundle is of another format.
    UnsafeLoadError
        If the manifest names a file outside the folder or one that no bundle has, a file is a link or no regular
        file, or the folder holds a file that the manifest doesn't name.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise CheckpointError(f"{str(path)!r} is no folder; a bundle is a folder with {MANIFEST}")
    manifest = parse_object(_read(folder, MANIFEST, MOST_MANIFEST_BYTES), f"{folder}/{MANIFEST}")
    _check_format(manifest, folder)
    _check_facts(manifest, folder)
    entries = _entries(manifest, folder)
    _check_names(folder, entries)
    return BundleFiles(str(folder), manifest, {name: _checked(folder, name, entry) for name, entry in entries.items()})


def parse_object(content: bytes, place: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises
    ------
    CheckpointError
        If it is none, with the file.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{place} is damaged: it is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{place} is damaged: it holds no JSON object")
    return found


def _check_format(manifest: Mapping[str, Any], folder: Path) -> None:
    number = manifest.get("format")
    if type(number) is not int or number < 1:
        raise CheckpointError(f"{folder}/{MANIFEST} is damaged: format is {number!r}")
    if number > FORMAT:
        raise CheckpointError(
            f"{str(folder)!r} has format {number}; this sparkwater reads format {FORMAT}. Update sparkwater, or export "
            "the model again with this version"
        )


def _check_facts(manifest: Mapping[str, Any], folder: Path) -> None:
    for name in ("versions", "metrics"):
        if not isinstance(manifest.get(name) or {}, dict):
            raise CheckpointError(f"{folder}/{MANIFEST} is damaged: {name} is no object")


def _entries(manifest: Mapping[str, Any], folder: Path) -> dict[str, Mapping[str, Any]]:
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{folder}/{MANIFEST} is damaged: it names no files")
    for name in files:
        if name not in MOST_BYTES:
            raise UnsafeLoadError(f"{folder}/{MANIFEST} names {name!r}; a bundle's files are {', '.join(MOST_BYTES)}")
    for name in _NEEDED:
        if name not in files:
            raise CheckpointError(f"{folder}/{MANIFEST} names no {name}")
    for name, entry in files.items():
        whole = isinstance(entry, dict) and type(entry.get("bytes")) is int and isinstance(entry.get("sha256"), str)
        if not whole or not _DIGEST.fullmatch(entry["sha256"]):
            raise CheckpointError(f"{folder}/{MANIFEST} is damaged: bytes or sha256 of {name} is none")
    return files


def _check_names(folder: Path, entries: Mapping[str, Any]) -> None:
    known = {MANIFEST, *entries}
    others = sorted(name for name in os.listdir(folder) if name not in known and not name.startswith("."))  # noqa: PTH208
    if others:
        raise UnsafeLoadError(f"{str(folder)!r} holds {others[0]!r}, which its manifest doesn't name; remove it")


def _checked(folder: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    content = _read(folder, name, MOST_BYTES[name], entry["bytes"])
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CheckpointError(f"{folder}/{name} is damaged: its SHA-256 isn't the one in {MANIFEST}")
    return content


def _read(folder: Path, name: str, most: int, size: int | None = None) -> bytes:
    """Return a regular file's bytes; of a known size where there is one."""
    place = folder / name
    try:
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise CheckpointError(f"{place} is missing; a bundle has it") from error
    except OSError as error:
        if place.is_symlink():
            raise UnsafeLoadError(f"{place} is a link; a bundle's files are in its folder") from error
        raise CheckpointError(f"{place} can't be read: {error}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeLoadError(f"{place} is no regular file")
        if status.st_size > most:
            raise CheckpointError(f"{place} has {status.st_size:,} bytes; at most {most:,} are read")
        if size is not None and status.st_size != size:
            raise CheckpointError(f"{place} is damaged: it has {status.st_size:,} bytes, {MANIFEST} says {size:,}")
        return file.read(status.st_size)
