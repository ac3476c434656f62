"""Summary of an AutoML run: the columns that were found, all that was tried, and the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.sessions.session import current_session
from sparkwater.ml.reports.text_table import as_html, table
from sparkwater.stacking.scores import ENSEMBLE, Score
from sparkwater.stacking.search.records import Trial
from sparkwater.stacking.summary import EnsembleSummary

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.plots import Plot

#: Names of the ensembles in the leaderboard.
ALL, BEST_OF_FAMILY = "ensemble of all", "ensemble of the best of each family"

_LEADERBOARD = (
    "model string, family string, metric string, value double, low double, high double, secondMetric string, "
    "secondValue double, weight double, fitSeconds double, msPer1000Rows double, params map<string, string>"
)


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard.

    Attributes
    ----------
    score : Score
        Metrics out of fold with their interval, weight in the chosen model, and times.
    family : str
        Its family; ``ensemble`` for ensembles.
    params : mapping of str to object
        The Params that it was tried with.
    """

    score: Score
    family: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class AutoMLSummary:
    """Summary of one ``fit``; it is saved and loaded with the model.

    Attributes
    ----------
    task : {"classification", "regression"}
        The task.
    metrics : tuple of (str, str)
        The two metrics: logLoss and error, or rmse and mae. The lower, the better.
    found : str
        Report on the columns, as text.
    entries : tuple of Entry
        The leaderboard, best first.
    trials : tuple of Trial
        All that was tried, in its order.
    chosen : str
        Name of the model that scores.
    rows, folds : int
        Rows and the folds they are in.
    fingerprint : str
        Fingerprint of rows and folds.
    notes : tuple of str
        Remarks for the reader.
    totalSeconds : float
        Wall time of the whole ``fit``.
    """

    task: str
    metrics: tuple[str, str]
    found: str
    entries: tuple[Entry, ...]
    trials: tuple[Trial, ...]
    chosen: str
    rows: int
    folds: int
    fingerprint: str
    notes: tuple[str, ...]
    totalSeconds: float

    @property
    def leaderboard(self) -> DataFrame:
        """One row a model, best first."""
        rows = [
            (one.score.learner, one.family, self.metrics[0], one.score.value, one.score.low, one.score.high,
             self.metrics[1], one.score.second, one.score.weight, one.score.fitSeconds, one.score.msPer1000Rows,
             {name: str(value) for name, value in one.params.items()})
            for one in self.entries
        ]  # fmt: skip
        return current_session().createDataFrame(rows, _LEADERBOARD)

    def __str__(self) -> str:
        header = ["", self.metrics[0], "95 % interval", self.metrics[1], "weight", "fit s", "ms / 1,000 rows"]
        lines = [header, *(_line(one.score) for one in self.entries)]
        failed = [f"{one.learner} failed: {one.error}" for one in self.trials if one.error]
        said = f"{self.task}: {self.rows:,} rows, {self.folds} folds, {self.totalSeconds:.0f} s"
        parts = [self.found, said, table(lines), f"the model that scores: {self.chosen}", *failed, *self.notes]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        return as_html(str(self))

    def plot(self) -> Plot:
        """Return the leaderboard as a plot with a text alternative; driver side, without a Spark job.

        The 40 best models with the first metric out of fold and its 95 % interval; ensembles are marked.

        Raises
        ------
        DataError
            If no model has a value.
        """
        from sparkwater.stacking.plotting import plot_leaderboard

        ensembles = [one.score.learner for one in self.entries if one.family == ENSEMBLE]
        return plot_leaderboard([one.score for one in self.entries], self.metrics[0], ensembles)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AutoMLSummary:
        """Return the summary from `to_dict`, also after a way through JSON."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        plain["trials"] = tuple(Trial.from_dict(trial) for trial in fields["trials"])
        plain["entries"] = tuple(
            Entry(Score(**one["score"]), one["family"], one["params"]) for one in fields["entries"]
        )
        return cls(**plain)


def _line(score: Score) -> list[str]:
    rest = zip((score.weight, score.fitSeconds, score.msPer1000Rows), ("{:.3f}", "{:.1f}", "{:.0f}"), strict=True)
    return [
        score.learner,
        f"{score.value:.5f}",
        f"{score.low:.5f} - {score.high:.5f}",
        f"{score.second:.5f}",
        *("" if value is None else form.format(value) for value, form in rest),
    ]


def entries_of(
    trials: Sequence[Trial],
    scores: Sequence[Score],
    ensembles: Mapping[str, EnsembleSummary],
    weights: Mapping[str, float],
) -> tuple[Entry, ...]:
    """Return the leaderboard's lines, best first.

    Parameters
    ----------
    trials : sequence of Trial
        All that was tried.
    scores : sequence of Score
        Metrics and times of the learners that succeeded.
    ensembles : mapping of str to EnsembleSummary
        The ensembles by name.
    weights : mapping of str to float
        Share of each learner in the model that scores.
    """
    by_name = {one.learner: one for one in trials}
    lines = [
        Entry(
            replace(one, weight=weights.get(one.learner, 0.0)), by_name[one.learner].family, by_name[one.learner].params
        )
        for one in scores
    ]
    for name, summary in ensembles.items():
        own = next(one for one in summary.scores if one.learner == ENSEMBLE)
        lines.append(Entry(replace(own, learner=name), ENSEMBLE, {}))
    return tuple(sorted(lines, key=lambda one: one.score.value))
