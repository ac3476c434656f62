"""Summary of an ensemble: its parts, and the out-of-fold metrics of its learners and itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparkwater.stacking.level_one.metrics import LearnerMetrics, Losses
from sparkwater.stacking.level_one.records import FitRecord

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: What the ensemble is called in the leaderboard.
ENSEMBLE = "ensemble"

_TWO_SIDED = 1.959964

_LEADERBOARD = (
    "learner string, metric string, value double, deviation double, low double, high double, secondMetric string, "
    "secondValue double, weight double, fitSeconds double, msPer1000Rows double"
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
class EnsembleSummary:
    """Summary of one ``fit``; it is saved and loaded with the model.

    Attributes
    ----------
    strategy : {"cross-validation", "blending"}
        Origin of level one.
    metrics : tuple of (str, str)
        The two metrics: logLoss and error, or rmse and mae. The lower, the better.
    scores : tuple of Score
        Best first.
    rows, folds : int
        Rows of level one and the folds they are in.
    fingerprint : str
        Fingerprint of rows and folds.
    best : str
        The best base learner.
    difference, differenceLow, differenceHigh : float
        The ensemble's first loss less the best learner's, the mean over rows with its 95 %
        confidence interval. For regression the loss is the squared error.
    coefficients : tuple of tuple of float
        The meta-learner's, one row a class; empty where it has none.
    columns : tuple of str
        Names of the coefficients' columns.
    skipped : tuple of str
        Learners without any weight, which aren't asked when the model scores.
    notes : tuple of str
        Remarks for the reader.
    fits : tuple of FitRecord
        Records of the fold fits.
    totalSeconds : float
        Wall time of the whole ``fit``.
    metaLearner : str
        Name of the combiner that was chosen; empty for other meta-learners.
    tried : tuple of Tried
        Estimates of all combiners that were tried; empty for other meta-learners.
    """

    strategy: str
    metrics: tuple[str, str]
    scores: tuple[Score, ...]
    rows: int
    folds: int
    fingerprint: str
    best: str
    difference: float
    differenceLow: float
    differenceHigh: float
    coefficients: tuple[tuple[float, ...], ...]
    columns: tuple[str, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    fits: tuple[FitRecord, ...]
    totalSeconds: float
    metaLearner: str = ""
    tried: tuple[Tried, ...] = ()

    @property
    def verdict(self) -> str:
        """Verdict on the ensemble against its best learner, in words."""
        gap = f"{self.difference:+.5f}, 95 % interval {self.differenceLow:+.5f} to {self.differenceHigh:+.5f}"
        loss = "logLoss" if self.metrics[0] == "logLoss" else "squared error"
        if not (self.differenceLow or self.differenceHigh):
            return f"the ensemble is its best learner {self.best!r} alone"
        if self.differenceHigh < 0:
            return f"the ensemble beats its best learner {self.best!r} ({loss} {gap})"
        if self.differenceLow > 0:
            return f"the ensemble is worse than its best learner {self.best!r} ({loss} {gap})"
        return f"the ensemble and its best learner {self.best!r} can't be told apart ({loss} {gap})"

    @property
    def leaderboard(self) -> DataFrame:
        """One row a learner and one for the ensemble, best first."""
        rows = [
            (one.learner, self.metrics[0], one.value, one.deviation, one.low, one.high, self.metrics[1], one.second,
             one.weight, one.fitSeconds, one.msPer1000Rows)
            for one in self.scores
        ]  # fmt: skip
        return SparkSession.builder.getOrCreate().createDataFrame(rows, _LEADERBOARD)

    @property
    def coefficientTable(self) -> DataFrame:
        """The meta-learner's coefficients: one row for each of its columns and classes."""
        rows = [
            (name, number, value)
            for number, line in enumerate(self.coefficients)
            for name, value in zip(self.columns, line, strict=True)
        ]
        return SparkSession.builder.getOrCreate().createDataFrame(rows, "column string, output int, coefficient double")

    def __str__(self) -> str:
        first, second = self.metrics
        header = ["", first, "deviation", "95 % interval", second, "weight", "fit s", "ms / 1,000 rows"]
        table = [header, *(_line(score) for score in self.scores)]
        widths = [max(len(line[place]) for line in table) for place in range(len(header))]
        text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in table]
        skipped = f"not asked when scoring, having no weight: {', '.join(self.skipped)}" if self.skipped else ""
        said = f"{self.rows:,} rows, {self.folds} folds, {self.strategy}, fingerprint {self.fingerprint}"
        return "\n".join(line for line in (said, *text, self.verdict, self._tries(), skipped, *self.notes) if line)

    def _tries(self) -> str:
        if not self.metaLearner:
            return ""
        estimates = ", ".join(f"{one.name} {one.value:.5f}" for one in self.tried)
        return f"meta-learner: {self.metaLearner} ({self.metrics[0]} of those that were tried: {estimates})"

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> EnsembleSummary:
        """Return the summary from `to_dict`, also after a way through JSON."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        plain.update(
            {
                "scores": tuple(Score(**score) for score in fields["scores"]),
                "fits": tuple(FitRecord(**fit) for fit in fields["fits"]),
                "tried": tuple(Tried(**one) for one in fields.get("tried", ())),
                "coefficients": tuple(tuple(line) for line in fields["coefficients"]),
            }
        )
        return cls(**plain)


def _line(score: Score) -> list[str]:
    rest = [score.weight, score.fitSeconds, score.msPer1000Rows]
    formats = ("{:.3f}", "{:.1f}", "{:.0f}")
    return [
        score.learner,
        f"{score.value:.5f}",
        f"{score.deviation:.5f}",
        f"{score.low:.5f} - {score.high:.5f}",
        f"{score.second:.5f}",
        *("" if value is None else form.format(value) for value, form in zip(rest, formats, strict=True)),
    ]


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
    reach = _TWO_SIDED * difference.standard_error
    return difference.mean, difference.mean - reach, difference.mean + reach
