"""Conversion between Arrow binary arrays and NumPy or torch, without a copy where no row is left out.

A tensor column reaches Python as one Arrow binary array: row-major little-endian bytes, one
tensor a row. Where no row is null its data buffer *is* the batch of tensors.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec
from sparkwater.errors import DataError, SchemaError

if TYPE_CHECKING:
    import torch

#: Arrow's binary type counts bytes with 32 bits.
MAX_BINARY_BYTES = 2**31 - 1


@dataclass(frozen=True)
class TensorRows:
    """The usable tensors of one Arrow array, and the problems of the other rows.

    Attributes
    ----------
    values : numpy.ndarray
        Shape ``(usable rows, *spec.shape)``; a read-only view of the Arrow buffer when every row
        is usable.
    valid : numpy.ndarray of bool
        One entry a row of the input; True where the row is in `values`, in the same order.
    problems : dict of int to str
        For each other row, by its index in the input, the reason.
    """

    values: npt.NDArray[np.generic]
    valid: npt.NDArray[np.bool_]
    problems: dict[int, str]


def tensor_view(array: pa.BinaryArray, spec: TensorSpec) -> npt.NDArray[np.generic]:
    """Return the tensors of an array as one read-only view of its buffer; nothing is copied.

    Parameters
    ----------
    array : pyarrow.BinaryArray
        No nulls, ``spec.nbytes`` bytes a row; slices are honoured.
    spec : TensorSpec
        The spec of each row.

    Returns
    -------
    numpy.ndarray
        Shape ``(len(array), *spec.shape)``, dtype ``spec.dtype``.

    Raises
    ------
    DataError
        If a row is null or has another length.
    """
    if array.null_count:
        raise DataError(f"{array.null_count} of {len(array)} rows are null; drop them first")
    lengths = _lengths(array)
    wrong = np.flatnonzero(lengths != spec.nbytes)
    if wrong.size:
        raise DataError(f"row {wrong[0]}: {_wrong_length(int(lengths[wrong[0]]), spec)}")
    if len(array) == 0:
        return np.empty((0, *spec.shape), spec.numpy_dtype)
    start = int(_offsets(array)[0])
    flat = np.frombuffer(array.buffers()[2], spec.numpy_dtype, count=len(array) * spec.size, offset=start)
    flat.flags.writeable = False  # Arrow's memory, whoever allocated it
    return flat.reshape(len(array), *spec.shape)


def readable_tensors(array: pa.BinaryArray, spec: TensorSpec) -> TensorRows:
    """Return the tensors of the rows that hold one; the others are null or have another length than the spec."""
    lengths = _lengths(array)
    nulls = np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    problems = {int(row): "the tensor is null" for row in np.flatnonzero(nulls)}
    for row in np.flatnonzero(~nulls & (lengths != spec.nbytes)):
        problems[int(row)] = _wrong_length(int(lengths[row]), spec)
    valid = np.ones(len(array), dtype=bool)
    valid[list(problems)] = False
    return TensorRows(tensor_view(array if valid.all() else array.filter(pa.array(valid)), spec), valid, problems)


def usable_tensors(array: pa.BinaryArray, spec: TensorSpec) -> TensorRows:
    """Return the tensors that a network can use: `readable_tensors` without those that hold a NaN or an infinity."""
    return finite_tensors(readable_tensors(array, spec), spec)


def finite_tensors(rows: TensorRows, spec: TensorSpec | None = None) -> TensorRows:
    """Return the rows without those that hold a NaN or an infinity, which become problems.

    A packed spec says where the rows hold floats.
    """
    if isinstance(spec, PackedSpec):
        finite = np.all([finite_rows(part) for part in split_parts(rows.values, spec)], axis=0)
    else:
        finite = finite_rows(rows.values)
    if finite.all():
        return rows
    positions = np.flatnonzero(rows.valid)
    bad = {int(row): "the tensor holds a NaN or an infinity" for row in positions[~finite]}
    valid = rows.valid.copy()
    valid[positions] = finite
    return TensorRows(rows.values[finite], valid, {**rows.problems, **bad})


def finite_rows(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Return which tensors hold neither a NaN nor an infinity."""
    if values.dtype.kind != "f":
        return np.ones(len(values), dtype=bool)
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def split_parts(values: npt.NDArray[np.generic], spec: PackedSpec) -> list[npt.NDArray[np.generic]]:
    """Return the tensors of packed rows, part by part, each ``(rows, *part.shape)``; copies.

    Parameters
    ----------
    values : numpy.ndarray of uint8
        Shape ``(rows, spec.nbytes)``.
    spec : PackedSpec
        The spec of the packed rows.
    """
    return [
        # A copy, because a part's bytes may begin anywhere, where its numbers may not.
        np.ascontiguousarray(values[:, start:stop]).view(part.numpy_dtype).reshape(len(values), *part.shape)
        for part, (start, stop) in zip(spec.parts, spec.bounds, strict=True)
    ]


def tensors_to_arrow(values: npt.NDArray[np.generic], valid: npt.NDArray[np.bool_] | None = None) -> pa.BinaryArray:
    """Return tensors as an Arrow binary array over the same memory where it is contiguous.

    Parameters
    ----------
    values : numpy.ndarray
        Shape ``(rows, *shape)``.
    valid : numpy.ndarray of bool, optional
        One entry a row of the result: True takes the next tensor, False is null. By default there
        is a row a tensor.

    Raises
    ------
    SchemaError
        If they are more than 2 GiB together, Arrow's limit for one array.
    """
    rows = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    row_bytes = rows.nbytes // len(rows) if len(rows) else 0
    if rows.nbytes > MAX_BINARY_BYTES:
        raise SchemaError(
            f"{len(rows)} tensors of {row_bytes} bytes pass Arrow's limit of 2 GiB an array; cut them into pieces"
        )
    present = np.ones(len(rows), dtype=bool) if valid is None else valid
    offsets = np.concatenate([[0], np.cumsum(present, dtype=np.int64)]) * row_bytes
    bitmap = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    buffers = [bitmap, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(rows.reshape(-1).view(np.uint8))]
    return pa.Array.from_buffers(pa.binary(), len(present), buffers)


def as_torch(values: npt.NDArray[np.generic]) -> torch.Tensor:
    """Return a NumPy array as a torch tensor over the same memory.

    The tensor of a read-only array must not be written to: its memory belongs to Arrow.
    """
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given (NumPy array|buffer) is not writable")
        return torch.from_numpy(values)


def _offsets(array: pa.BinaryArray) -> npt.NDArray[np.int32]:
    return np.frombuffer(array.buffers()[1], np.int32, count=len(array) + 1, offset=array.offset * 4)


def _lengths(array: pa.BinaryArray) -> npt.NDArray[np.int32]:
    if array.type != pa.binary():
        raise SchemaError(f"a tensor column is binary in Arrow, not {array.type}")
    return np.diff(_offsets(array)) if len(array) else np.empty(0, np.int32)


def _wrong_length(length: int, spec: TensorSpec) -> str:
    return f"the tensor has {length} bytes where {spec} has {spec.nbytes}"
