"""A rank's rows as tensors in memory or in a mapped file, read from Arrow record batches.

The rows are put in the order of their content's hash, so neither the partitioning of the
DataFrame nor the order in which batches arrive can be seen in anything that follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sparkwater.conversions.tensors.arrow import as_torch, usable_tensors
from sparkwater.conversions.tensors.buffer import TensorBuffer
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import DataError
from sparkwater.gpu.rows.plan import EpochPlan
from sparkwater.gpu.tasks import Task
from sparkwater.gpu.tasks.task import row_counts

#: Columns of the record batches that ranks read; the last two need not be there.
TENSOR, PROBLEM, LABEL, NAME, KEY, WEIGHT, HELD_OUT = "tensor", "problem", "label", "name", "key", "weight", "held_out"

#: Skipped rows that are listed one by one; all are counted.
MAX_LISTED = 20

_KEY, _WEIGHT, _FLAG = TensorSpec("int64", ()), TensorSpec("float64", ()), TensorSpec("bool", ())

#: Rows that are looked at together outside of training.
BLOCK_ROWS = 1024

#: Rows that are scored together outside of training.
_SCORED_ROWS = 256


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
class Batch:
    """Some rows.

    Attributes
    ----------
    features : torch.Tensor
        ``(rows, *spec.shape)``.
    targets : torch.Tensor
        ``(rows, *task.target.shape)``; see `sparkwater.gpu.tasks.Task.encode`.
    weights : torch.Tensor or None
        float64; None where all are 1.
    """

    features: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """Return the rows with each tensor changed, field by field."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(tensor) for name, tensor in tensors.items() if tensor is not None})


class RankData(Protocol):
    """The rows of one rank, in any storage; `len` counts those to train on."""

    @property
    def skipped(self) -> SkippedRows:
        """The rows left out."""

    @property
    def weightless(self) -> int:
        """Number of rows left out for their weight of 0."""

    @property
    def held_out(self) -> RankRows | None:
        """The rows to validate on, or None where there can't be any."""

    @property
    def content(self) -> str:
        """Digest of the rows; other rows have another one."""

    @property
    def location(self) -> str:
        """Storage of the features: ``memory``, ``mapped file``, a device's memory, or ``storage``."""

    def __len__(self) -> int: ...

    def on(self, device: torch.device) -> RankData:
        """Return the same rows in the storage that a device reaches fastest."""

    def blocks(self) -> Iterator[torch.Tensor]:
        """Iterate over all features once, in canonical order, each block ``(rows, *spec.shape)``."""

    def batches(self, plan: EpochPlan, rank: int) -> Generator[Batch, None, None]:
        """Iterate over one epoch: for each step this rank's rows; they have weights, or none do."""

    def step_weights(self, plan: EpochPlan, rank: int, task: Task) -> torch.Tensor:
        """Return for each step what this rank's rows weigh together, float64, each times its weight in the task."""


@dataclass(frozen=True)
class RankRows:
    """Rows of one rank that it holds.

    Attributes
    ----------
    features : torch.Tensor
        Shape ``(rows, *spec.shape)``, the spec's dtype, as the rows came; not to be written to.
    targets : torch.Tensor
        ``(rows, *task.target.shape)``; see `sparkwater.gpu.tasks.Task.encode`.
    skipped : SkippedRows
        The rows left out.
    order : torch.Tensor, optional
        int64: where each row is, in canonical order; by default they came in that order.
    weights : torch.Tensor, optional
        float64, above 0; by default all are 1.
    held_out_order : torch.Tensor, optional
        int64: where each row to validate on is, in canonical order.
    weightless : int
        Number of rows left out for their weight of 0.
    content : str
        Digest of the rows; other rows have another one.
    in_file : bool
        Whether the features are in a mapped file on the local disk.
    """

    features: torch.Tensor
    targets: torch.Tensor
    skipped: SkippedRows = field(default_factory=SkippedRows)
    order: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    held_out_order: torch.Tensor | None = None
    weightless: int = 0
    content: str = ""
    in_file: bool = False

    def __len__(self) -> int:
        return len(self.features if self.order is None else self.order)

    @property
    def location(self) -> str:
        """Storage of the features."""
        if self.features.device.type != "cpu":
            return f"memory of {self.features.device}"
        return "mapped file" if self.in_file else "memory"

    @property
    def held_out(self) -> RankRows | None:
        """The rows to validate on; they share their memory with the others."""
        if self.held_out_order is None:
            return None
        return replace(self, order=self.held_out_order, held_out_order=None)

    def take(self, rows: torch.Tensor) -> Batch:
        """Return rows by their numbers in canonical order; a copy."""
        stored = rows if self.order is None else self.order[rows]
        weights = None if self.weights is None else self.weights[stored]
        return Batch(features=self.features[stored], targets=self.targets[stored], weights=weights)

    def on(self, device: torch.device) -> RankRows:
        """Return the rows on a device where half its free memory takes them, else where they are."""
        if (
            device.type != "cuda"
            or 2 * (self.features.nbytes + self.targets.nbytes) > torch.cuda.mem_get_info(device)[0]
        ):
            return self
        names = ("features", "targets", "order", "weights", "held_out_order")
        tensors = {name: getattr(self, name) for name in names}
        return replace(self, **{name: value.to(device) for name, value in tensors.items() if value is not None})

    def blocks(self) -> Iterator[torch.Tensor]:
        """Iterate over all features once, in canonical order."""
        for batch in self.scan(BLOCK_ROWS):
            yield batch.features

    def scan(self, rows_a_batch: int = _SCORED_ROWS) -> Iterator[Batch]:
        """Iterate over all rows once, in canonical order."""
        for rows in torch.split(torch.arange(len(self), device=self.features.device), rows_a_batch):
            if len(rows):
                yield self.take(rows)

    def batches(self, plan: EpochPlan, rank: int) -> Generator[Batch, None, None]:
        """Iterate over one epoch."""
        for rows in self._steps(plan, rank):
            yield self.take(rows)

    def step_weights(self, plan: EpochPlan, rank: int, task: Task) -> torch.Tensor:
        """Return for each step what this rank's rows weigh together."""
        weights = row_counts(self.targets, self.weights)
        in_task = task.row_weights(self.targets)
        if in_task is not None:
            weights = weights * in_task.to(weights)
        if self.order is not None:
            weights = weights[self.order]
        return torch.stack([weights[rows].sum() for rows in self._steps(plan, rank)])

    def _steps(self, plan: EpochPlan, rank: int) -> tuple[torch.Tensor, ...]:
        order = torch.from_numpy(plan.order(rank)).to(self.features.device)
        return torch.split(order, np.diff(plan.bounds(rank)).tolist())


def load_rows(
    batches: Iterable[pa.RecordBatch],
    spec: TensorSpec,
    task: Task,
    handle_invalid: str,
    memory_limit: int | None = None,
) -> RankRows:
    """Read all rows of a rank.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Columns `TENSOR` (binary), `PROBLEM` (string: why a row has no tensor), `LABEL` (as the
        task takes it), `NAME` (string, for messages) and `KEY` (long, hash of the content).
        Also, in all batches or in none, `WEIGHT` (double, from 0 up) and `HELD_OUT` (boolean, whether a row is to
        validate on).
    spec : TensorSpec
        What each tensor is.
    task : Task
        What labels become.
    handle_invalid : {"error", "skip", "keep"}
        ``error`` raises at the first row that can't be used; the others leave it out.
    memory_limit : int, optional
        Bytes of tensors that are held in memory; more of them go to a mapped file on the local disk.

    Returns
    -------
    RankRows
        Without the rows of weight 0. Beside its tensors and targets, peak memory is one batch and 16 to 25 bytes a row.

    Raises
    ------
    DataError
        For a row that can't be used, with its name and the reason.
    """
    skipped, buffers = SkippedRows(), _Buffers(spec, task, memory_limit)
    for batch in batches:
        buffers.append(_read_batch(batch, spec, task, handle_invalid, skipped))
    in_file = not buffers.features.in_memory
    read = buffers.columns()
    order, flagged, given = read.order(), read.flagged, read.weights
    return RankRows(
        features=as_torch(buffers.features.tensors()),
        targets=as_torch(read.targets),
        skipped=skipped,
        order=torch.from_numpy(order[~flagged[order]]),
        weights=as_torch(given) if len(given) else None,
        held_out_order=torch.from_numpy(order[flagged[order]]),
        weightless=buffers.weightless,
        content=read.digest(order),
        in_file=in_file,
    )


class _Buffers:
    """The columns of usable rows, which grow batch by batch."""

    def __init__(self, spec: TensorSpec, task: Task, memory_limit: int | None) -> None:
        total = spec.nbytes + task.target.nbytes
        limits = [memory_limit and memory_limit * part.nbytes // total for part in (spec, task.target)]
        self.features, self._targets = TensorBuffer(spec, limits[0]), TensorBuffer(task.target, limits[1])
        self.weightless = 0
        self._keys = TensorBuffer(_KEY)
        self._weights, self._held_out = TensorBuffer(_WEIGHT), TensorBuffer(_FLAG)

    def append(self, usable: _Usable) -> None:
        self.features.append(usable.tensors)
        self._targets.append(usable.targets)
        self._keys.append(usable.keys)
        if usable.weights is not None:
            self._weights.append(usable.weights)
        if usable.held_out is not None:
            self._held_out.append(usable.held_out)
        self.weightless += usable.weightless

    def columns(self) -> _Columns:
        """Return all but the features, once."""
        return _Columns(
            keys=self._keys.tensors(),
            targets=self._targets.tensors(),
            weights=self._weights.tensors(),
            flags=self._held_out.tensors(),
        )


@dataclass(frozen=True)
class _Columns:
    """All rows that were read, but for their tensors; weights and flags are empty where there are none."""

    keys: npt.NDArray[Any]
    targets: npt.NDArray[Any]
    weights: npt.NDArray[Any]
    flags: npt.NDArray[Any]

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """The rows to validate on, as booleans."""
        return np.asarray(self.flags if len(self.flags) else np.zeros(len(self.keys)), bool)

    def order(self) -> npt.NDArray[np.int64]:
        """Return the canonical order: by keys, then targets, weights and roles, so that equal rows have one order too.

        Targets of several numbers are left to the keys, which are hashes of the labels, too.
        """
        targets = [self.targets] if self.targets.ndim == 1 else []
        weights = [self.weights] if len(self.weights) else []
        return np.lexsort((self.flagged, *weights, *targets, self.keys))

    def digest(self, order: npt.NDArray[np.int64]) -> str:
        """Return a digest of the rows in their canonical order."""
        content = hashlib.sha256()
        for column in (self.keys, self.targets, self.weights, self.flagged):
            content.update(column[order].tobytes() if len(column) else b"")
        return content.hexdigest()


@dataclass(frozen=True)
class _Usable:
    """The usable rows of one batch."""

    tensors: npt.NDArray[np.generic]
    targets: npt.NDArray[Any]
    keys: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64] | None
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
    weights, held_out = _optional(batch, WEIGHT), _optional(batch, HELD_OUT)
    used = usable if weights is None else usable & (weights != 0)
    kept = used[tensors.valid]
    return _Usable(
        tensors=tensors.values if kept.all() else tensors.values[kept],
        targets=targets.values[used],
        keys=np.asarray(batch.column(KEY).to_numpy())[used],
        weights=None if weights is None else weights[used],
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
