"""A rank's rows streamed from a petastorm dataset, epoch by epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from sparkwater.conversions.petastorm.rows import PetastormRows
from sparkwater.conversions.petastorm.stream import rank_rows, stream
from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.errors import ConfigurationError, DataError
from sparkwater.gpu.rows.held import BLOCK_ROWS, Batch
from sparkwater.gpu.rows.plan import EpochPlan
from sparkwater.gpu.rows.reading import SkippedRows
from sparkwater.gpu.tasks import Task


@dataclass(frozen=True)
class Store:
    """A petastorm dataset and its columns to train on.

    Attributes
    ----------
    dataset : PetastormRows
        The dataset.
    features_column, label_column : str
        Its columns to train on; no label column for rows without labels.
    """

    dataset: PetastormRows
    features_column: str
    label_column: str | None = None


@dataclass(frozen=True)
class StoredRows:
    """A rank's share of a dataset: contiguous rows, as many as any other rank's or one less or more.

    Memory is bounded by two windows of `sparkwater.conversions.petastorm.stream.stream`.

    Attributes
    ----------
    store : Store
        The same on all ranks.
    task : Task
        What labels become.
    rank, size : int
        The rank, and the number of ranks.
    skipped : SkippedRows
        The rows left out: none, as unusable rows are errors.
    """

    store: Store
    task: Task
    rank: int
    size: int
    skipped: SkippedRows = field(default_factory=SkippedRows)
    weightless = 0
    held_out = None
    location = "storage"

    @property
    def content(self) -> str:
        """Digest of the rows' places; files that changed in place aren't noticed."""
        return hashlib.sha256(repr((self.store.dataset, self.rank, self.size)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(rank_rows(self.store.dataset.rows, self.rank, self.size))

    def on(self, device: torch.device) -> StoredRows:
        """Return the same rows; they come from storage whatever the device."""
        del device
        return self

    def blocks(self) -> Iterator[torch.Tensor]:
        """Iterate over all features once, from storage."""
        whole, rest = divmod(len(self), BLOCK_ROWS)
        sizes = [BLOCK_ROWS] * whole + ([rest] if rest else [])
        for batch in stream(self.store.dataset, self.rank, self.size, 0, 0, sizes):
            yield torch.from_numpy(batch[self.store.features_column])

    def batches(self, plan: EpochPlan, rank: int) -> Generator[Batch, None, None]:
        """Iterate over one epoch.

        Raises
        ------
        DataError
            For a row that can't be used: a null, a NaN, a label that is none of the classes.
        """
        sizes = np.diff(plan.bounds(rank)).tolist()
        for batch in stream(self.store.dataset, rank, self.size, plan.epoch, plan.seed, sizes):
            features = torch.from_numpy(batch[self.store.features_column])
            yield Batch(features, self._targets(batch))

    def step_weights(self, plan: EpochPlan, rank: int, task: Task) -> torch.Tensor:
        """Refuse: labels are known only once they are read."""
        del plan, rank, task
        raise ConfigurationError("rows that are streamed have no weights")

    def _targets(self, batch: dict[str, npt.NDArray[np.generic]]) -> torch.Tensor:
        if self.store.label_column is None:
            return as_torch(self.task.encode(pa.nulls(len(batch[self.store.features_column]), pa.float64())).values)
        labels = batch[self.store.label_column]
        values = pa.array(labels)
        if not pa.types.is_string(values.type):
            values = values.cast(pa.float64())
        targets = self.task.encode(values)
        if not targets.valid.all():
            label = labels[np.flatnonzero(~targets.valid)[0]]
            raise DataError(f"{self.store.dataset.url!r}: {self.task.refusal(label)}")
        return as_torch(targets.values)
