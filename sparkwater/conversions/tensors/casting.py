"""Exact widening between dtypes, and casts that report values out of range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.tensors.spec import DTYPES
from sparkwater.errors import SchemaError


def widens_exactly(source: str, target: str) -> bool:
    """Return whether every value of one dtype is a value of another.

    NumPy's own ``can_cast`` calls int64 to float64 safe, which rounds beyond 2**53.
    """
    given, wanted = np.dtype(source), np.dtype(target)
    if given.kind in "iu" and wanted.kind == "f":
        bits = 8 * given.itemsize - (given.kind == "i")
        return bool(bits <= np.finfo(wanted).nmant + 1)
    return np.can_cast(given, wanted, "safe")


def common_dtype(dtypes: Iterable[str]) -> str:
    """Return the smallest dtype that holds every value of all the given ones.

    Raises
    ------
    SchemaError
        If there is none: no float holds all int64 values.
    """
    given = sorted(set(dtypes))
    for dtype in DTYPES:
        if all(widens_exactly(source, dtype) for source in given):
            return dtype
    raise SchemaError(f"no dtype holds every value of {' and '.join(given)}; choose one by dtype=")


def cast_rows(
    values: npt.NDArray[np.generic], dtype: np.dtype[np.generic]
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.bool_]]:
    """Cast rows of numbers, and mark the rows that hold a number out of the dtype's range.

    Integers and booleans take whole numbers in their range only. Floats round, as everywhere; a
    finite number beyond a float's range has no place in it.

    Parameters
    ----------
    values : numpy.ndarray
        Shape ``(rows, n)``.
    dtype : numpy.dtype
        The dtype of the result.

    Returns
    -------
    cast : numpy.ndarray
        Shape ``(rows, n)``; a view where the dtype is right already.
    fits : numpy.ndarray of bool
        One entry a row.
    """
    if values.dtype == dtype or widens_exactly(values.dtype.name, dtype.name):
        return values.astype(dtype, copy=False), np.ones(len(values), dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):
        cast = values.astype(dtype)
        if dtype.kind == "f":
            fits = np.isfinite(cast) | ~np.isfinite(values)
        else:
            fits = _whole_in_range(values, dtype)
    return cast, np.asarray(fits.all(axis=1))


def _whole_in_range(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[np.bool_]:
    if dtype.kind == "b":
        return np.asarray((values == 0) | (values == 1))
    limits = np.iinfo(dtype)
    if values.dtype.kind != "f":
        return np.asarray((values >= limits.min) & (values <= limits.max))
    # The upper limit of int64 is no float: what is less than the next power of two is in range.
    below = values < float(limits.max + 1)
    return np.asarray((values >= float(limits.min)) & below & (values == np.trunc(values)))
