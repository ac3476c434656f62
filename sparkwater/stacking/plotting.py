"""Plots of what was stacked or tried: leaderboard, weights, reliability, classes, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from sparkwater import plots
from sparkwater.errors import DataError
from sparkwater.ml.reports.confusion import ConfusionMatrix
from sparkwater.ml.reports.plotting import plot_classes

if TYPE_CHECKING:
    from sparkwater.plots import Plot
    from sparkwater.stacking.diagnostics import Diagnostics, ReliabilityBin
    from sparkwater.stacking.scores import Curve

#: Plots of an ensemble.
LEADERBOARD, WEIGHTS, RELIABILITY, CONFUSION, CLASSES, CURVES = KINDS = (
    "leaderboard", "weights", "reliability", "confusion", "classes", "curves",
)  # fmt: skip


class Ranked(Protocol):
    """A model with a metric and its interval, as `sparkwater.stacking.scores.Score` and trials have them."""

    @property
    def learner(self) -> str:
        """Its name."""

    @property
    def value(self) -> float | None:
        """The metric; None where it failed."""

    @property
    def low(self) -> float | None:
        """The interval's lower end."""

    @property
    def high(self) -> float | None:
        """The interval's upper end."""


def plot_leaderboard(scores: Sequence[Ranked], metric: str, ensembles: Sequence[str] = ()) -> Plot:
    """Return models with their metric out of fold and its 95 % interval, best first.

    Parameters
    ----------
    scores : sequence of Ranked
        The models; those without a value are left out.
    metric : str
        Name of the metric.
    ensembles : sequence of str
        Names of those that are marked.

    Raises
    ------
    DataError
        If no model has a value.
    """
    nan = float("nan")
    known = [
        plots.Measured(
            one.learner,
            one.value,
            nan if one.low is None else one.low,
            nan if one.high is None else one.high,
        )
        for one in scores
        if one.value is not None
    ]
    return plots.leaderboard(known, f"{metric} out of fold", ensembles)


def plot_weights(weights: Mapping[str, float]) -> Plot:
    """Return the learners' shares of the meta-learner's weights as bars, largest first.

    Raises
    ------
    DataError
        If the meta-learner has none.
    """
    return plots.share_bars(list(weights.items()), "share of each learner in the weights")


def plot_reliability(found: Diagnostics, classes: Sequence[str]) -> Plot:
    """Return the reliability of an ensemble's probabilities, before and after a calibration.

    Raises
    ------
    DataError
        If there are no probabilities.
    """
    before = "before calibration" if found.calibrated else "the ensemble"
    series = {before: _bins(found.reliability), "after calibration": _bins(found.calibrated)}
    what = f"probability of {classes[-1]}" if len(classes) == 2 else "probability of the predicted class"
    return plots.reliability_diagram(series, what)


def _bins(bins: Sequence[ReliabilityBin]) -> list[plots.Bin]:
    return [plots.Bin(one.predicted, one.observed, one.rows) for one in bins]


def plot_confusion(found: Diagnostics, classes: Sequence[str]) -> Plot:
    """Return the confusion of classes by an ensemble out of fold.

    Raises
    ------
    DataError
        If there is none.
    """
    return _matrix(found, classes).plot()


def plot_scores(found: Diagnostics, classes: Sequence[str]) -> Plot:
    """Return precision, recall and F1 of each class by an ensemble out of fold.

    Raises
    ------
    DataError
        If there is no confusion matrix.
    """
    return plot_classes(_matrix(found, classes).classes)


def _matrix(found: Diagnostics, classes: Sequence[str]) -> ConfusionMatrix:
    if not found.confusion:
        raise DataError("the ensemble has no confusion matrix: that is for classes, 50 at most")
    return ConfusionMatrix(tuple(classes), found.confusion)


def plot_curves(curves: Sequence[Curve]) -> Plot:
    """Return the learning curves of the learners that are networks: training loss, and validation metrics.

    Raises
    ------
    DataError
        If no learner has one.
    """
    panels: dict[str, dict[str, Sequence[float | None]]] = {"training loss": {one.learner: one.loss for one in curves}}
    for one in curves:
        if one.metric:
            panels.setdefault(f"{one.metric} of the validation rows", {})[one.learner] = one.validation
    return plots.learning_curves(panels)
