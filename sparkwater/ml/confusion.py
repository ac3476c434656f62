"""The confusion matrix of a classifier, laid out as H2O prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each class was taken for which.

    Attributes
    ----------
    labels : tuple of str
        The classes, sorted.
    counts : tuple of tuple of int
        ``counts[i][j]`` rows of class ``i`` were predicted as class ``j``.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(map(sum, self.counts))

    @property
    def errors(self) -> int:
        """Rows that were predicted as another class than theirs."""
        return self.rows - sum(self.counts[i][i] for i in range(len(self.labels)))

    @property
    def error(self) -> float:
        """Share of the rows that were predicted as another class than theirs."""
        return self.errors / self.rows

    def __str__(self) -> str:
        header = ["", *self.labels, "Error", "Rate"]
        lines = [
            [label, *map(str, row), *_rate(sum(row) - row[i], sum(row))]
            for i, (label, row) in enumerate(zip(self.labels, self.counts, strict=True))
        ]
        predicted = [str(sum(column)) for column in zip(*self.counts, strict=True)]
        lines.append(["Total", *predicted, *_rate(self.errors, self.rows)])
        return "Confusion Matrix (rows: actual, columns: predicted)\n" + _table([header, *lines])


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
        If no row has both.
    """
    pairs = predictions.select(F.col(label_col).alias("actual"), F.col(prediction_col).alias("predicted")).dropna()
    counted = {
        (row["actual"], row["predicted"]): row["count"] for row in pairs.groupBy(pairs.columns).count().collect()
    }
    if not counted:
        raise DataError(f"no row has both {label_col!r} and {prediction_col!r}")
    labels = sorted({label for pair in counted for label in pair})
    return ConfusionMatrix(
        tuple(_name(label) for label in labels),
        tuple(tuple(counted.get((actual, predicted), 0) for predicted in labels) for actual in labels),
    )


def _name(label: str | float) -> str:
    return label if isinstance(label, str) else f"{label:g}"


def _rate(errors: int, rows: int) -> tuple[str, str]:
    return f"{errors / rows:.4f}" if rows else "", f"{errors:,} / {rows:,}"


def _table(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
