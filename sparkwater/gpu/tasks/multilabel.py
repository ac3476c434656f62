"""Multi-label classification: any number of labels a row, one sigmoid output each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.tasks.classes import ClassTask, check_share, class_positions
from sparkwater.gpu.tasks.divergences import sigmoid_divergence
from sparkwater.gpu.tasks.losses import binary_cross_entropy
from sparkwater.gpu.tasks.score_bins import MOST_RANKED_LABELS, ODDS_BINS, areas, odds_bins
from sparkwater.gpu.tasks.task import Metrics, Sums, Targets, row_counts

#: Names of the tables by label: areas under ROC curves; and what the rows weigh that have a label and are predicted
#: to have it, are only predicted to, only have it, or neither.
AREAS, COUNTS = "auc", "counts"


@dataclass(frozen=True)
class MultiLabelTask(ClassTask):
    """Labels of rows; the network gives log-odds, one a label.

    Attributes
    ----------
    classes : tuple of float or of str
        Labels, sorted; the network's output ``i`` is for ``classes[i]``.
    label_smoothing : float
        See `sparkwater.gpu.tasks.losses.binary_cross_entropy`.
    """

    kind: ClassVar[str] = "multilabel"
    METRICS: ClassVar[Mapping[str, bool]] = {"logloss": False, "subsetError": False, "hammingLoss": False, "auc": True}

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.label_smoothing)

    @property
    def target(self) -> TensorSpec:
        """For each label whether the row has it."""
        return TensorSpec("bool", (len(self.classes),))

    def encode(self, labels: pa.Array) -> Targets:
        """Return which labels each row has; rows of null, and of a null or unknown label, are invalid."""
        lists = labels.cast(pa.large_list(labels.type.value_type)).fill_null([])
        counts = np.diff(lists.offsets.to_numpy())
        rows = np.repeat(np.arange(len(lists)), counts)
        positions = class_positions(lists.flatten(), self.classes)
        known = positions >= 0
        values = np.zeros((len(lists), len(self.classes)), bool)
        values[rows[known], positions[known]] = True
        valid = np.asarray(labels.is_valid().to_numpy(zero_copy_only=False)).astype(bool)
        valid[rows[~known]] = False
        return Targets(values, valid)

    def refusal(self, label: Any) -> str:
        """Return why a row's labels aren't valid."""
        if label is None:
            return "the label is null"
        if any(one is None for one in label):
            return "one of the labels is null"
        unknown = next((one for one in label if one not in self.classes), label)
        return f"the label {unknown!r} is not one of the labels"

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the binary cross entropy of each row, the mean over its labels, in nats."""
        return binary_cross_entropy(outputs, targets, self.label_smoothing)

    def divergences(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Return the Kullback-Leibler divergence of each row's probabilities from the other ones, a label's mean."""
        return sigmoid_divergence(outputs, others)

    def respond(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return probabilities, each of its own."""
        from scipy.special import expit  # ranks, which import this module, don't need it

        return np.asarray(expit(raw))

    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""
        return LabelSums(len(self.classes), device)

    def unfit(self, metric: str) -> str | None:
        """Return why a metric says nothing for this task, or None where it does."""
        if metric == "auc" and len(self.classes) > MOST_RANKED_LABELS:
            return f"auc is measured for up to {MOST_RANKED_LABELS} labels; there are {len(self.classes)}"
        return super().unfit(metric)


class LabelSums(Sums):
    """Sums over scored rows, each counted by its weight; a row has the labels whose probability is above one half.

    The metrics that follow from them:

    - ``logloss``: mean binary cross entropy over rows and labels, in nats.
    - ``subsetError``: share of rows with a label too many or too few.
    - ``hammingLoss``: share of labels, of all rows, that are wrong.
    - ``auc``: mean over labels of the area under the ROC curve; without labels that all rows have, or none. Log-odds
      that differ by less than 1 / 64, or are beyond 16, count as ties. None for more than `MOST_RANKED_LABELS` labels.
    """

    def __init__(self, labels: int, device: torch.device) -> None:
        self._labels = labels
        bins = 2 * labels * ODDS_BINS if labels <= MOST_RANKED_LABELS else 0
        sizes = [1, 1, 1, 4 * labels, bins]
        self.values = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
        self._weight, self._loss, self._wrong, counts, self._scores = torch.split(self.values, sizes)
        self._counts = counts.view(labels, 4)

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows."""
        counts = row_counts(targets, weights)
        predicted = raw > 0
        self._weight += counts.sum()
        self._loss += (binary_cross_entropy(raw, targets).double() * counts).sum()
        wrong = (predicted != targets).any(dim=1)
        # To pick some of the counts, a GPU's host would have to wait until it knows how many there are.
        self._wrong += wrong.sum() if weights is None else counts[wrong].sum()
        cells = (targets & predicted, ~targets & predicted, targets & ~predicted, ~targets & ~predicted)
        self._counts += torch.stack([counts @ cell.double() for cell in cells], dim=1)
        if len(self._scores):
            first = (torch.arange(self._labels, device=raw.device) * 2 + targets.long()) * ODDS_BINS
            self._scores.index_add_(
                0, (first + odds_bins(raw.double())).reshape(-1), counts.repeat_interleave(self._labels)
            )

    def metrics(self) -> Metrics:
        """Return the metrics."""
        weight = float(self._weight)
        found = self._areas()
        defined = found[~found.isnan()]
        return Metrics(
            logloss=float(self._loss) / weight,
            subsetError=float(self._wrong) / weight,
            hammingLoss=float(self._counts[:, 1:3].sum()) / (weight * self._labels),
            auc=float(defined.mean()) if len(defined) else None,
        )

    def details(self) -> dict[str, torch.Tensor]:
        """Return the tables by label; an area is NaN where all rows have the label, or none."""
        return {COUNTS: self._counts, AREAS: self._areas()}

    def _areas(self) -> torch.Tensor:
        if not len(self._scores):
            return torch.full((self._labels,), torch.nan, dtype=torch.float64)
        negative, positive = self._scores.cpu().view(self._labels, 2, ODDS_BINS).unbind(dim=1)
        return areas(negative, positive)
