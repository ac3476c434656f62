"""Arrow record batches to tensors, without Spark: on executors, ranks, in notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.conversions.tensors.arrow import TensorRows, as_torch, tensors_to_arrow
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.conversions.tensors.values import array_to_tensors
from sparkwater.errors import ConfigurationError, DataError, SchemaError

if TYPE_CHECKING:
    import torch

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class ColumnReader:
    """The conversion of a column's rows to tensors.

    Attributes
    ----------
    spec : TensorSpec
        The spec of the tensors.
    categories : tuple of str, optional
        For strings: those that become 0, 1, ...
    """

    spec: TensorSpec
    categories: tuple[str, ...] | None = None

    def read(self, array: pa.Array) -> TensorRows:
        """Return the usable rows of an Arrow array as tensors, and the problems of the others."""
        if self.categories is None:
            return array_to_tensors(array, self.spec)
        return category_numbers(array, self.categories)


def category_numbers(strings: pa.Array, categories: tuple[str, ...]) -> TensorRows:
    """Return the positions of strings in a list of categories, as int64 scalars."""
    positions = pc.index_in(strings, value_set=pa.array(categories, pa.string()))
    valid = np.asarray(positions.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    problems = {}
    for row in np.flatnonzero(~valid):
        given = strings[int(row)].as_py()
        known = f"{given!r} is none of the {len(categories)} categories"
        problems[int(row)] = "the value is null" if given is None else known
    return TensorRows(positions.drop_null().to_numpy().astype(np.int64), valid, problems)


def tensor_batches(
    batches: Iterable[pa.RecordBatch], readers: Mapping[str, ColumnReader], *, skip: bool = False
) -> Iterator[pa.RecordBatch]:
    """Turn the columns of record batches into tensor bytes, for a function that ``mapInArrow`` takes.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        One partition.
    readers : mapping of str to ColumnReader
        The columns to take.
    skip : bool
        Leave out rows that can't be used, in place of an error.

    Raises
    ------
    DataError
        For such a row.
    SchemaError
        If a column isn't there.
    """
    for arrays in _decode(batches, readers, skip):
        yield pa.record_batch([tensors_to_arrow(values) for values in arrays.values()], list(arrays))


def torch_batches(
    batches: Iterable[pa.RecordBatch],
    specs: Mapping[str, TensorSpec],
    batch_size: int | None = None,
    *,
    drop_last: bool = False,
) -> Iterator[dict[str, torch.Tensor]]:
    """Turn Arrow record batches into dictionaries of tensors, one row after the other.

    It runs wherever the batches are: in the function that ``DataFrame.mapInArrow`` takes, for
    example.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Tensor columns, numbers, lists of numbers, or Spark vectors.
    specs : mapping of str to TensorSpec
        The columns to take, and their specs.
    batch_size : int, optional
        Rows of each batch but the last; by default those of the record batches.
    drop_last : bool
        Leave out the last batch where it is smaller.

    Yields
    ------
    dict of str to torch.Tensor
        Each of shape ``(rows, *shape)``. They are views of Arrow's memory where nothing had to be
        cast or joined: copy before you write to them.

    Raises
    ------
    DataError
        For a row that has no tensor: a null, a wrong length, a number that the dtype has no place for.
    SchemaError
        If a column isn't there.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigurationError(f"batch_size={batch_size!r}; accepted: 1 or more")
    decoded = _decode(batches, {name: ColumnReader(spec) for name, spec in specs.items()})
    for arrays in decoded if batch_size is None else _recut(decoded, batch_size, drop_last):
        yield {name: as_torch(values) for name, values in arrays.items()}


def _decode(
    batches: Iterable[pa.RecordBatch], readers: Mapping[str, ColumnReader], skip: bool = False
) -> Iterator[Arrays]:
    start = 0
    for batch in batches:
        columns = {name: reader.read(_column(batch, name)) for name, reader in readers.items()}
        valid = np.logical_and.reduce([rows.valid for rows in columns.values()])
        if not (skip or valid.all()):
            _refuse(columns, int(np.flatnonzero(~valid)[0]), start)
        if valid.any():
            yield {name: _only(rows, valid) for name, rows in columns.items()}
        start += batch.num_rows


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        raise SchemaError(f"there is no column {name!r}; the columns are {', '.join(batch.schema.names)}")
    return batch.column(name)


def _refuse(columns: Mapping[str, TensorRows], row: int, start: int) -> None:
    name, problem = next((name, rows.problems[row]) for name, rows in columns.items() if row in rows.problems)
    raise DataError(f"column {name!r}, row {start + row} of its partition: {problem}")


def _only(rows: TensorRows, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.generic]:
    kept = valid[rows.valid]
    return rows.values if kept.all() else rows.values[kept]


def _recut(decoded: Iterator[Arrays], size: int, drop_last: bool) -> Iterator[Arrays]:
    """Cut arrays that follow one another to so many rows each; only what crosses a border is copied."""
    held: list[Arrays] = []
    rows = 0
    for arrays in decoded:
        taken, there = 0, _rows(arrays)
        while rows + there - taken >= size:
            need = size - rows
            held.append({name: values[taken : taken + need] for name, values in arrays.items()})
            yield _join(held)
            held, rows, taken = [], 0, taken + need
        if taken < there:
            held.append({name: values[taken:] for name, values in arrays.items()})
            rows += there - taken
    if held and not drop_last:
        yield _join(held)


def _rows(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _join(parts: list[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
