"""What a rank holds: its rows as tensors in memory, read from Arrow record batches.

The rows are put in the order of their content's hash, so neither the partitioning of the
DataFrame nor the order in which batches arrive can be seen in anything that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sparkwater.conversions.arrow import as_torch, usable_tensors
from sparkwater.conversions.spec import TensorSpec
from sparkwater.errors import DataError

#: Columns of the record batches that ranks read.
TENSOR, PROBLEM, LABEL, NAME, KEY = "tensor", "problem", "label", "name", "key"

#: Skipped rows that are listed one by one; all are counted.
MAX_LISTED = 20

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


@dataclass(frozen=True)
class RankRows:
    """The rows of one rank, in canonical order.

    Attributes
    ----------
    features : torch.Tensor
        Shape ``(rows, *spec.shape)``, the spec's dtype.
    labels : torch.Tensor
        int64, positions in the list of classes.
    skipped : SkippedRows
        What was left out.
    """

    features: torch.Tensor
    labels: torch.Tensor
    skipped: SkippedRows

    def __len__(self) -> int:
        return len(self.labels)


def load_rows(batches: Iterable[pa.RecordBatch], spec: TensorSpec, classes: Classes, handle_invalid: str) -> RankRows:
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

    Returns
    -------
    RankRows
        Peak memory is twice its tensors, while they are put in order.

    Raises
    ------
    DataError
        For a row that can't be used, with its name and the reason.
    """
    skipped = SkippedRows()
    parts = [_read_batch(batch, spec, classes, handle_invalid, skipped) for batch in batches]
    if not parts:
        return RankRows(as_torch(np.empty((0, *spec.shape), spec.dtype)), torch.empty(0, dtype=torch.int64), skipped)
    order = np.lexsort((np.concatenate([part.labels for part in parts]), np.concatenate([part.keys for part in parts])))
    features, labels = _gather(parts, order, spec)
    return RankRows(as_torch(features), as_torch(labels), skipped)


@dataclass(frozen=True)
class _Part:
    tensors: npt.NDArray[np.generic]
    labels: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]


def _read_batch(
    batch: pa.RecordBatch, spec: TensorSpec, classes: Classes, handle_invalid: str, skipped: SkippedRows
) -> _Part:
    tensors = usable_tensors(batch.column(TENSOR), spec)
    positions = _class_positions(batch.column(LABEL), classes)
    usable = tensors.valid & (positions >= 0)
    for row in np.flatnonzero(~usable):
        name, reason = _describe(batch, int(row), tensors.problems)
        if handle_invalid == "error":
            raise DataError(f"row {name}: {reason}; handleInvalid='skip' trains without such rows")
        skipped.add(name, reason)
    return _Part(
        tensors.values[usable[tensors.valid]], positions[usable], np.asarray(batch.column(KEY).to_numpy())[usable]
    )


def _class_positions(labels: pa.Array, classes: Sequence[float] | Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the position of each label in the list of classes, -1 where it isn't there."""
    found = pc.index_in(labels, value_set=pa.array(classes, type=labels.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _describe(batch: pa.RecordBatch, row: int, problems: dict[int, str]) -> tuple[str, str]:
    given = batch.column(PROBLEM)[row].as_py()
    label = batch.column(LABEL)[row].as_py()
    reason = given or problems.get(row) or f"the label {label!r} is not one of the classes"
    return str(batch.column(NAME)[row].as_py()), reason


def _gather(
    parts: list[_Part], order: npt.NDArray[np.int64], spec: TensorSpec
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.int64]]:
    """Copy the parts into one array each, row ``order[i]`` of all of them to row ``i``; parts are freed on the way."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    features = np.empty((len(order), *spec.shape), spec.dtype)
    labels = np.empty(len(order), np.int64)
    start = 0
    while parts:
        part = parts.pop(0)
        stop = start + len(part.labels)
        features[place[start:stop]] = part.tensors
        labels[place[start:stop]] = part.labels
        start = stop
    return features, labels
