"""Rows in files - CSV, JSON, Parquet, pictures - and results written as CSV or JSON."""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy.typing as npt

from sparkwater.bundle.scorer.signature import Input, Signature
from sparkwater.errors import ConfigurationError, DataError

#: Ends of names of pictures.
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def read_rows(path: Path, signature: Signature) -> Any:
    """Return the rows of a file, or the pictures of a folder, as `Bundle.predict` takes them.

    Raises
    ------
    ConfigurationError
        If the file has another format, or holds pictures where the bundle takes other columns.
    DataError
        If it can't be read.
    """
    try:
        if path.is_dir() or path.suffix.lower() in PICTURES:
            return _pictures(path, signature)
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise ConfigurationError(
                f"{path} is no file of rows; accepted: {', '.join(_READERS)}, pictures, folders of them"
            )
        return reader(path, signature)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        if isinstance(error, (ConfigurationError, DataError)):
            raise
        raise DataError(f"{path} can't be read: {error}") from error


def write_rows(found: Mapping[str, npt.NDArray[Any]], file: IO[str], as_csv: bool) -> int:
    """Write results as CSV or as a JSON object a line, and return the count of rows.

    JSON has neither NaN nor infinities: they are null in it, and so are those in lists of a CSV field.
    """
    count = len(next(iter(found.values())))
    rows = ({name: _plain(values[place]) for name, values in found.items()} for place in range(count))
    if as_csv:
        writer = csv.DictWriter(file, list(found), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    else:
        file.writelines(json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return count


def _pictures(path: Path, signature: Signature) -> list[Path]:
    if len(signature.inputs) != 1 or signature.inputs[0].kind != "picture":
        names = ", ".join(each.name for each in signature.inputs)
        raise ConfigurationError(f"{path} holds pictures; this bundle takes the columns {names}")
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in PICTURES)
    if not found:
        raise DataError(f"{path} holds no pictures ({', '.join(PICTURES)})")
    return found


def _csv(path: Path, signature: Signature) -> list[dict[str, Any]]:
    inputs = {each.name: each for each in signature.inputs}
    with path.open(newline="", encoding="utf-8-sig") as file:  # Excel writes a mark before the first name
        return [
            {name: _value(text, inputs[name], number) for name, text in row.items() if name in inputs}
            for number, row in enumerate(csv.DictReader(file))
        ]


def _value(text: str | None, given: Input, row: int) -> Any:
    """Return a field of CSV as a value of an input; an empty one is missing."""
    if text is None or text == "":
        return None
    try:
        if given.kind == "number":
            known = {"true": 1.0, "false": 0.0}
            return known[text.lower()] if text.lower() in known else float(text)
        if given.kind == "time":
            return datetime.datetime.fromisoformat(text)
        return json.loads(text) if given.kind in ("vector", "tensor") else text
    except ValueError as error:
        raise DataError(f"row {row}: {given.name!r} is {text!r}, no {given.kind}") from error


def _json(path: Path, signature: Signature) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".json":
        found = json.loads(text)
    else:  # U+2028 and other ends of lines of Unicode may be inside a text
        found = [json.loads(line) for line in text.split("\n") if line.strip()]
    rows = found if isinstance(found, list) else [found]
    times = [each.name for each in signature.inputs if each.kind == "time"]
    for row in rows:
        for name in times:
            if isinstance(row, dict) and isinstance(row.get(name), str):
                row[name] = datetime.datetime.fromisoformat(row[name])
    return rows


def _parquet(path: Path, signature: Signature) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(f"Parquet needs pyarrow ({error}): pip install pyarrow") from error
    return parquet.read_table(path, columns=[each.name for each in signature.inputs])


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _cell(value: Any) -> Any:
    return json.dumps(_finite(value), allow_nan=False) if isinstance(value, list) else value


def _finite(value: Any) -> Any:
    """Return a value of JSON with None in place of numbers that JSON hasn't."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_READERS: dict[str, Callable[[Path, Signature], Any]] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _json,
    ".parquet": _parquet,
}
