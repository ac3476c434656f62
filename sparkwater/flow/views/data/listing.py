"""Folders as lists: what is in them, a page at a time, and how it can be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sparkwater.conversions.images.folders import SUFFIXES
from sparkwater.errors import ConfigurationError
from sparkwater.flow.work.folders import Entry, Folders

#: Entries of a page, and of a folder within one that are looked at to know what it holds.
PAGE, _LOOK = 50, 50

#: Ways to read files, in the order in which they are offered.
WAYS = ("pictures", "csv", "parquet", "json")

#: Ends of names, and how such files can be read.
_READS = {
    **dict.fromkeys(("csv", "tsv", "txt", "data"), "csv"),
    **dict.fromkeys(("json", "jsonl", "ndjson"), "json"),
    **dict.fromkeys(SUFFIXES, "pictures"),
    "parquet": "parquet",
}

#: Ends of names of compressed files that Spark reads as they are.
_COMPRESSED = (".gz", ".bz2")


@dataclass(frozen=True)
class Listing:
    """A page of a folder.

    Attributes
    ----------
    entries : tuple of Entry
        The page: folders first, each by name, digits by their number.
    folders, files : int
        All that there are, of those with the text in their names.
    page, pages : int
        The page's number, from 0, and their number.
    reads : tuple of str
        Ways to read the folder as a whole, of `WAYS`.
    """

    entries: tuple[Entry, ...]
    folders: int
    files: int
    page: int
    pages: int
    reads: tuple[str, ...]

    @property
    def remark(self) -> str:
        """Words for a folder, listed without a search, in which there is nothing to open; else empty."""
        if self.folders or self.reads:
            return ""
        if not self.entries:
            return "The folder is empty."
        return (
            f"Nothing in this folder can be read: no pictures ({', '.join(SUFFIXES)}), and no tables "
            f"({', '.join(end for end, way in _READS.items() if way != 'pictures')})."
        )


def list_folder(folders: Folders, path: str, page: int = 0, text: str = "", size: int = PAGE) -> Listing:
    """Return a page of a folder's entries.

    Parameters
    ----------
    folders : Folders
        The folders given at start.
    path : str
        One of them, or one below.
    page : int
        The page, from 0; one that isn't there becomes the nearest.
    text : str
        Only names with this text, in any case.
    size : int
        Entries of a page.

    Raises
    ------
    ConfigurationError
        If it is gone, is no folder, lies outside, or may not be read.
    """
    # Spark leaves out names that begin with an underline.
    everything = [entry for entry in folders.entries(path) if not entry.name.startswith("_")]
    found = [entry for entry in everything if text.lower() in entry.name.lower()]
    found.sort(key=lambda entry: (not entry.is_folder, _natural(entry.name)))
    pages = max(1, -(-len(found) // size))
    page = min(max(page, 0), pages - 1)
    inner = sum(entry.is_folder for entry in found)
    return Listing(
        entries=tuple(found[page * size : (page + 1) * size]),
        folders=inner,
        files=len(found) - inner,
        page=page,
        pages=pages,
        reads=_ways(folders, everything),
    )


def file_reads(name: str) -> str:
    """Return how a file can be read by its name, of `WAYS`; empty where nothing here reads it."""
    plain = name.lower()
    for end in _COMPRESSED:
        plain = plain.removesuffix(end)
    return _READS.get(plain.rpartition(".")[2], "") if "." in plain else ""


def _ways(folders: Folders, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the ways to read a folder as a whole, by its files and, for pictures, by the first folders within."""
    # A folder that Spark wrote is named as a file may be.
    found = {file_reads(entry.name) for entry in entries if not entry.is_folder}
    inner = [entry for entry in entries if entry.is_folder]
    if "pictures" not in found and any(_has_pictures(folders, entry.path) for entry in inner[:3]):
        found.add("pictures")
    return tuple(way for way in WAYS if way in found)


def _has_pictures(folders: Folders, path: str, deeper: int = 1) -> bool:
    try:
        entries = folders.entries(path)
    except ConfigurationError:  # one that may not be read doesn't hide those beside it
        return False
    if any(file_reads(entry.name) == "pictures" for entry in entries[:_LOOK] if not entry.is_folder):
        return True
    return deeper > 0 and any(
        _has_pictures(folders, entry.path, deeper - 1) for entry in entries[:3] if entry.is_folder
    )


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key by which 9 comes before 10."""
    parts = re.split(r"(\d{1,18})", name.lower())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
