"""Columns of values as the graph's inputs."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from sparkwater.bundle.format import MISSING_TEXT, MISSING_TIME
from sparkwater.bundle.scorer.pictures import Preprocessing
from sparkwater.bundle.scorer.signature import Input
from sparkwater.errors import DataError, SchemaError

Values = npt.NDArray[Any]

_NUMBERS = (int, float, bool, Decimal, np.number, np.bool_)
_EPOCH = datetime.datetime(1970, 1, 1)


def encode(column: Any, given: Input, pictures: Mapping[str, Preprocessing], start: int = 0) -> Values:
    """Return a column as the array that the graph takes, ``(rows, *given.shape)``.

    Parameters
    ----------
    column : sequence or numpy.ndarray
        A value a row; None where it is missing.
    given : Input
        The input that it is for.
    pictures : mapping of str to Preprocessing
        Of the inputs that are pictures.
    start : int
        Number of the first row, for messages.

    Raises
    ------
    SchemaError
        If the values are of another type or shape.
    DataError
        If a vector, tensor or picture is missing or can't be used. The row is named.
    """
    if given.kind == "picture":
        return _pictures(column, given, pictures[given.name], start)
    return _ENCODERS[given.kind](column, given, start)


def _number(column: Any, given: Input, start: int) -> Values:
    with np.errstate(over="ignore"):
        return _numbers(column, given, start).astype(given.dtype, copy=False)


def _numbers(column: Any, given: Input, start: int) -> npt.NDArray[np.float64]:
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf" and column.ndim == 1:
        return column.astype(np.float64)
    found = np.empty(len(column), np.float64)
    for place, value in enumerate(column):
        if _is_missing(value):
            found[place] = math.nan
        elif isinstance(value, _NUMBERS):
            found[place] = float(value)
        else:
            raise _wrong(given, start + place, value, "a number")
    return found


def _string(column: Any, given: Input, start: int) -> Values:
    texts = np.empty(len(column), object)
    for place, value in enumerate(column):
        texts[place] = _text(value, given, start + place)
    return texts


def _text(value: Any, given: Input, row: int) -> str:
    if isinstance(value, str):
        return value
    if _is_missing(value):
        return MISSING_TEXT
    raise _wrong(given, row, value, "a text")


def _time(column: Any, given: Input, start: int) -> Values:
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        micros = column.astype("datetime64[us]").astype(np.int64)  # NaT is the least integer, which is missing here
    else:
        zone = ZoneInfo(given.zone)
        micros = np.array([_micros(value, given, start + row, zone) for row, value in enumerate(column)], np.int64)
    return micros


def _micros(value: Any, given: Input, row: int, zone: ZoneInfo) -> int:
    """Return microseconds since 1970 began, by the clock of the zone."""
    if _is_missing(value) or (isinstance(value, np.datetime64) and np.isnat(value)):
        return MISSING_TIME
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[us]").astype(np.int64))
    if isinstance(value, datetime.datetime):
        clock = value if value.tzinfo is None else value.astimezone(zone)
        since = clock.replace(tzinfo=None) - _EPOCH
    elif isinstance(value, datetime.date):
        since = datetime.datetime(value.year, value.month, value.day) - _EPOCH
    else:
        raise _wrong(given, row, value, "a date or a time")
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _array(column: Any, given: Input, start: int) -> Values:
    dtype = np.dtype(given.dtype)
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        values = column.reshape(len(column), *given.shape) if column[0:1].size == _size(given) else column
        return _cast(values, given, dtype, start)
    return _cast(_stacked(column, given, dtype, start), given, dtype, start)


def _stacked(column: Any, given: Input, dtype: np.dtype[Any], start: int) -> Values:
    rows = []
    for place, value in enumerate(column):
        if value is None:
            raise DataError(f"row {start + place}: {given.name!r} is missing, which the model doesn't take")
        if isinstance(value, (bytes, bytearray, memoryview)) and len(value) == _size(given) * dtype.itemsize:
            rows.append(np.frombuffer(value, dtype.newbyteorder("<")).reshape(given.shape))
            continue
        try:
            row = _of_spark(value, _size(given)) if isinstance(value, Mapping) else np.asarray(value)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise _wrong(given, start + place, value, "numbers") from error
        if row.dtype.kind not in "biuf" or row.size != _size(given):
            raise _wrong(given, start + place, value, f"{_size(given)} numbers")
        rows.append(row.reshape(given.shape))
    return np.stack(rows) if rows else np.empty((0, *given.shape), dtype)


def _of_spark(vector: Mapping[str, Any], size: int) -> Values:
    """Return a vector of Spark as its struct in Arrow and Parquet: ``type`` (0 if sparse), size, indices, values."""
    values = np.asarray(vector["values"])
    if vector["type"] != 0:
        return values
    if vector["size"] != size:
        raise ValueError(f"it has {vector['size']} numbers")
    dense = np.zeros(size, np.float64)
    dense[np.asarray(vector["indices"], np.int64)] = values
    return dense


def _cast(values: Values, given: Input, dtype: np.dtype[Any], start: int) -> Values:
    if values.shape[1:] != given.shape:
        raise SchemaError(f"{given.name!r} has rows of shape {values.shape[1:]}; accepted: {given.shape}")
    with np.errstate(invalid="ignore", over="ignore"):
        cast = values.astype(dtype)
    if dtype.kind in "iub" and len(values):
        changed = (cast != values).reshape(len(values), -1).any(axis=1)
        _refuse(changed, given, start, f"holds a number that {given.dtype} can't hold")
    return cast


def _pictures(column: Any, given: Input, preprocessing: Preprocessing, start: int) -> Values:
    tensors = np.empty((len(column), *given.shape), np.uint8)
    for place, picture in enumerate(column):
        if picture is None:
            raise DataError(f"row {start + place}: {given.name!r} is missing, which the model doesn't take")
        try:
            tensors[place] = preprocessing.tensor(picture)
        except (DataError, SchemaError) as error:
            raise type(error)(f"row {start + place}: {given.name!r}: {error}") from error
    return tensors


def _size(given: Input) -> int:
    return math.prod(given.shape)


def _is_missing(value: Any) -> bool:
    """Return whether a value is None, a NaN, or what pandas has for a missing one, which equals nothing."""
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(value != value)
    return type(value).__name__ in ("NAType", "NaTType")


def _wrong(given: Input, row: int, value: Any, accepted: str) -> SchemaError:
    return SchemaError(f"row {row}: {given.name!r} is {_short(value)} ({type(value).__name__}); accepted: {accepted}")


def _short(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _refuse(rows: npt.NDArray[np.bool_], given: Input, start: int, problem: str) -> None:
    if rows.any():
        raise DataError(f"row {start + int(rows.argmax())}: {given.name!r} {problem}, which the model doesn't take")


_ENCODERS: dict[str, Callable[[Any, Input, int], Values]] = {
    "number": _number,
    "string": _string,
    "time": _time,
    "vector": _array,
    "tensor": _array,
}
