"""Scores of an ensemble and its learners: lines of the leaderboard, estimates of what was tried, learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkwater.conversions.sessions.session import current_session
from sparkwater.errors import ConfigurationError
from sparkwater.ml.reports.text_table import as_html, table
from sparkwater.stacking.level_one.metrics import LearnerMetrics, Losses
from sparkwater.stacking.level_one.records import FitRecord

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Name of the whole in leaderboards.
ENSEMBLE = "ensemble"

_EVALUATED = (
    "learner string, metric string, value double, low double, high double, secondMetric string, secondValue double"
)


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
    """Estimate of a combiner that was tried as the meta-learner, or of a calibration.

    Attributes
    ----------
    name : str
        Its name; ``auto`` for the choice among the others, nested in the folds, and ``none`` for no calibration.
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


@dataclass(frozen=True)
class RowsScore:
    """One line of the leaderboard of `EnsembleEvaluation`.

    Attributes
    ----------
    learner : str
        Its name; ``ensemble`` for the whole.
    value, low, high : float
        The first metric over all rows, and its 95 % confidence interval.
    second : float
        The second metric.
    """

    learner: str
    value: float
    low: float
    high: float
    second: float


@dataclass(frozen=True)
class EnsembleEvaluation:
    """Metrics of an ensemble and each of its learners on given rows, such as a test set.

    Attributes
    ----------
    rows : int
        The rows.
    metrics : tuple of (str, str)
        The two metrics, as those of `EnsembleSummary`. The lower, the better.
    scores : tuple of RowsScore
        Best first.
    """

    rows: int
    metrics: tuple[str, str]
    scores: tuple[RowsScore, ...]

    @classmethod
    def of(cls, rows: int, metrics: LearnerMetrics) -> EnsembleEvaluation:
        """Return the evaluation of what was measured."""
        scores = [
            RowsScore(name, metrics.value(name), *metrics.interval(name), metrics.error(name))
            for name in metrics.byFold
        ]
        return cls(rows, metrics.names, tuple(sorted(scores, key=lambda score: score.value)))

    def score(self, learner: str = ENSEMBLE) -> RowsScore:
        """Return the line of a learner, or of the ensemble.

        Raises
        ------
        ConfigurationError
            If there is no such learner.
        """
        found = {one.learner: one for one in self.scores}
        if learner not in found:
            raise ConfigurationError(f"there is no learner {learner!r} here; there are {', '.join(found)}")
        return found[learner]

    @property
    def leaderboard(self) -> DataFrame:
        """One row a learner and one for the ensemble, best first."""
        rows = [
            (one.learner, self.metrics[0], one.value, one.low, one.high, self.metrics[1], one.second)
            for one in self.scores
        ]
        return current_session().createDataFrame(rows, _EVALUATED)

    def __str__(self) -> str:
        header = ["", self.metrics[0], "95 % interval", self.metrics[1]]
        lines = [
            [one.learner, f"{one.value:.5f}", f"{one.low:.5f} - {one.high:.5f}", f"{one.second:.5f}"]
            for one in self.scores
        ]
        return f"{self.rows:,} rows\n{table([header, *lines])}"

    def _repr_html_(self) -> str:
        return as_html(str(self))


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
