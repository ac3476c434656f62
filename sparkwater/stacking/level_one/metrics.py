"""Metrics of out-of-fold predictions: by fold and over all rows, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.stacking.level_one.deviance import SQUARED, Deviance
from sparkwater.stacking.level_one.learners import CLASSIFICATION
from sparkwater.stacking.level_one.prepared import FOLD
from sparkwater.stacking.level_one.usable import weight_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.stacking.level_one.prepared import LevelOneTask, Prepared

#: As wide as 95 of 100 intervals that hold the true value.
_TWO_SIDED = 1.959964

#: Probabilities nearer to 0 have no larger logarithmic loss.
LEAST_PROBABILITY = 1e-15

#: Columns of rows that are measured: the label as a double, and the weight.
LABEL, WEIGHT = "__sparkwater_label", "__sparkwater_weight"


@dataclass(frozen=True)
class Losses:
    """Weighted sums over rows of a learner's two losses.

    The first is the one that the meta-learner minimises: the logarithmic loss, or the squared error or deviance. The
    second is easier to read: the share of wrong rows, or the absolute error.

    Attributes
    ----------
    weight : float
        Sum of the rows' weights.
    first, squares, second : float
        Sums of the first loss, its square, and the second loss.
    """

    weight: float
    first: float
    squares: float
    second: float

    def __add__(self, other: Losses) -> Losses:
        return Losses(
            self.weight + other.weight,
            self.first + other.first,
            self.squares + other.squares,
            self.second + other.second,
        )

    @property
    def mean(self) -> float:
        """The mean of the first loss."""
        return self.first / self.weight

    @property
    def standard_error(self) -> float:
        """The standard error of that mean."""
        return math.sqrt(max(0.0, self.squares / self.weight - self.mean**2) / self.weight)

    @property
    def reach(self) -> float:
        """Half of the 95 % confidence interval around that mean."""
        return _TWO_SIDED * self.standard_error


@dataclass(frozen=True)
class LearnerMetrics:
    """Losses of several learners.

    Attributes
    ----------
    kind : str
        Classification or regression.
    byFold : mapping of str to mapping of str to Losses
        Losses by learner, then by fold.
    deviance : Deviance
        The first loss of a regression.
    """

    kind: str
    byFold: Mapping[str, Mapping[str, Losses]]
    deviance: Deviance = SQUARED

    @property
    def names(self) -> tuple[str, str]:
        """Names of the two metrics."""
        return ("logLoss", "error") if self.kind == CLASSIFICATION else (self.deviance.name, "mae")

    @property
    def _root(self) -> bool:
        return self.kind != CLASSIFICATION and self.deviance.squared

    def select(self, learners: Sequence[str]) -> LearnerMetrics:
        """Return the metrics of some learners only."""
        return replace(self, byFold={name: self.byFold[name] for name in learners})

    def join(self, other: LearnerMetrics) -> LearnerMetrics:
        """Return the metrics of both."""
        return replace(self, byFold={**self.byFold, **other.byFold})

    def pooled(self, learner: str) -> Losses:
        """Return a learner's losses over all rows."""
        total = Losses(0.0, 0.0, 0.0, 0.0)
        for losses in self.byFold[learner].values():
            total = total + losses
        return total

    def read(self, losses: Losses) -> tuple[float, float]:
        """Return the two metrics."""
        first = math.sqrt(losses.mean) if self._root else losses.mean
        return first, losses.second / losses.weight

    def value(self, learner: str) -> float:
        """Return a learner's first metric over all rows."""
        return self.read(self.pooled(learner))[0]

    def error(self, learner: str) -> float:
        """Return a learner's second metric over all rows."""
        return self.read(self.pooled(learner))[1]

    def deviation(self, learner: str) -> float:
        """Return the standard deviation of the first metric over the folds."""
        values = [self.read(losses)[0] for losses in self.byFold[learner].values()]
        mean = sum(values) / len(values)
        return math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))

    def interval(self, learner: str) -> tuple[float, float]:
        """Return the 95 % confidence interval of the first metric over all rows."""
        losses = self.pooled(learner)
        low, high = max(0.0, losses.mean - losses.reach), losses.mean + losses.reach
        return (math.sqrt(low), math.sqrt(high)) if self._root else (low, high)

    def to_frame(self, spark: Any) -> DataFrame:
        """Return a row for each learner and fold, and one with fold null for all rows together."""
        rows: list[tuple[str, str | None, float, float]] = []
        for learner, folds in self.byFold.items():
            rows += [(learner, fold, *self.read(losses)) for fold, losses in folds.items()]
            rows.append((learner, None, *self.read(self.pooled(learner))))
        return spark.createDataFrame(
            rows, f"learner string, fold string, {self.names[0]} double, {self.names[1]} double"
        )


def keep_measured(prepared: Prepared, values: DataFrame, names: Sequence[str]) -> tuple[DataFrame, LearnerMetrics]:
    """Keep the learners' values in Spark's cache, and measure them against the labels; one Spark job.

    They are freed where they can't be measured.
    """
    task, kept = prepared.task, values.persist()
    with ExitStack() as undo:
        undo.callback(kept.unpersist)
        metrics = LearnerMetrics(task.kind, collect_losses(labelled(prepared, kept), task, names), task.deviance)
        undo.pop_all()
    return kept, metrics


def labelled(prepared: Prepared, values: DataFrame, *others: str) -> DataFrame:
    """Return the values with ``label``, ``weight`` and ``fold`` of their rows, and other columns."""
    columns = [
        prepared.task.label(prepared.labelCol).alias(LABEL),
        weight_of(prepared.weightCol).alias(WEIGHT),
        F.col(f"`{prepared.foldCol}`").alias(FOLD),
        *(F.col(f"`{name}`") for name in others),
    ]
    return prepared.join(columns, values)


def collect_losses(frame: DataFrame, task: LevelOneTask, names: Sequence[str]) -> dict[str, dict[str, Losses]]:
    """Sum the losses by fold."""
    found = frame.groupBy(FOLD).agg(*sum_losses(names, task)).collect()
    found.sort(key=lambda row: row[FOLD])
    by_fold = {str(row[FOLD]): read_losses(row, names) for row in found}
    return {name: {fold: sums[name] for fold, sums in by_fold.items()} for name in names}


def sum_losses(names: Sequence[str], task: LevelOneTask) -> list[Column]:
    """Return the aggregates that `read_losses` reads, of rows with label, weight and columns of values."""
    weight = F.col(WEIGHT)
    sums = [F.sum(weight).alias("weight")]
    for position, name in enumerate(names):
        first, second = losses(F.col(f"`{name}`"), task)
        sums += [
            F.sum(weight * first).alias(f"first{position}"),
            F.sum(weight * first * first).alias(f"squares{position}"),
            F.sum(weight * second).alias(f"second{position}"),
        ]
    return sums


def read_losses(row: Any, names: Sequence[str]) -> dict[str, Losses]:
    """Return the losses of each column, from a row of `sum_losses`."""
    return {
        name: Losses(row["weight"], row[f"first{position}"], row[f"squares{position}"], row[f"second{position}"])
        for position, name in enumerate(names)
    }


def losses(values: Column, task: LevelOneTask) -> tuple[Column, Column]:
    """Return both losses of a row; a label of no class is wrong, whatever the values are."""
    label = F.col(LABEL)
    if task.kind != CLASSIFICATION:
        return task.deviance.column(values[0], label), F.abs(values[0] - label)
    if task.width == 1:
        right = F.when(label == 1.0, values[0]).when(label == 0.0, 1.0 - values[0])
        wrong = (values[0] > 0.5).cast("double") != label
    else:
        right = F.get(values, label.cast("int"))
        wrong = F.array_position(values, F.array_max(values)) - 1 != label
    return -F.log(F.greatest(right, F.lit(LEAST_PROBABILITY))), wrong.cast("double")


def compare(frame: DataFrame, task: LevelOneTask, name: str, others: Sequence[str]) -> dict[str, Losses]:
    """Sum the differences of one column's first loss to those of others, row by row; one Spark job."""
    weight, sums = F.col(WEIGHT), []
    own, _ = losses(F.col(f"`{name}`"), task)
    for position, other in enumerate(others):
        difference = own - losses(F.col(f"`{other}`"), task)[0]
        sums += [
            F.sum(weight * difference).alias(f"first{position}"),
            F.sum(weight * difference * difference).alias(f"squares{position}"),
        ]
    row = frame.agg(F.sum(weight).alias("weight"), *sums).first()
    assert row is not None  # an aggregate has a row
    return {
        other: Losses(row["weight"], row[f"first{position}"], row[f"squares{position}"], 0.0)
        for position, other in enumerate(others)
    }
