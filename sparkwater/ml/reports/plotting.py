"""Plots of a training: learning curves, confusion of classes, and scores by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkwater import plots
from sparkwater.errors import DataError
from sparkwater.gpu.records import EpochRecord
from sparkwater.ml.reports.confusion import ClassScores, ConfusionMatrix, LabelScores
from sparkwater.plots.drawing.kinds import check_kind

if TYPE_CHECKING:
    from sparkwater.plots import Plot

#: Plots of a training.
CURVES, CONFUSION, CLASSES = KINDS = ("curves", "confusion", "classes")

#: Metrics that have a panel beside the loss.
_METRICS = 2


def plot_training(
    kind: str,
    records: Sequence[EpochRecord],
    best: int | None,
    matrix: ConfusionMatrix | None,
    labels: Sequence[LabelScores],
) -> Plot:
    """Return one of the plots of a training.

    Parameters
    ----------
    kind : {"curves", "confusion", "classes"}
        The plot.
    records : sequence of EpochRecord
        The epochs.
    best : int or None
        The model's epoch, where the best was kept.
    matrix : ConfusionMatrix or None
        The confusion matrix.
    labels : sequence of LabelScores
        Scores by label, where rows have any number of labels.

    Raises
    ------
    ConfigurationError
        If there is no plot of this name.
    DataError
        If the training has nothing to show in it.
    """
    check_kind(kind, KINDS)
    if kind == CURVES:
        return plots.learning_curves(curve_panels(records, _METRICS), best)
    if kind == CLASSES and (labels or matrix is not None):
        return plot_classes(labels if matrix is None else matrix.classes)
    if matrix is None:
        raise DataError(
            "the training has no confusion matrix: that is for classes, 200 at most, and a training of an epoch; "
            f"kind={CURVES!r} shows the epochs"
        )
    return plots.confusion_heat_map(matrix.labels, matrix.counts)


def plot_classes(scores: Sequence[ClassScores] | Sequence[LabelScores]) -> Plot:
    """Return precision, recall and F1 of classes or labels."""
    table = {
        "precision": [one.precision for one in scores],
        "recall": [one.recall for one in scores],
        "F1": [one.f1 for one in scores],
    }
    return plots.class_bars([one.label for one in scores], table)


def curve_panels(records: Sequence[EpochRecord], metrics: int) -> dict[str, dict[str, list[float | None]]]:
    """Return values by epoch: the loss of the training rows, and the first metrics of training and validation rows.

    Parameters
    ----------
    records : sequence of EpochRecord
        The epochs.
    metrics : int
        The most metrics; a task's first ones are those to watch.
    """
    if not records:
        return {}
    panels: dict[str, dict[str, list[float | None]]] = {"loss": {"training rows": [one.loss for one in records]}}
    for name in [*records[-1].judged][:metrics]:
        lines = {"training rows": [one.training.get(name) for one in records]}
        if any(one.validation for one in records):
            lines["validation rows"] = [(one.validation or {}).get(name) for one in records]
        if any(value is not None for values in lines.values() for value in values):
            panels[name] = lines
    return panels
