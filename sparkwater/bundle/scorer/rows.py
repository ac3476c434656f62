"""Rows in the forms that callers have, as columns by name: dictionaries, arrays, pandas, Arrow, pictures.

Neither pandas nor pyarrow is imported: their objects are known by their methods.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sparkwater.errors import SchemaError

#: Forms of rows, for messages.
ACCEPTED = (
    "a list of dictionaries, a dictionary of columns, a pandas DataFrame, an Arrow table or record batch, or, for a "
    "bundle whose only input is a picture, pictures"
)


def columns_of(rows: Any, names: Sequence[str], picture: str | None = None) -> dict[str, Sequence[Any]]:
    """Return columns of rows, all of one length.

    Parameters
    ----------
    rows : object
        See `ACCEPTED`.
    names : sequence of str
        The columns that are wanted; others are passed over.
    picture : str, optional
        The input that bare pictures are given for.

    Raises
    ------
    SchemaError
        If a column is missing, columns have different lengths, or the rows have another form.
    """
    if isinstance(rows, (str, bytes, os.PathLike, Image.Image)):
        rows = [rows]
    elif picture is not None and isinstance(rows, np.ndarray):
        rows = _pictures(rows)
    if isinstance(rows, Mapping):
        found = _named(names, list(rows), lambda name: rows[name])
    elif hasattr(rows, "column_names") or hasattr(rows, "schema"):
        given = list(getattr(rows, "column_names", None) or rows.schema.names)
        found = _named(names, given, lambda name: _from_arrow(rows.column(name)))
    elif hasattr(rows, "columns") and hasattr(rows, "iloc"):
        found = _named(names, list(rows.columns), lambda name: rows[name].to_numpy())
    elif isinstance(rows, Sequence):
        found = _from_list(rows, names, picture)
    else:
        raise SchemaError(f"rows are a {type(rows).__name__}; accepted: {ACCEPTED}")
    lengths = {name: len(column) for name, column in found.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaError(f"the columns have different lengths: {lengths}")
    return found


def _pictures(pixels: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return the pictures in an array: one where its axes are ``(height, width)`` or ``(height, width, 3)``."""
    one = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    return [pixels] if one else list(pixels)


def _named(names: Sequence[str], given: Sequence[Any], column: Any) -> dict[str, Sequence[Any]]:
    missing = [name for name in names if name not in given]
    if missing:
        raise SchemaError(
            f"there is no column {missing[0]!r}; the bundle takes {_listed(names)}; given: {_listed(given)}"
        )
    found = {name: column(name) for name in names}
    for name, values in found.items():
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
            raise SchemaError(
                f"column {name!r} is a {type(values).__name__}; a column holds a value for each row: for a single "
                "row give a list of one dictionary"
            )
    return found


def _from_list(rows: Sequence[Any], names: Sequence[str], picture: str | None) -> dict[str, Sequence[Any]]:
    if picture is not None and rows and not any(isinstance(row, Mapping) for row in rows):
        return {picture: rows}
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise SchemaError(f"row {place} is a {type(row).__name__}; accepted: {ACCEPTED}")
        missing = [name for name in names if name not in row]
        if missing:
            raise SchemaError(
                f"row {place} has no {missing[0]!r}; the bundle takes {_listed(names)}; given: {_listed(row)}. A "
                "missing value is None"
            )
    return {name: [row[name] for row in rows] for name in names}


def _from_arrow(column: Any) -> Any:
    """Return an Arrow column: as an array where all values are there and NumPy has the type, else as a list."""
    whole = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    primitive = str(whole.type) in ("bool", "float", "double") or str(whole.type).lstrip("u").startswith("int")
    if primitive and not whole.null_count and hasattr(whole, "buffers"):
        array: Sequence[Any] = whole.to_numpy(zero_copy_only=False)
        return array
    if str(whole.type).startswith(("timestamp", "date")):
        return np.asarray(whole.to_numpy(zero_copy_only=False)) if "tz=" not in str(whole.type) else whole.to_pylist()
    values: list[Any] = whole.to_pylist()
    return values


def _listed(names: Any, most: int = 20) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")
