"""What a rank holds: its rows as tensors, in memory or in a mapped file, read from Arrow record batches.

The rows are put in the order of their content's hash, so neither the partitioning of the
DataFrame nor the order in which batches arrive can be seen in anything that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sparkwater.conversions.arrow import as_torch, usable_tensors
from sparkwater.conversions.buffer import TensorBuffer
from sparkwater.conversions.spec import TensorSpec
from sparkwater.errors import DataError
from sparkwater.gpu.plan import EpochPlan

#: Columns of the record batches that ranks read.
TENSOR, PROBLEM, LABEL, NAME, KEY = "tensor", "problem", "label", "name", "key"

#: Skipped rows that are listed one by one; all are counted.
MAX_LISTED = 20

_POSITION = TensorSpec("int64", ())

#: Rows that are looked at together outside of training.
BLOCK_ROWS = 1024

Classes = tuple[float, ...] | tuple[str, ...]


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


Batch = tuple[torch.Tensor, torch.Tensor]


class RankData(Protocol):
    """The rows of one rank, wherever they are."""

    @property
    def skipped(self) -> SkippedRows:
        """What was left out."""

    def __len__(self) -> int: ...

    def on(self, device: torch.device) -> RankData:
        """Return the same rows where a device reaches them fastest."""

    def blocks(self) -> Iterator[torch.Tensor]:
        """Iterate over all features once, in canonical order, each block ``(rows, *spec.shape)``."""

    def batches(self, plan: EpochPlan, rank: int) -> Iterator[Batch]:
        """Iterate over one epoch: for each step this rank's features and its labels, int64 class positions."""


@dataclass(frozen=True)
class RankRows:
    """Rows of one rank that it holds.

    Attributes
    ----------
    features : torch.Tensor
        Shape ``(rows, *spec.shape)``, the spec's dtype, as the rows came; not to be written to.
    labels : torch.Tensor
        int64, positions in the list of classes.
    skipped : SkippedRows
        What was left out.
    order : torch.Tensor, optional
        int64: where each row is, in canonical order; by default they came in that order.
    """

    features: torch.Tensor
    labels: torch.Tensor
    skipped: SkippedRows = field(default_factory=SkippedRows)
    order: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: torch.Tensor) -> Batch:
        """Return the features and labels of rows by their numbers in canonical order; a copy."""
        stored = rows if self.order is None else self.order[rows]
        return self.features[stored], self.labels[stored]

    def on(self, device: torch.device) -> RankRows:
        """Return the rows on a device where half its free memory takes them, else where they are."""
        if device.type != "cuda" or 2 * self.features.nbytes > torch.cuda.mem_get_info(device)[0]:
            return self
        order = None if self.order is None else self.order.to(device)
        return RankRows(self.features.to(device), self.labels.to(device), self.skipped, order)

    def blocks(self) -> Iterator[torch.Tensor]:
        """Iterate over all features once, in canonical order."""
        for rows in torch.split(torch.arange(len(self)), BLOCK_ROWS):
            yield self.take(rows)[0]

    def batches(self, plan: EpochPlan, rank: int) -> Iterator[Batch]:
        """Iterate over one epoch."""
        order = torch.from_numpy(plan.order(rank)).to(self.features.device)
        for rows in torch.split(order, np.diff(plan.bounds(rank)).tolist()):
            yield self.take(rows)


def load_rows(
    batches: Iterable[pa.RecordBatch],
    spec: TensorSpec,
    classes: Classes,
    handle_invalid: str,
    memory_limit: int | None = None,
) -> RankRows:
    """Read all rows of a rank.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Columns `TENSOR` (binary), `PROBLEM` (string: why a row has no tensor), `LABEL` (double or
        string, as `classes`), `NAME` (string, for messages) and `KEY` (long, hash of the content).
    spec : TensorSpec
        What each tensor is.
    classes : tuple
        The labels that there are, sorted.
    handle_invalid : {"error", "skip", "keep"}
        ``error`` raises at the first row that can't be used; the others leave it out.
    memory_limit : int, optional
        Bytes of tensors that are held in memory; more of them go to a mapped file on the local disk.

    Returns
    -------
    RankRows
        Beside its tensors, peak memory is one batch and 24 bytes a row.

    Raises
    ------
    DataError
        For a row that can't be used, with its name and the reason.
    """
    skipped = SkippedRows()
    features = TensorBuffer(spec, memory_limit)
    labels, keys = TensorBuffer(_POSITION), TensorBuffer(_POSITION)
    for batch in batches:
        usable = _read_batch(batch, spec, classes, handle_invalid, skipped)
        features.append(usable.tensors)
        labels.append(usable.labels)
        keys.append(usable.keys)
    positions = labels.tensors()
    order = np.lexsort((positions, keys.tensors()))
    return RankRows(as_torch(features.tensors()), as_torch(positions), skipped, torch.from_numpy(order))


@dataclass(frozen=True)
class _Usable:
    """The usable rows of one batch."""

    tensors: npt.NDArray[np.generic]
    labels: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]


def _read_batch(
    batch: pa.RecordBatch, spec: TensorSpec, classes: Classes, handle_invalid: str, skipped: SkippedRows
) -> _Usable:
    tensors = usable_tensors(batch.column(TENSOR), spec)
    positions = class_positions(batch.column(LABEL), classes)
    usable = tensors.valid & (positions >= 0)
    for row in np.flatnonzero(~usable):
        name, reason = _describe(batch, int(row), tensors.problems)
        if handle_invalid == "error":
            raise DataError(f"row {name}: {reason}; handleInvalid='skip' trains without such rows")
        skipped.add(name, reason)
    kept = usable[tensors.valid]
    values = tensors.values if kept.all() else tensors.values[kept]
    return _Usable(values, positions[usable], np.asarray(batch.column(KEY).to_numpy())[usable])


def class_positions(labels: pa.Array, classes: Sequence[float] | Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the position of each label in the list of classes, -1 where it isn't there."""
    found = pc.index_in(labels, value_set=pa.array(classes, type=labels.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _describe(batch: pa.RecordBatch, row: int, problems: dict[int, str]) -> tuple[str, str]:
    given = batch.column(PROBLEM)[row].as_py()
    label = batch.column(LABEL)[row].as_py()
    reason = given or problems.get(row) or f"the label {label!r} is not one of the classes"
    return str(batch.column(NAME)[row].as_py()), reason
