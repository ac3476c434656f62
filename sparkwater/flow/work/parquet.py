"""Classes that Parquet files name in their schema: pyspark would import their modules, which runs code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sparkwater.errors import DataError
from sparkwater.flow.work.folders import is_read

#: Key of the schema as Spark writes it, among a file's metadata.
_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"

#: The first and the last bytes of a file whose metadata isn't encrypted.
_MARK = b"PAR1"

#: Spark's own types. Other names in their modules are no types, and would be called as well.
_KNOWN = frozenset(
    f"{module}.ml.linalg.{name}" for module in ("pyspark", "org.apache.spark") for name in ("VectorUDT", "MatrixUDT")
)


def check_classes(places: Iterable[Path]) -> None:
    """Refuse Parquet with columns of user-defined types: pyspark imports, or of old unpickles, their classes.

    Vectors and matrices of Spark ML are such types as well, and are taken.

    Parameters
    ----------
    places : iterable of pathlib.Path
        A file, or a folder with all folders in it.

    Raises
    ------
    DataError
        If a file has such a column, or can't be read as Parquet.
    """
    for file in _files(places):
        named = [name for name in _classes(_schema(file)) if name not in _KNOWN]
        if named:
            raise DataError(
                f"the file {file.name!r} has a column of the class {named[0][:80]!r}, whose code Spark would run; a "
                "flow reads none. Read it by Python if you trust it, and write the column as a plain type"
            )


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():
            yield place
        elif place.is_dir():
            for each in place.iterdir():
                if is_read(each.name) and each.is_file():
                    yield each


def _schema(file: Path) -> bytes:
    """Return the schema that Spark wrote into a file; an empty one where another program wrote it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = _footer(file)
        # pyarrow reads the very bytes in which schemas are counted below: a file that holds nothing else.
        alone = _MARK + footer + len(footer).to_bytes(4, "little") + _MARK
        schema: bytes = (pq.read_metadata(pa.BufferReader(alone)).metadata or {}).get(_SCHEMA, b"")
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"the file {file.name!r} can't be read as Parquet: {str(error)[:200]}") from error
    if footer.count(_SCHEMA) > 1:  # pyarrow takes the first, and Spark the last
        raise DataError(f"the file {file.name!r} has several schemas of Spark's; a flow reads none that may differ")
    return schema


def _footer(file: Path) -> bytes:
    """Return the metadata at the end of a Parquet file: before its length, in 4 bytes, and the mark PAR1."""
    with file.open("rb") as stream:
        stream.seek(-8, os.SEEK_END)
        size, mark = int.from_bytes(stream.read(4), "little"), stream.read(4)
        if mark != _MARK:
            raise OSError(f"it ends with {mark!r} in place of {_MARK!r}")
        stream.seek(-8 - size, os.SEEK_END)
        return stream.read(size)


def _classes(schema: bytes) -> list[str]:
    """Return the names of classes in a schema, and marks of those that are there as bytes."""
    found: list[str] = []

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Each pair, as another reader may take the first of two with the same key.
        if ("type", "udt") in pairs:
            found.extend(str(value) for key, value in pairs if key in ("class", "pyClass") and value)
            found.extend("pickled" for key, value in pairs if key == "serializedClass" and value)
        return dict(pairs)

    if schema:
        try:
            json.loads(schema, object_pairs_hook=read)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"the schema in the file is no JSON, so it may name any class: {str(error)[:200]}"
            ) from error
    return found
