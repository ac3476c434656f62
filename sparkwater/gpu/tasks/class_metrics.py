"""Metrics of classification, from sums that ranks add up."""

from __future__ import annotations

import torch

from sparkwater.gpu.tasks.curves import GAINS, THRESHOLDS, Curves
from sparkwater.gpu.tasks.hits import Hits
from sparkwater.gpu.tasks.score_bins import FLOAT_BINS, MOST_RANKED_CLASSES, ODDS_BINS, areas, float_bins, odds_bins
from sparkwater.gpu.tasks.task import Metrics, Sums, row_counts

#: Metrics that are defined for two classes.
OF_TWO = ("auc", "gini", "aucPr", "maxF1", "liftTopGroup")


class ClassSums(Sums):
    """Sums over scored rows, each counted by its weight.

    The metrics that follow from them:

    - ``logloss``: mean cross entropy, in nats.
    - ``error``: share of rows whose class isn't the one with the highest probability.
    - ``meanPerClassError``: mean of the classes' own errors, over the classes that have rows.
    - ``topKError``: share of rows whose class has ``topK`` classes or more above it. None where there are no
      more classes than that.

    For two classes, and None for more of them and for rows of one class only; log-odds of the second class that
    differ by less than one in 128 count as ties:

    - ``auc``: area under the ROC curve.
    - ``gini``: ``2 * auc - 1``.
    - ``aucPr``: area under the curve of precision by recall, see `Curves.average_precision`.
    - ``maxF1``: highest F1 of the second class over all thresholds.
    - ``liftTopGroup``: share of the second class among the hundredth of the rows that are most probably of it, as a
      ratio to its share among all rows; see `Curves.gains`.

    For up to `MOST_RANKED_CLASSES` classes, else None:

    - ``aucMacro``: mean of the areas under the ROC curves of each class against the rest, over the classes that have
      rows, but not all of them. For more than two classes log-odds that differ by less than 1 / 64, or are beyond 16,
      count as ties.
    - ``aucWeighted``: the same, weighted by the classes' rows.

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
        The part of it that is `Hits.confusion`.
    """

    def __init__(self, classes: int, top_k: int, device: torch.device) -> None:
        self._classes, self._top_k = classes, top_k
        bins = 2 * FLOAT_BINS if classes == 2 else 0
        ranked = classes * ODDS_BINS if 2 < classes <= MOST_RANKED_CLASSES else 0
        sizes = [1, 1, Hits.size(classes), bins, ranked, ranked]
        self.values = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
        self._loss, self._far, hits, self._scores, self._ranked, self._own = torch.split(self.values, sizes)
        self._hits = Hits(hits, classes)
        self._first = torch.arange(classes, device=device) * ODDS_BINS
        self.confusion = self._hits.confusion

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows by their log-odds and the positions of their classes."""
        outputs, labels, counts = raw, targets, row_counts(targets, weights)
        own, total = outputs.gather(1, labels[:, None]), outputs.logsumexp(dim=1)
        self._loss += ((total - own[:, 0]).double() * counts).sum()
        self._hits.add(labels, outputs.argmax(dim=1), counts)
        if self._top_k < self._classes:
            far = (outputs > own).sum(dim=1) >= self._top_k
            # To pick some of the counts, a GPU's host would have to wait until it knows how many there are.
            self._far += far.sum() if weights is None else counts[far].sum()
        if self._classes == 2:
            self._scores.index_add_(0, labels * FLOAT_BINS + float_bins(outputs[:, 1] - outputs[:, 0]), counts)
        if len(self._ranked):
            self._rank(outputs - total[:, None], labels, counts)

    def _rank(self, logarithms: torch.Tensor, labels: torch.Tensor, counts: torch.Tensor) -> None:
        """Add rows by the logarithms of their probabilities: for each class all rows, and its own."""
        # Of a probability of 1 they are infinite, and in the last bin.
        bins = odds_bins(logarithms - torch.log(-torch.expm1(logarithms))) + self._first
        self._ranked.index_add_(0, bins.view(-1), counts[:, None].expand_as(bins).reshape(-1))
        self._own.index_add_(0, bins.gather(1, labels[:, None])[:, 0], counts)

    def metrics(self) -> Metrics:
        """Return the metrics of all rows that were added; there must be one."""
        loss, far, weights = float(self._loss), float(self._far), self._hits.weights()
        total = float(weights.sum())
        rates, of_two = self._hits.rates(), self._metrics_of_two()
        return Metrics(
            logloss=loss / total,
            error=rates["error"],
            meanPerClassError=rates["meanPerClassError"],
            auc=of_two["auc"],
            topKError=far / total if self._top_k < self._classes else None,
            gini=of_two["gini"],
            aucPr=of_two["aucPr"],
            maxF1=of_two["maxF1"],
            liftTopGroup=of_two["liftTopGroup"],
            **self._against_rest(weights, of_two["auc"]),
        )

    def details(self) -> dict[str, torch.Tensor]:
        """Return the confusion matrix and, for rows of two classes, the tables by threshold and of gains."""
        tables = self._hits.details()
        curves = self._curves()
        if curves is None:
            return tables
        return {**tables, THRESHOLDS: curves.thresholds(), GAINS: curves.gains()}

    def _curves(self) -> Curves | None:
        """Return the curves of two classes, where there are rows of both."""
        if self._classes != 2:
            return None
        curves = Curves.of_bins(self._scores.cpu().view(2, FLOAT_BINS))
        return curves if len(curves.scores) and curves.defined else None

    def _metrics_of_two(self) -> dict[str, float | None]:
        curves = self._curves()
        if curves is None:
            return dict.fromkeys(OF_TWO)
        area = float(areas(curves.negative.flip(0), curves.positive.flip(0)))
        values = (area, 2 * area - 1, curves.average_precision, float(curves.f1[curves.best]), curves.top_lift)
        return dict(zip(OF_TWO, values, strict=True))

    def _against_rest(self, weights: torch.Tensor, of_two: float | None) -> dict[str, float | None]:
        if not len(self._ranked):
            return {"aucMacro": of_two, "aucWeighted": of_two}
        ranked, own = (part.cpu().view(self._classes, ODDS_BINS) for part in (self._ranked, self._own))
        # Differences of sums are rounded: what is left of nothing is nothing.
        found = areas((ranked - own).clamp(min=0), own)
        defined = (weights > 0) & (weights < weights.sum())
        if not defined.any():
            return {"aucMacro": None, "aucWeighted": None}
        found, weights = found[defined], weights[defined]
        return {"aucMacro": float(found.mean()), "aucWeighted": float(found @ weights / weights.sum())}
