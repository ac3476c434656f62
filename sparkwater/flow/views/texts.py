"""Guesses from the beginning of a text file: its delimiter, its header, the types of its columns. Free of Spark."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sparkwater.errors import ConfigurationError, DataError

#: Bytes that are looked at.
_BEGINNING = 64 * 1024

#: Delimiters that are tried, with their names.
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}

#: Texts that often stand for missing values.
_NULLS = ("NA", "N/A", "NULL", "null", "NaN", "nan", "None", "?", "-", ".")

#: Functions that open compressed files, by the end of their names.
_OPENERS: Mapping[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}

_TRUTHS = {"true", "false", "yes", "no", "t", "f", "y", "n"}


@dataclass(frozen=True)
class TextGuess:
    """A guess of a text's form.

    Attributes
    ----------
    delimiter : str
        Text between two values.
    header : bool
        Whether the first line has names: it has no number, and differs from the lines below it.
    null_text : str
        Text that stands for missing values, such as ``NA``; an empty one where there is none.
    """

    delimiter: str
    header: bool
    null_text: str


def look_at_text(path: Path) -> TextGuess:
    """Return the form of a text by its first lines.

    Parameters
    ----------
    path : pathlib.Path
        A file, plain or compressed by gzip or bzip2; of a folder the first file by name.

    Raises
    ------
    ConfigurationError
        If there is none, or it may not be read.
    DataError
        If it is empty, or no text.
    """
    try:
        file = _first_file(path) if path.is_dir() else path
        with _OPENERS.get(file.suffix.lower(), Path.open)(file, "rb") as stream:
            beginning = stream.read(_BEGINNING)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no file {path.name!r} any more; look at its folder again") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"the file {path.name!r} can't be read: {error}") from error
    lines = _text(beginning, file.name).splitlines()
    lines = lines[:-1] if len(beginning) == _BEGINNING and len(lines) > 1 else lines
    found = [line for line in lines if line.strip()][:100]
    if not found:
        raise DataError(
            f"the file {file.name!r} {'is empty' if len(beginning) < _BEGINNING else 'has no text at first'}"
        )
    return _guess(found)


def check_parquet(path: Path) -> None:
    """Refuse a file that doesn't begin as Parquet does; of a folder the first file by name is looked at.

    Raises
    ------
    ConfigurationError
        If there is none, or it may not be read.
    DataError
        If it is no Parquet.
    """
    try:
        file = _first_file(path, ".parquet") if path.is_dir() else path
        with file.open("rb") as stream:
            beginning = stream.read(4)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no file {path.name!r} any more; look at its folder again") from None
    except OSError as error:
        raise ConfigurationError(f"the file {path.name!r} can't be read: {error}") from error
    if beginning != b"PAR1":
        raise DataError(f"the file {file.name!r} is no Parquet: it doesn't begin with PAR1")


def guess_type(values: Sequence[str | None]) -> str:
    """Return the narrowest type, of `sparkwater.flow.workbook.column_types.TYPES`, that all texts of a column have."""
    given = [value.strip() for value in values if value is not None and value.strip()]
    if not given:
        return "text"
    if all(value.lower() in _TRUTHS for value in given):
        return "boolean"
    for kind, reads in (("whole", int), ("number", float), ("date", _iso_date), ("timestamp", datetime.fromisoformat)):
        if all(_can(reads, value) for value in given):
            return kind
    return "text"


def _first_file(folder: Path, end: str = "") -> Path:
    files = (one for one in folder.iterdir() if one.is_file() and one.name[0] not in "._")
    found = min((one for one in files if one.name.endswith(end)), default=None)
    if found is None:
        raise DataError(f"there are no files in {folder.name!r}")
    return found


def _text(beginning: bytes, name: str) -> str:
    if b"\0" in beginning:
        raise DataError(f"the file {name!r} is no text: there are zero bytes in it")
    try:
        # The end may be in the middle of a letter.
        return codecs.getincrementaldecoder("utf-8-sig")().decode(beginning)
    except UnicodeDecodeError:
        raise DataError(f"the file {name!r} is no text in UTF-8; save it as UTF-8, or as Parquet") from None


def _guess(lines: Sequence[str]) -> TextGuess:
    sizes = {mark: _regular(lines, mark) for mark in DELIMITERS}
    best = max(sizes, key=lambda mark: sizes[mark])
    delimiter = best if sizes[best] > 1 else ","
    rows = list(csv.reader(lines, delimiter=delimiter))
    counts = Counter(value.strip() for row in rows for value in row)
    null = max(_NULLS, key=lambda text: counts[text])
    null = null if counts[null] else ""
    below = [["" if value.strip() == null else value for value in row] for row in rows[1:]]
    return TextGuess(delimiter, _is_header(rows[0], below), null)


def _regular(lines: Sequence[str], mark: str) -> int:
    """Return the number of values of each line, where it is the same in nearly all lines; else 1."""
    sizes = [len(row) for row in csv.reader(lines, delimiter=mark)]
    usual = max(set(sizes), key=sizes.count)
    return usual if sizes.count(usual) >= 0.9 * len(sizes) else 1


def _is_header(names: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    if len(set(names)) < len(names) or any(guess_type([name]) != "text" for name in names):
        return False
    columns = [[row[place] for row in below if place < len(row)] for place in range(len(names))]
    return any(guess_type(column) != "text" for column in columns) or not any(
        name in column for name, column in zip(names, columns, strict=True)
    )


def _iso_date(value: str) -> date:
    if len(value) != 10:
        raise ValueError(value)
    return date.fromisoformat(value)


def _can(reads: object, value: str) -> bool:
    try:
        reads(value)  # type: ignore[operator]
    except ValueError:
        return False
    return "_" not in value  # Python's numbers may have underlines, and Spark's haven't
