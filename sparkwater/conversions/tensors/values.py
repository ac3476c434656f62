"""Conversion of numbers in Arrow's other forms - plain, lists, Spark's vectors - to tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.conversions.tensors.arrow import TensorRows, readable_tensors
from sparkwater.conversions.tensors.casting import cast_rows
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.conversions.tensors.vectors import NULL, is_vectors, stored_numbers
from sparkwater.errors import SchemaError

#: Lengths of rows that have no numbers, and why.
HOLDS_NULL, IRREGULAR = -2, -3
_REASONS = {
    NULL: "the value is null",
    HOLDS_NULL: "the array holds a null value",
    IRREGULAR: "the nested arrays don't have the lengths that the shape asks for",
}


@dataclass(frozen=True)
class Runs:
    """Rows of numbers, one after the other.

    Attributes
    ----------
    flat : numpy.ndarray
        The numbers of all rows.
    lengths : numpy.ndarray of int64
        Numbers in each row; negative for a row without any: `NULL`, `HOLDS_NULL` or `IRREGULAR`.
    """

    flat: npt.NDArray[np.generic]
    lengths: npt.NDArray[np.int64]

    def mark(self, rows: npt.NDArray[np.bool_], reason: int) -> Runs:
        """Take the numbers of some rows away; rows that have none already keep their own reason."""
        rows = rows & (self.lengths >= 0)
        if not rows.any():
            return self
        kept = np.repeat(~rows, np.maximum(self.lengths, 0))
        return Runs(self.flat[kept], np.where(rows, reason, self.lengths))


def array_to_tensors(array: pa.Array, spec: TensorSpec) -> TensorRows:
    """Return an Arrow array's rows as tensors.

    Parameters
    ----------
    array : pyarrow.Array
        Tensor bytes (binary), plain numbers or booleans, lists of them, nested as deep as the
        spec's shape or flat, or the struct that a Spark vector is in Arrow.
    spec : TensorSpec
        The spec of each row; numbers fill it row-major.

    Returns
    -------
    TensorRows
        Views of the Arrow buffer where no row is left out and the dtype is right already.

    Raises
    ------
    SchemaError
        If the array is of another type.
    """
    if pa.types.is_binary(array.type):
        return readable_tensors(array, spec)
    if is_vectors(array.type):
        return pack_runs(_vector_runs(array), spec)
    if not _is_list(array.type):
        return pack_runs(_number_runs(array), spec)
    return pack_runs(_list_runs(array, spec.shape), spec)


def pack_runs(runs: Runs, spec: TensorSpec) -> TensorRows:
    """Return runs of numbers as tensors, and the problem of each run that can't be one."""
    fits = runs.lengths == spec.size
    problems = {int(row): _reason(int(runs.lengths[row]), spec) for row in np.flatnonzero(~fits)}
    flat = runs.flat if fits.all() else runs.flat[np.repeat(fits, np.maximum(runs.lengths, 0))]
    cast, exact = cast_rows(flat.reshape(int(fits.sum()), spec.size), spec.numpy_dtype)
    rows = np.flatnonzero(fits)
    for row in rows[~exact]:
        problems[int(row)] = f"the row holds a number that {spec.dtype} has no place for"
    valid = fits.copy()
    valid[rows] = exact
    values = cast if exact.all() else cast[exact]
    return TensorRows(values.reshape(len(values), *spec.shape), valid, problems)


def _reason(length: int, spec: TensorSpec) -> str:
    return _REASONS.get(length, f"the row has {length} values where {spec} has {spec.size}")


def _number_runs(array: pa.Array) -> Runs:
    null = _mask(array.is_null())
    return Runs(_to_numpy(array.filter(pc.invert(array.is_null())) if null.any() else array), np.where(null, NULL, 1))


def _list_runs(array: pa.Array, shape: tuple[int, ...]) -> Runs:
    """Return lists of numbers, flat or nested with the lengths of a shape below the outermost list."""
    lengths = pc.fill_null(pc.list_value_length(array), NULL).to_numpy(zero_copy_only=False).astype(np.int64)
    inner = array.flatten()  # honours a slice's offset, and has nothing for null rows
    if not _is_list(inner.type):
        null = _mask(inner.is_null())
        return Runs(_to_numpy(inner), lengths).mark(_any_in(null, lengths), HOLDS_NULL)
    if len(shape) < 2:
        raise SchemaError(f"{array.type} in Arrow is nested deeper than the shape {list(shape)} of its tensors")
    below = _list_runs(inner, shape[1:])
    whole = math.prod(shape[1:])
    regular = below.mark(below.lengths != whole, IRREGULAR)
    holds_null = _any_in((below.lengths == NULL) | (below.lengths == HOLDS_NULL), lengths)
    irregular = _any_in(regular.lengths < 0, lengths)
    counts = np.where(lengths < 0, lengths, lengths * whole)
    reasons = np.where(holds_null, HOLDS_NULL, IRREGULAR)
    kept = np.repeat(~irregular, np.maximum(lengths, 0))[regular.lengths >= 0]
    flat = regular.flat.reshape(-1, whole)[kept].reshape(-1) if irregular.any() else regular.flat
    return Runs(flat, np.where(irregular & (lengths >= 0), reasons, counts))


def _any_in(elements: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which rows hold an element that is marked."""
    rows = np.repeat(np.arange(len(lengths)), np.maximum(lengths, 0))
    return np.bincount(rows[elements], minlength=len(lengths)).astype(bool)


def _vector_runs(array: pa.StructArray) -> Runs:
    """Return Spark's vectors, dense or sparse, as dense runs of float64."""
    stored = stored_numbers(array)
    if stored.dense:
        return Runs(stored.values, stored.lengths)
    counts = np.maximum(stored.lengths, 0)
    flat = np.zeros(int(counts.sum()))
    flat[(np.cumsum(counts) - counts)[stored.rows] + stored.places] = stored.values
    return Runs(flat, stored.lengths)


def _to_numpy(array: pa.Array) -> npt.NDArray[np.generic]:
    if not (pa.types.is_boolean(array.type) or pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        raise SchemaError(
            f"{array.type} in Arrow is no number; accepted: booleans, integers, floats, and lists of them"
        )
    numbers = array if array.null_count == 0 else pc.fill_null(array, pa.scalar(0).cast(array.type))
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _mask(array: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
