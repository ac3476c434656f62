"""Records of trials, and the summary of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.sessions.session import current_session
from sparkwater.ml.reports.text_table import as_html, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.plots import Plot

_COLUMNS = (
    "trial int, learner string, params map<string, string>, metric string, value double, low double, high double, "
    "deviation double, secondMetric string, secondValue double, seconds double, error string"
)


@dataclass(frozen=True)
class Trial:
    """One combination of Params that was tried.

    Attributes
    ----------
    number : int
        Counted from 0.
    learner : str
        Its name in the level-one frame.
    params : mapping of str to object
        The Params that were tried, by name.
    value, deviation : float or None
        The first metric over all rows, out of fold, and its standard deviation over the folds; None where it failed.
    low, high : float or None
        The 95 % confidence interval of the value.
    second : float or None
        The second metric.
    seconds : float
        Sum over its fits and their scoring, side by side with others.
    wallSeconds : float
        Wall time of the trials that were fitted and measured together with it.
    fits : int
        The fits that were finished.
    error : str or None
        The reason why there is no value.
    family : str
        The kind of learner, where a search tries several.
    curve : tuple of float
        Loss after each epoch of a training that was ended for being behind; else empty.
    """

    number: int
    learner: str
    params: Mapping[str, Any]
    value: float | None = None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None
    second: float | None = None
    seconds: float = 0.0
    wallSeconds: float = 0.0
    fits: int = 0
    error: str | None = None
    family: str = ""
    curve: tuple[float, ...] = ()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Trial:
        """Return the trial from its fields, also after a way through JSON."""
        return cls(**{**fields, "curve": tuple(fields["curve"])})


@dataclass(frozen=True)
class SearchSummary:
    """Summary of one ``fit`` of a search; it is saved and loaded with the model.

    Attributes
    ----------
    strategy : str
        Class of the search.
    kind : {"classification", "regression"}
        Kind of the estimator.
    metrics : tuple of (str, str)
        The two metrics: logLoss and error, or rmse and mae. The lower, the better.
    classes : tuple
        The labels, sorted; empty for regression.
    trials : tuple of Trial
        In their order.
    best : str
        Name of the best trial's learner.
    rows, folds : int
        Rows and the folds they are in.
    fingerprint : str
        Fingerprint of rows and folds.
    ended : str
        The reason why no more was tried.
    totalSeconds : float
        Wall time of the whole ``fit``.
    """

    strategy: str
    kind: str
    metrics: tuple[str, str]
    classes: tuple[Any, ...]
    trials: tuple[Trial, ...]
    best: str
    rows: int
    folds: int
    fingerprint: str
    ended: str
    totalSeconds: float

    @property
    def bestTrial(self) -> Trial:
        """The best trial."""
        return next(trial for trial in self.trials if trial.learner == self.best)

    def to_frame(self) -> DataFrame:
        """Return a row a trial, best first; failed ones last."""
        rows = [
            (one.number, one.learner, {name: str(value) for name, value in one.params.items()}, self.metrics[0],
             one.value, one.low, one.high, one.deviation, self.metrics[1], one.second, one.seconds, one.error)
            for one in ranked(self.trials)
        ]  # fmt: skip
        return current_session().createDataFrame(rows, _COLUMNS)

    def __str__(self) -> str:
        lines = [["trial", self.metrics[0], "95 % interval", self.metrics[1], "seconds", "Params"]]
        for one in ranked(self.trials):
            params = ", ".join(f"{name}={value}" for name, value in one.params.items())
            lines.append([str(one.number), *_numbers(one), f"{one.seconds:.1f}", params])
        failed = [f"trial {one.number} failed: {one.error}" for one in self.trials if one.error]
        said = f"{self.strategy}: {self.rows:,} rows, {self.folds} folds, {len(self.trials)} trials; {self.ended}"
        return "\n".join([said, table(lines), *failed])

    def _repr_html_(self) -> str:
        return as_html(str(self))

    def plot(self) -> Plot:
        """Return the trials as a plot with a text alternative; driver side, without a Spark job.

        The 40 best trials with the first metric out of fold and its 95 % interval, the best marked.

        Raises
        ------
        DataError
            If no trial has a value.
        """
        from sparkwater.stacking.plotting import plot_leaderboard

        return plot_leaderboard(self.trials, self.metrics[0], [self.best])

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SearchSummary:
        """Return the summary from `to_dict`, also after a way through JSON."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        plain["trials"] = tuple(Trial.from_dict(trial) for trial in fields["trials"])
        return cls(**plain)


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, best first; failed ones last."""
    return sorted(trials, key=lambda one: (one.value is None, one.value or 0.0, one.number))


def _numbers(trial: Trial) -> list[str]:
    if trial.value is None:
        return ["failed", "", ""]
    return [f"{trial.value:.5f}", f"{trial.low:.5f} - {trial.high:.5f}", f"{trial.second:.5f}"]
