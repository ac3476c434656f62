"""Summary of an ensemble: its parts, and the out-of-fold metrics of its learners and itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.sessions.session import current_session
from sparkwater.stacking.diagnostics import Diagnostics
from sparkwater.stacking.level_one.records import FitRecord
from sparkwater.stacking.scores import ENSEMBLE, Curve, Levels, Score, Tried

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.plots import Plot

_LEADERBOARD = (
    "learner string, metric string, value double, deviation double, low double, high double, secondMetric string, "
    "secondValue double, weight double, fitSeconds double, msPer1000Rows double"
)


@dataclass(frozen=True)
class EnsembleSummary:
    """Summary of one ``fit``; it is saved and loaded with the model.

    Attributes
    ----------
    strategy : {"cross-validation", "blending"}
        Origin of level one.
    metrics : tuple of (str, str)
        The two metrics: logLoss and error, or rmse and mae; where the learners are set to a distribution, its
        deviance in place of rmse. The lower, the better.
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
    learners, classes : tuple of str
        Names of the learners in the order of the meta-learner, and of the classes; no classes for regression.
    calibration : str
        The calibration of the probabilities; empty where none was asked for, ``none`` where none helps.
    calibrationsTried : tuple of Tried
        Estimates of the calibrations that were tried; ``none`` is the ensemble as it is, which the leaderboard shows.
    diagnostics : Diagnostics
        Reliability, confusion of classes, and correlation of the learners' errors, out of fold.
    curves : tuple of Curve
        Learning curves of the learners that are networks.
    levels : Levels or None
        Comparison of both levels with the first one, where a second level was asked for.
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
    learners: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    calibration: str = ""
    calibrationsTried: tuple[Tried, ...] = ()
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    curves: tuple[Curve, ...] = ()
    levels: Levels | None = None

    @property
    def verdict(self) -> str:
        """Verdict on the ensemble against its best learner, in words."""
        gap = f"{self.difference:+.5f}, 95 % interval {self.differenceLow:+.5f} to {self.differenceHigh:+.5f}"
        loss = "squared error" if self.metrics[0] == "rmse" else self.metrics[0]
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
        return current_session().createDataFrame(rows, _LEADERBOARD)

    @property
    def coefficientTable(self) -> DataFrame:
        """The meta-learner's coefficients: one row for each of its columns and classes."""
        rows = [
            (name, number, value)
            for number, line in enumerate(self.coefficients)
            for name, value in zip(self.columns, line, strict=True)
        ]
        return current_session().createDataFrame(rows, "column string, output int, coefficient double")

    def __str__(self) -> str:
        first, second = self.metrics
        header = ["", first, "deviation", "95 % interval", second, "weight", "fit s", "ms / 1,000 rows"]
        table = [header, *(_line(score) for score in self.scores)]
        widths = [max(len(line[place]) for line in table) for place in range(len(header))]
        text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in table]
        skipped = f"not asked when scoring, having no weight: {', '.join(self.skipped)}" if self.skipped else ""
        said = f"{self.rows:,} rows, {self.folds} folds, {self.strategy}, fingerprint {self.fingerprint}"
        tried = [self._tries("meta-learner", self.metaLearner, self.tried)]
        tried.append(self._tries("calibration", self.calibration, self.calibrationsTried))
        return "\n".join(line for line in (said, *text, self.verdict, *tried, skipped, *self.notes) if line)

    def _tries(self, what: str, name: str, tried: Sequence[Tried]) -> str:
        estimates = ", ".join(f"{one.name} {one.value:.5f}" for one in tried)
        return f"{what}: {name} ({self.metrics[0]} of those that were tried: {estimates})" if name else ""

    @property
    def reliability(self) -> DataFrame:
        """Reliability of the ensemble's probabilities out of fold: one row a bin; see `ReliabilityBin`."""
        found = self.diagnostics
        rows = [
            (calibrated, one.low, one.high, one.rows, one.predicted, one.observed)
            for calibrated, bins in ((False, found.reliability), (True, found.calibrated))
            for one in bins
        ]
        schema = "calibrated boolean, low double, high double, rows long, predicted double, observed double"
        return current_session().createDataFrame(rows, schema)

    def report(self, folder: str) -> str:
        """Write one HTML page with plots, which needs nothing else and no network, and return its path.

        Parameters
        ----------
        folder : str
            A folder on the driver's machine; made if it isn't there. A page that is there is written over.
        """
        from sparkwater.stacking.report.page import write_page

        return write_page(self, folder)

    def plot(self, kind: str = "leaderboard") -> Plot:
        """Return a plot of the ensemble, with a text alternative; driver side, without a Spark job.

        Parameters
        ----------
        kind : {"leaderboard", "weights", "reliability", "confusion", "classes", "curves"}
            Learners and ensemble with the first metric and its interval; the learners' shares of the weights; observed
            rates over predicted probabilities, before and after a calibration; labels against predicted classes;
            precision, recall and F1 of each class; or the learning curves of the learners that are networks. All out
            of fold.

        Raises
        ------
        ConfigurationError
            If there is no plot of this name.
        DataError
            If the ensemble has nothing to show in it.
        """
        from sparkwater.plots.drawing.kinds import check_kind
        from sparkwater.stacking import plotting

        check_kind(kind, plotting.KINDS)
        if kind == plotting.LEADERBOARD:
            return plotting.plot_leaderboard(self.scores, self.metrics[0], [ENSEMBLE])
        if kind == plotting.WEIGHTS:
            return plotting.plot_weights({one.learner: one.weight for one in self.scores if one.weight is not None})
        if kind == plotting.RELIABILITY:
            return plotting.plot_reliability(self.diagnostics, self.classes)
        if kind == plotting.CONFUSION:
            return plotting.plot_confusion(self.diagnostics, self.classes)
        if kind == plotting.CLASSES:
            return plotting.plot_scores(self.diagnostics, self.classes)
        return plotting.plot_curves(self.curves)

    def _repr_html_(self) -> str:
        from sparkwater.stacking.report.page import notebook_view

        return notebook_view(self)

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
                "calibrationsTried": tuple(Tried(**one) for one in fields.get("calibrationsTried", ())),
                "diagnostics": Diagnostics.from_dict(fields.get("diagnostics") or asdict(Diagnostics())),
                "curves": tuple(_curve(one) for one in fields.get("curves", ())),
                "levels": Levels(**fields["levels"]) if fields.get("levels") else None,
                "coefficients": tuple(tuple(line) for line in fields["coefficients"]),
            }
        )
        return cls(**plain)


def _curve(fields: dict[str, Any]) -> Curve:
    return Curve(fields["learner"], tuple(fields["loss"]), fields["metric"], tuple(fields["validation"]))


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
