"""Tables and metrics of two classes over all thresholds: precision and recall, F1, gains and lift."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from typing_extensions import Self

from sparkwater.gpu.tasks.score_bins import lowest_scores

#: Name and columns of the table by threshold. A row counts as of the second class from the threshold on, which is a
#: probability; the columns are shares.
THRESHOLDS = "thresholds"
THRESHOLD_COLUMNS = ("threshold", "f1", "precision", "recall", "specificity", "accuracy")

#: Name and columns of the table by groups of rows, the most probable first, as H2O names them; see `Curves.gains`.
GAINS = "gainsLift"
GAINS_COLUMNS = (
    "dataFraction", "threshold", "responseRate", "lift", "captureRate", "gain",
    "cumulativeResponseRate", "cumulativeLift", "cumulativeCaptureRate", "cumulativeGain", "kolmogorovSmirnov",
)  # fmt: skip

#: Rows of the table by threshold, at most.
MAX_THRESHOLDS = 100

#: Shares of the rows up to which each group of the table of gains goes, as H2O's: narrow where the most probable are.
GROUPS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Curves:
    """Rows of two classes by their scores, the highest first.

    Attributes
    ----------
    scores : torch.Tensor
        Different scores, log-odds of the second class, descending.
    positive, negative : torch.Tensor
        Total weight of the rows of the second and the first class that have each score, float64; the sum of both is
        above 0.
    """

    scores: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor

    @classmethod
    def of_bins(cls, bins: torch.Tensor) -> Self:
        """Return the curves of weights ``(2, FLOAT_BINS)`` of the first and second class by bins of scores."""
        occupied = bins.sum(dim=0).nonzero()[:, 0].flip(0)
        negative, positive = bins[:, occupied]
        return cls(lowest_scores(occupied), positive, negative)

    @cached_property
    def hits(self) -> torch.Tensor:
        """Weight of the second class's rows from each score up."""
        return self.positive.cumsum(dim=0)

    @cached_property
    def alarms(self) -> torch.Tensor:
        """Weight of the first class's rows from each score up."""
        return self.negative.cumsum(dim=0)

    @property
    def defined(self) -> bool:
        """True where there are rows of both classes."""
        return bool(self.hits[-1] > 0) and bool(self.alarms[-1] > 0)

    @property
    def precision(self) -> torch.Tensor:
        """Share of the rows from each score up that are of the second class."""
        return self.hits / (self.hits + self.alarms)

    @property
    def f1(self) -> torch.Tensor:
        """Harmonic mean of precision and recall at each score."""
        return 2 * self.hits / (self.hits + self.alarms + self.hits[-1])

    @property
    def average_precision(self) -> float:
        """Area under the curve of precision by recall, in steps, as scikit-learn's ``average_precision_score``."""
        return float((self.precision * self.positive).sum() / self.hits[-1])

    @property
    def best(self) -> int:
        """Position of the score with the highest F1; of equal ones the highest score."""
        return int(self.f1.argmax())

    def thresholds(self) -> torch.Tensor:
        """Return the table by threshold, ``(rows, len(THRESHOLD_COLUMNS))``: the best one, and shares of the rows."""
        shares = torch.arange(1, MAX_THRESHOLDS, dtype=torch.float64) / (MAX_THRESHOLDS - 1)
        rows = torch.cat([self._last_of(shares), torch.tensor([self.best])]).unique()  # type: ignore[no-untyped-call]
        hits, alarms, total, others = self.hits, self.alarms, self.hits[-1], self.alarms[-1]
        columns = (
            self.scores.sigmoid(),
            self.f1,
            self.precision,
            hits / total,
            1 - alarms / others,
            (hits + others - alarms) / (total + others),
        )
        return torch.stack(columns, dim=1)[rows]

    @property
    def top_lift(self) -> float:
        """Lift of the first group of the table of gains: the hundredth of the rows with the highest scores."""
        return float(self.gains()[0, GAINS_COLUMNS.index("lift")])

    def gains(self) -> torch.Tensor:
        """Return the table of gains and lift, ``(groups, len(GAINS_COLUMNS))``, a group of rows for each of `GROUPS`.

        Rows are grouped by their scores, the highest first; groups are wider, and fewer, where ties ask for it. With
        the share of the second class among a group's rows, ``responseRate``: ``lift`` is its ratio to the share among
        all rows, ``gain`` is 100 times (lift - 1), ``captureRate`` the share of the second class's rows that are in the
        group. Those that begin with ``cumulative`` are of all groups so far, as are ``dataFraction``, the share of all
        rows, and ``kolmogorovSmirnov``, the difference between the captured shares of both classes. ``threshold`` is
        the lowest probability of the group.
        """
        ends = self._last_of(torch.tensor(GROUPS, dtype=torch.float64)).unique()  # type: ignore[no-untyped-call]
        hits, alarms = self.hits[ends], self.alarms[ends]
        rows, total, others = hits + alarms, self.hits[-1], self.alarms[-1]
        nothing = torch.zeros(1, dtype=torch.float64)
        new_hits, new_rows = hits.diff(prepend=nothing), rows.diff(prepend=nothing)
        share = total / (total + others)
        rate, so_far = new_hits / new_rows, hits / rows
        columns = (
            rows / (total + others),
            self.scores[ends].sigmoid(),
            rate,
            rate / share,
            new_hits / total,
            100 * (rate / share - 1),
            so_far,
            so_far / share,
            hits / total,
            100 * (so_far / share - 1),
            hits / total - alarms / others,
        )
        return torch.stack(columns, dim=1)

    def _last_of(self, shares: torch.Tensor) -> torch.Tensor:
        """Return for each share of all rows the first position from which on it is reached."""
        reached = (self.hits + self.alarms) / (self.hits[-1] + self.alarms[-1])
        # Shares that rounding keeps below are reached.
        return torch.searchsorted(reached, shares - 1e-12).clamp(max=len(reached) - 1)
