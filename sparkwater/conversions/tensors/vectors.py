"""Spark's vectors in Arrow as the numbers that they store, with their places; sparse ones stay sparse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.errors import SchemaError

#: Lengths of a row that has no vector, and of a dense one, which has as many numbers as it stores.
NULL, DENSE = -1, -2

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StoredNumbers:
    """Numbers that vectors store, row by row; a sparse vector is 0 everywhere else.

    Attributes
    ----------
    values : numpy.ndarray of float64
        The numbers.
    rows, places : numpy.ndarray of int64
        The row of each number, and its position in the row's vector.
    lengths : numpy.ndarray of int64
        The length of each row's vector; `NULL` for none.
    dense : bool
        Whether every row's vector is dense: then the values are all there are.
    """

    values: Floats
    rows: Places
    places: Places
    lengths: Places
    dense: bool


def is_vectors(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is that of Spark's vectors."""
    return bool(pa.types.is_struct(kind))


def stored_numbers(array: pa.StructArray) -> StoredNumbers:
    """Return the numbers that Spark's vectors, dense (type 1) or sparse (type 0), store.

    Raises
    ------
    SchemaError
        If the array's structs are no vectors.
    """
    names = [array.type.field(position).name for position in range(array.type.num_fields)]
    if names != ["type", "size", "indices", "values"]:
        raise SchemaError(f"an Arrow struct with the fields {', '.join(names)} is no Spark vector")
    kinds, sizes, indices, values = array.flatten()  # each with the struct's own nulls
    dense = _mask(pc.fill_null(pc.equal(kinds, 1), False))
    null = _mask(array.is_null())
    stored = _integers(pc.list_value_length(values))
    numbers = np.asarray(values.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
    rows = np.repeat(np.arange(len(stored)), stored)
    places = np.arange(len(numbers)) - np.repeat(np.cumsum(stored) - stored, stored)
    places[~dense[rows]] = indices.flatten().to_numpy(zero_copy_only=False)
    lengths = np.where(null, NULL, np.where(dense, stored, _integers(sizes)))
    return StoredNumbers(numbers, rows, places, lengths, bool(dense.all()))


def vectors_of(lengths: Places, indices: pa.ListArray, values: pa.ListArray) -> pa.StructArray:
    """Return Spark's vectors as Arrow has them.

    Parameters
    ----------
    lengths : numpy.ndarray of int64
        The length of each sparse vector; `DENSE` for a dense one, `NULL` for none.
    indices, values : pyarrow.ListArray
        The places of a sparse vector's numbers, and the numbers; empty lists for what a row doesn't have.
    """
    kinds = pa.array((lengths == DENSE).astype(np.int8))
    sizes = pa.array(np.maximum(lengths, 0).astype(np.int32))
    names = ["type", "size", "indices", "values"]
    return pa.StructArray.from_arrays([kinds, sizes, indices, values], names, mask=pa.array(lengths == NULL))


def _integers(array: pa.Array) -> Places:
    return np.asarray(pc.fill_null(array, 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def _mask(array: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)
