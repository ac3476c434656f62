"""Confusion matrix of a classifier, laid out as H2O prints it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.errors import DataError, SchemaError
from sparkwater.gpu.tasks.classes import label_name
from sparkwater.gpu.tasks.hits import CONFUSION
from sparkwater.gpu.tasks.multilabel import AREAS, COUNTS
from sparkwater.ml.reports.text_table import number, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.plots import Plot

#: The matrix has a cell for each pair of classes, on the driver.
_MOST_CLASSES = 5_000


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall, F1 and error of one class.

    Attributes
    ----------
    label : str
        The class.
    rows : float
        Number of its rows; where rows have weights, their total weight.
    precision : float or None
        Share of the rows predicted as it that are of it; None where there are none.
    recall : float or None
        Share of its rows that were predicted as it; None where it has none.
    f1 : float or None
        Harmonic mean of both; None where one of them is.
    error : float or None
        Share of its rows that were predicted as another.
    """

    label: str
    rows: float
    precision: float | None
    recall: float | None
    f1: float | None
    error: float | None

    @classmethod
    def of(cls, label: str, rows: float, hits: float, predicted: float) -> ClassScores:
        """Return the scores of a class from its rows, its hits, and the rows predicted as it."""
        precision, recall = hits / predicted if predicted else None, hits / rows if rows else None
        known = precision is not None and recall is not None
        error = None if recall is None else 1 - recall
        return cls(label, rows, precision, recall, 2 * hits / (rows + predicted) if known else None, error)


@dataclass(frozen=True)
class LabelScores:
    """Precision, recall, F1 and AUC of one label, where rows have any number of labels.

    Attributes
    ----------
    label : str
        The label.
    rows, precision, recall, f1
        As those of `ClassScores`, of the rows that have the label.
    auc : float or None
        Area under the ROC curve; None where all rows have the label, or none.
    """

    label: str
    rows: float
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None

    @classmethod
    def of(cls, label: str, counts: Sequence[float], auc: float) -> LabelScores:
        """Return the scores of a label, by `sparkwater.gpu.tasks.multilabel.COUNTS` and its area (NaN for none)."""
        both, only_predicted, only_had, _ = counts
        scores = ClassScores.of(label, both + only_had, both, both + only_predicted)
        area = None if math.isnan(auc) else auc
        return cls(label, scores.rows, scores.precision, scores.recall, scores.f1, area)


def label_scores(labels: Sequence[str], details: Mapping[str, Any]) -> tuple[LabelScores, ...]:
    """Return the scores of labels from a training's details; empty where there are none."""
    tables = (details.get(name, ()) for name in (COUNTS, AREAS))
    return tuple(map(LabelScores.of, labels, *tables))


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of rows by actual and predicted class.

    Attributes
    ----------
    labels : tuple of str
        The classes, sorted.
    counts : tuple of tuple of float
        ``counts[i][j]`` rows of class ``i`` were predicted as class ``j``; where rows have weights, their
        total weight.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, labels: Sequence[str], details: Mapping[str, Any]) -> ConfusionMatrix | None:
        """Return the matrix among a training's details, or None where there is none."""
        if CONFUSION not in details:
            return None
        return cls(tuple(labels), tuple(map(_counts, details[CONFUSION])))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any] | None) -> ConfusionMatrix | None:
        """Return the matrix that `dataclasses.asdict` gave, also after a way through JSON; None of None."""
        return cls(tuple(fields["labels"]), tuple(map(tuple, fields["counts"]))) if fields else None

    @property
    def rows(self) -> float:
        """All rows."""
        return sum(map(sum, self.counts))

    @property
    def errors(self) -> float:
        """Rows that were predicted as another class than theirs."""
        return self.rows - sum(self.counts[i][i] for i in range(len(self.labels)))

    @property
    def error(self) -> float:
        """Share of the rows that were predicted as another class than theirs."""
        return self.errors / self.rows

    @property
    def classes(self) -> tuple[ClassScores, ...]:
        """Precision, recall, F1 and error of each class."""
        predicted = [sum(column) for column in zip(*self.counts, strict=True)]
        return tuple(
            ClassScores.of(label, float(sum(row)), row[i], predicted[i])
            for i, (label, row) in enumerate(zip(self.labels, self.counts, strict=True))
        )

    def plot(self) -> Plot:
        """Return the matrix as a heat map of counts and shares, with a text alternative."""
        from sparkwater import plots

        return plots.confusion_heat_map(self.labels, self.counts)

    def __str__(self) -> str:
        header = ["", *self.labels, "Error", "Rate"]
        lines = [
            [label, *map(_cell, row), *_rate(sum(row) - row[i], sum(row))]
            for i, (label, row) in enumerate(zip(self.labels, self.counts, strict=True))
        ]
        predicted = [_cell(sum(column)) for column in zip(*self.counts, strict=True)]
        lines.append(["Total", *predicted, *_rate(self.errors, self.rows)])
        return "Confusion Matrix (rows: actual, columns: predicted)\n" + table([header, *lines])


def confusion_matrix(predictions: DataFrame, label_col: str, prediction_col: str) -> ConfusionMatrix:
    """Count actual against predicted classes; one Spark job.

    Parameters
    ----------
    predictions : pyspark.sql.DataFrame
        Scored rows; those with a null label or prediction aren't counted.
    label_col, prediction_col : str
        The actual and the predicted class: numbers in both, or strings in both.

    Raises
    ------
    DataError
        If no row has both, or there are more than 5,000 different labels and predictions.
    SchemaError
        If one of them is numbers, and the other one strings.
    """
    pairs = predictions.select(F.col(label_col).alias("actual"), F.col(prediction_col).alias("predicted")).dropna()
    if len({isinstance(field.dataType, T.StringType) for field in pairs.schema}) > 1:
        types = " and ".join(
            f"{name!r} ({field.dataType.simpleString()})"
            for name, field in zip((label_col, prediction_col), pairs.schema, strict=True)
        )
        raise SchemaError(
            f"{types} can't be compared: both must be strings, or both numbers; where labels are strings, "
            "predictedLabelCol has the predictions"
        )
    counted = {
        (row["actual"], row["predicted"]): row["count"] for row in pairs.groupBy(pairs.columns).count().collect()
    }
    if not counted:
        raise DataError(f"no row has both {label_col!r} and {prediction_col!r}")
    labels = sorted({label for pair in counted for label in pair})
    if len(labels) > _MOST_CLASSES:
        raise DataError(
            f"{label_col!r} and {prediction_col!r} have {len(labels):,} different values; a confusion matrix has at "
            f"most {_MOST_CLASSES:,} classes. Choose the columns of the label and of the predicted label"
        )
    return ConfusionMatrix(
        tuple(label_name(label) for label in labels),
        tuple(tuple(counted.get((actual, predicted), 0) for predicted in labels) for actual in labels),
    )


def _counts(weights: Sequence[float]) -> tuple[float, ...]:
    return tuple(int(weight) if float(weight).is_integer() else weight for weight in weights)


def _cell(count: float) -> str:
    return number(count).replace(",", "")


def _rate(errors: float, rows: float) -> tuple[str, str]:
    return f"{errors / rows:.4f}" if rows else "", f"{number(errors)} / {number(rows)}"
