"""Metrics of classification, from sums that ranks add up."""

from __future__ import annotations

import torch

from sparkwater.gpu.tasks.task import Metrics, Sums, row_counts

#: Bins of scores for the area under the ROC curve: scores are told apart by their first 16 bits.
_BINS = 1 << 16

#: Name of the table of labels against predictions.
CONFUSION = "confusion"

#: Of more classes than this no table of labels against predictions is kept: it grows with their square.
MAX_CONFUSED = 200


class ClassSums(Sums):
    """Sums over scored rows, each counted by its weight.

    The metrics that follow from them:

    - ``logloss``: mean cross entropy, in nats.
    - ``error``: share of rows whose class isn't the one with the highest probability.
    - ``meanPerClassError``: mean of the classes' own errors, over the classes that have rows.
    - ``auc``: for two classes the area under the ROC curve of the second one's probability. Log-odds that differ
      by less than one in 128 count as ties. None where there are more classes, or rows of one class only.
    - ``topKError``: share of rows whose class has ``topK`` classes or more above it. None where there are no
      more classes than that.

    Parameters
    ----------
    classes : int
        Number of classes.
    top_k : int
        Of ``topKError``.
    device : torch.device
        Device of the outputs.

    Attributes
    ----------
    values : torch.Tensor
        All sums, one float64 vector for the collective.
    confusion : torch.Tensor or None
        The part of it, ``(classes, classes)``, that says what the rows of each class (first) that were
        predicted as each class (second) weigh. None for more than `MAX_CONFUSED` classes.
    """

    def __init__(self, classes: int, top_k: int, device: torch.device) -> None:
        self._classes, self._top_k = classes, top_k
        bins = 2 * _BINS if classes == 2 else 0
        cells = classes * classes if classes <= MAX_CONFUSED else 0
        sizes = [1, 1, classes, classes, bins, cells]
        self.values = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
        self._loss, self._far, self._weights, self._hits, self._scores, table = torch.split(self.values, sizes)
        self.confusion = table.view(classes, classes) if cells else None

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows by their log-odds and the positions of their classes."""
        outputs, labels, counts = raw, targets, row_counts(targets, weights)
        own = outputs.gather(1, labels[:, None])
        losses = outputs.logsumexp(dim=1) - own[:, 0]
        self._loss += (losses.double() * counts).sum()
        self._weights.index_add_(0, labels, counts)
        predicted = outputs.argmax(dim=1)
        self._hits.index_add_(0, labels, counts * (predicted == labels))
        if self.confusion is not None:
            self.confusion.view(-1).index_add_(0, labels * self._classes + predicted, counts)
        if self._top_k < self._classes:
            far = (outputs > own).sum(dim=1) >= self._top_k
            # To pick some of the counts, a GPU's host would have to wait until it knows how many there are.
            self._far += far.sum() if weights is None else counts[far].sum()
        if self._classes == 2:
            self._scores.index_add_(0, labels * _BINS + _bins(outputs[:, 1] - outputs[:, 0]), counts)

    def metrics(self) -> Metrics:
        """Return the metrics of all rows that were added; there must be one."""
        loss, far, weights, hits = (part.cpu() for part in (self._loss, self._far, self._weights, self._hits))
        total = float(weights.sum())
        present = weights > 0
        return Metrics(
            logloss=float(loss) / total,
            error=1 - float(hits.sum()) / total,
            meanPerClassError=float((1 - hits[present] / weights[present]).mean()),
            auc=_area(self._scores.cpu()) if self._classes == 2 else None,
            topKError=float(far) / total if self._top_k < self._classes else None,
        )

    def details(self) -> dict[str, torch.Tensor]:
        """Return the confusion matrix."""
        return {} if self.confusion is None else {CONFUSION: self.confusion}


def _bins(scores: torch.Tensor) -> torch.Tensor:
    """Return a bin for each score, in the same order: its sign, its exponent and seven binary digits."""
    # Minus zero is zero; a float's bits, read as a whole number, order numbers of the same sign.
    bits = (scores.float() + 0.0).view(torch.int32) >> 16
    return torch.where(bits < 0, -1 - bits, bits + _BINS // 2).long()


def _area(scores: torch.Tensor) -> float | None:
    negative, positive = scores.view(2, _BINS)
    pairs = float(negative.sum() * positive.sum())
    if not pairs:
        return None
    below = negative.cumsum(dim=0) - negative / 2
    return float((positive * below).sum()) / pairs
