"""A rank's rows as tensors in memory or in a mapped file.

The rows are put in the order of their content's hash, so neither the partitioning of the
DataFrame nor the order in which batches arrive can be seen in anything that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch

from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.rows.plan import EpochPlan
from sparkwater.gpu.rows.reading import SkippedRows, read_rows
from sparkwater.gpu.tasks import Task
from sparkwater.gpu.tasks.task import row_counts

#: Rows that are looked at together outside of training.
BLOCK_ROWS = 1024

#: Rows that are scored together outside of training.
_SCORED_ROWS = 256


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
    offsets : torch.Tensor or None
        float64, on the scale of the link; None where there are none.
    """

    features: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor | None = None
    offsets: torch.Tensor | None = None

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
    offsets : torch.Tensor, optional
        float64, on the scale of the link; by default there are none.
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
    offsets: torch.Tensor | None = None
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
        return Batch(
            features=self.features[stored],
            targets=self.targets[stored],
            weights=None if self.weights is None else self.weights[stored],
            offsets=None if self.offsets is None else self.offsets[stored],
        )

    def on(self, device: torch.device) -> RankRows:
        """Return the rows on a device where half its free memory takes them, else where they are."""
        if (
            device.type != "cuda"
            or 2 * (self.features.nbytes + self.targets.nbytes) > torch.cuda.mem_get_info(device)[0]
        ):
            return self
        names = ("features", "targets", "order", "weights", "offsets", "held_out_order")
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
    """Read all rows of a rank; the names of columns are those of `sparkwater.gpu.rows.reading`.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Columns `TENSOR` (binary), `PROBLEM` (string: why a row has no tensor), `LABEL` (as the
        task takes it), `NAME` (string, for messages) and `KEY` (long, hash of the content).
        Also, each in all batches or in none, `WEIGHT` (double, from 0 up), `OFFSET` (double, finite) and `HELD_OUT`
        (boolean, whether a row is to validate on).
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
        Without the rows of weight 0. Beside its tensors and targets, peak memory is one batch and 16 to 33 bytes a row.

    Raises
    ------
    DataError
        For a row that can't be used, with its name and the reason.
    """
    read = read_rows(batches, spec, task, handle_invalid, memory_limit)
    order, flagged = read.order(), read.flagged
    return RankRows(
        features=as_torch(read.features),
        targets=as_torch(read.targets),
        skipped=read.skipped,
        order=torch.from_numpy(order[~flagged[order]]),
        weights=as_torch(read.weights) if len(read.weights) else None,
        offsets=as_torch(read.offsets) if len(read.offsets) else None,
        held_out_order=torch.from_numpy(order[flagged[order]]),
        weightless=read.weightless,
        content=read.digest(order),
        in_file=read.in_file,
    )
