"""A rank's rows as they come: Arrow record batches, read into columns without the rows that can't be used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.conversions.tensors.arrow import usable_tensors
from sparkwater.conversions.tensors.buffer import TensorBuffer
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import DataError
from sparkwater.gpu.tasks import Task

#: Columns of the record batches that ranks read.
TENSOR, PROBLEM, LABEL, NAME, KEY = "tensor", "problem", "label", "name", "key"

#: Columns that need not be there.
WEIGHT, OFFSET, HELD_OUT = "weight", "offset", "held_out"

#: Skipped rows that are listed one by one; all are counted.
MAX_LISTED = 20

_KEY, _NUMBER, _FLAG = TensorSpec("int64", ()), TensorSpec("float64", ()), TensorSpec("bool", ())


@dataclass
class SkippedRows:
    """Rows that couldn't be used: how many, and the first of them as (name, reason)."""

    count: int = 0
    listed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        """Count a row, and list it where there is room."""
        self.count += 1
        if len(self.listed) < MAX_LISTED:
            self.listed.append((name, reason))


@dataclass(frozen=True)
class ReadRows:
    """The usable rows of a rank, in the order in which they came.

    Attributes
    ----------
    features : numpy.ndarray
        ``(rows, *spec.shape)``.
    targets : numpy.ndarray
        ``(rows, *task.target.shape)``; see `sparkwater.gpu.tasks.Task.encode`.
    keys : numpy.ndarray of int64
        Hashes of the rows' content.
    weights : numpy.ndarray of float64
        Empty where all are 1.
    offsets : numpy.ndarray of float64
        Empty where there are none.
    flags : numpy.ndarray of bool
        True for rows to validate on; empty where there can't be any.
    skipped : SkippedRows
        The rows left out.
    weightless : int
        Number of rows left out for their weight of 0.
    in_file : bool
        Whether the features are in a mapped file on the local disk.
    """

    features: npt.NDArray[Any]
    targets: npt.NDArray[Any]
    keys: npt.NDArray[Any]
    weights: npt.NDArray[Any]
    offsets: npt.NDArray[Any]
    flags: npt.NDArray[Any]
    skipped: SkippedRows
    weightless: int
    in_file: bool

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """The rows to validate on, as booleans."""
        return np.asarray(self.flags if len(self.flags) else np.zeros(len(self.keys)), bool)

    def order(self) -> npt.NDArray[np.int64]:
        """Return the canonical order: by keys, then targets, weights, offsets and roles: equal rows have one order too.

        Targets of several numbers are left to the keys, which are hashes of the labels, too.
        """
        targets = [self.targets] if self.targets.ndim == 1 else []
        numbers = [column for column in (self.offsets, self.weights) if len(column)]
        return np.lexsort((self.flagged, *numbers, *targets, self.keys))

    def digest(self, order: npt.NDArray[np.int64]) -> str:
        """Return a digest of the rows in their canonical order."""
        content = hashlib.sha256()
        for column in (self.keys, self.targets, self.weights, self.flagged, self.offsets):
            content.update(column[order].tobytes() if len(column) else b"")
        return content.hexdigest()


def read_rows(
    batches: Iterable[pa.RecordBatch], spec: TensorSpec, task: Task, handle_invalid: str, memory_limit: int | None
) -> ReadRows:
    """Return the usable rows of record batches; see `sparkwater.gpu.rows.held.load_rows`."""
    skipped, buffers = SkippedRows(), _Buffers(spec, task, memory_limit)
    for batch in batches:
        buffers.append(_read_batch(batch, spec, task, handle_invalid, skipped))
    return buffers.rows(skipped)


class _Buffers:
    """The columns of usable rows, which grow batch by batch."""

    def __init__(self, spec: TensorSpec, task: Task, memory_limit: int | None) -> None:
        total = spec.nbytes + task.target.nbytes
        limits = [memory_limit and memory_limit * part.nbytes // total for part in (spec, task.target)]
        self._features, self._targets = TensorBuffer(spec, limits[0]), TensorBuffer(task.target, limits[1])
        self._weightless = 0
        self._keys = TensorBuffer(_KEY)
        self._weights, self._offsets = TensorBuffer(_NUMBER), TensorBuffer(_NUMBER)
        self._held_out = TensorBuffer(_FLAG)

    def append(self, usable: _Usable) -> None:
        self._features.append(usable.tensors)
        self._targets.append(usable.targets)
        self._keys.append(usable.keys)
        if usable.weights is not None:
            self._weights.append(usable.weights)
        if usable.offsets is not None:
            self._offsets.append(usable.offsets)
        if usable.held_out is not None:
            self._held_out.append(usable.held_out)
        self._weightless += usable.weightless

    def rows(self, skipped: SkippedRows) -> ReadRows:
        """Return what was read, once."""
        in_file = not self._features.in_memory
        return ReadRows(
            features=self._features.tensors(),
            targets=self._targets.tensors(),
            keys=self._keys.tensors(),
            weights=self._weights.tensors(),
            offsets=self._offsets.tensors(),
            flags=self._held_out.tensors(),
            skipped=skipped,
            weightless=self._weightless,
            in_file=in_file,
        )


@dataclass(frozen=True)
class _Usable:
    """The usable rows of one batch."""

    tensors: npt.NDArray[np.generic]
    targets: npt.NDArray[Any]
    keys: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64] | None
    offsets: npt.NDArray[np.float64] | None
    held_out: npt.NDArray[np.bool_] | None
    weightless: int


def _read_batch(
    batch: pa.RecordBatch, spec: TensorSpec, task: Task, handle_invalid: str, skipped: SkippedRows
) -> _Usable:
    tensors = usable_tensors(batch.column(TENSOR), spec)
    targets = task.encode(batch.column(LABEL))
    usable = tensors.valid & targets.valid & np.asarray(pc.is_null(batch.column(PROBLEM)).to_numpy(False))
    for row in np.flatnonzero(~usable):
        name, reason = _describe(batch, int(row), tensors.problems, task)
        if handle_invalid == "error":
            raise DataError(f"row {name}: {reason}; handleInvalid='skip' trains without such rows")
        skipped.add(name, reason)
    weights, offsets, held_out = (_optional(batch, name) for name in (WEIGHT, OFFSET, HELD_OUT))
    used = usable if weights is None else usable & (weights != 0)
    kept = used[tensors.valid]
    return _Usable(
        tensors=tensors.values if kept.all() else tensors.values[kept],
        targets=targets.values[used],
        keys=np.asarray(batch.column(KEY).to_numpy())[used],
        weights=None if weights is None else weights[used],
        offsets=None if offsets is None else offsets[used],
        held_out=None if held_out is None else held_out[used],
        weightless=int(usable.sum() - used.sum()),
    )


def _optional(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any] | None:
    """Return a column that need not be there; its values in rows that can't be used mean nothing."""
    if name not in batch.schema.names:
        return None
    column = batch.column(name)
    filler: bool | float = False if pa.types.is_boolean(column.type) else 0.0
    return np.asarray(pc.fill_null(column, filler).to_numpy(zero_copy_only=False))


def _describe(batch: pa.RecordBatch, row: int, problems: dict[int, str], task: Task) -> tuple[str, str]:
    given = batch.column(PROBLEM)[row].as_py()
    reason = given or problems.get(row) or task.refusal(batch.column(LABEL)[row].as_py())
    return str(batch.column(NAME)[row].as_py()), reason
