"""Scores of an ensemble and its learners: lines of the leaderboard, estimates of what was tried, learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkwater.stacking.level_one.metrics import LearnerMetrics, Losses
from sparkwater.stacking.level_one.records import FitRecord


@dataclass(frozen=True)
class Score:
    """One line of the leaderboard.

    Attributes
    ----------
    learner : str
        Its name; ``ensemble`` for the whole.
    value, deviation : float
        The first metric over all rows, out of fold, and its standard deviation over the folds.
    low, high : float
        The 95 % confidence interval of the value.
    second : float
        The second metric.
    weight : float or None
        Share of the learner's columns in the sum of the meta-learner's absolute coefficients, or of a
        tree's importances; None where it has neither, and for the ensemble.
    fitSeconds, msPer1000Rows : float or None
        Wall time of all its fits, and of scoring 1,000 held-out rows; None for the ensemble.
    """

    learner: str
    value: float
    deviation: float
    low: float
    high: float
    second: float
    weight: float | None = None
    fitSeconds: float | None = None
    msPer1000Rows: float | None = None


@dataclass(frozen=True)
class Tried:
    """Estimate of a combiner that was tried as the meta-learner.

    Attributes
    ----------
    name : str
        Its name; ``auto`` for the choice among the others, nested in the folds.
    value, low, high : float
        The first metric by cross-validation on level one, and its 95 % confidence interval.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """Learning curve of a network: its model on all rows, or the first of its fold models.

    Attributes
    ----------
    learner : str
        Its name.
    loss : tuple of float
        Training loss by epoch.
    metric : str
        Name of the first metric that the validation rows were judged by; empty without such rows.
    validation : tuple of float or None
        That metric by epoch; None where it is undefined.
    """

    learner: str
    loss: tuple[float, ...]
    metric: str = ""
    validation: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Levels:
    """Comparison of an ensemble of two levels with that of the first level alone.

    Attributes
    ----------
    metric : str
        Name of the loss.
    one, both : float
        The first metric of both, by their nested estimates.
    difference, low, high : float
        The loss with both levels less that with one, the mean over rows with its 95 % confidence interval.
    """

    metric: str
    one: float
    both: float
    difference: float
    low: float
    high: float

    @property
    def taken(self) -> bool:
        """True where the second level is taken: it gains more than its interval."""
        return self.high < 0

    def __str__(self) -> str:
        loss = "squared error" if self.metric == "rmse" else self.metric
        said = "taken" if self.taken else "not taken, as it gains less than its interval"
        return (
            f"second level: {said} ({self.metric} {self.one:.5f} with one level, {self.both:.5f} with both; "
            f"{loss} {self.difference:+.5f}, 95 % interval "
            f"{self.low:+.5f} to {self.high:+.5f})"
        )


def rank_learners(
    metrics: LearnerMetrics, weights: dict[str, float | None], fits: Sequence[FitRecord]
) -> tuple[Score, ...]:
    """Return the leaderboard's lines, best first."""
    scores = []
    for name in metrics.byFold:
        own = [fit for fit in fits if fit.learner == name]
        rows = sum(fit.rows for fit in own)
        low, high = metrics.interval(name)
        scores.append(
            Score(
                name, metrics.value(name), metrics.deviation(name), low, high, metrics.error(name), weights.get(name),
                sum(fit.fitSeconds for fit in own) if own else None,
                1e6 * sum(fit.scoreSeconds for fit in own) / rows if rows else None,
            )
        )  # fmt: skip
    return tuple(sorted(scores, key=lambda score: score.value))


def interval(difference: Losses) -> tuple[float, float, float]:
    """Return a mean difference and its 95 % confidence interval."""
    return difference.mean, difference.mean - difference.reach, difference.mean + difference.reach
