"""Label columns: their types, and the classes or units of all labels, found by one Spark job."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.gpu.tasks.classification import Classes, ClassificationTask
from sparkwater.gpu.tasks.multilabel import MultiLabelTask
from sparkwater.gpu.tasks.regression import RegressionTask
from sparkwater.ml.columns.roles import RowColumns, less_offsets

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sparkwater.gpu.tasks import Task

#: More different labels than this are an identifier, not classes. ImageNet-21k has 21,841.
MAX_CLASSES = 100_000

#: Different labels of arrays: each takes a byte a row on the workers.
MAX_LABELS = 10_000

#: Digits that units of labels, and totals of classes, keep. Sums differ in their last bits by partitioning, and models
#: must not.
_DIGITS, _TOTAL_DIGITS = 6, 12

_LABEL_TYPES = (T.NumericType, T.StringType, T.BooleanType)


@dataclass(frozen=True)
class LabelColumn(ABC):
    """Findings on all labels of a fit, from which a task is made.

    Attributes
    ----------
    rows : int
        All rows, those without a label included.
    """

    rows: int

    @abstractmethod
    def kept(self, before: Task, source: str) -> LabelColumn:
        """Return the findings for a warm start: with the classes or units that the network has.

        Parameters
        ----------
        before : Task
            The network's task.
        source : str
            The origin of the network, for messages.

        Raises
        ------
        ConfigurationError
            If the labels don't fit the network's task.
        """


@dataclass(frozen=True)
class ClassColumn(LabelColumn):
    """Classes of a column with one a row.

    Attributes
    ----------
    classes : tuple of float or of str
        The different labels, sorted; a network's output ``i`` is for ``classes[i]``.
    totals : tuple of float
        Total weight of each class's training rows.
    """

    classes: Classes
    totals: tuple[float, ...]

    def kept(self, before: Task, source: str) -> ClassColumn:
        """Return the labels with the network's classes, of which the rows may lack some."""
        classes = _kept_classes(self.classes, ClassificationTask.kind, before, source)
        totals = dict(zip(self.classes, self.totals, strict=True))
        return replace(self, classes=classes, totals=tuple(totals.get(label, 0.0) for label in classes))


@dataclass(frozen=True)
class LabelSetColumn(LabelColumn):
    """Labels of a column with any number of them a row.

    Attributes
    ----------
    classes : tuple of float or of str
        The different labels, sorted.
    """

    classes: Classes

    def kept(self, before: Task, source: str) -> LabelSetColumn:
        """Return the labels with the network's, of which the rows may lack some."""
        return replace(self, classes=_kept_classes(self.classes, MultiLabelTask.kind, before, source))


@dataclass(frozen=True)
class NumberColumn(LabelColumn):
    """Units of a column of numbers.

    Attributes
    ----------
    distribution : str
        One of `sparkwater.gpu.tasks.regression.DISTRIBUTIONS`.
    center, scale : float
        See `sparkwater.gpu.tasks.regression.RegressionTask`.
    """

    distribution: str
    center: float
    scale: float

    def kept(self, before: Task, source: str) -> NumberColumn:
        """Return the labels in the network's units."""
        check_kind(before, RegressionTask.kind, source)
        assert isinstance(before, RegressionTask)  # of that kind
        if before.is_logarithmic != RegressionTask(self.distribution).is_logarithmic:
            raise ConfigurationError(
                f"{source} learned distribution={before.distribution!r}, and now it is {self.distribution!r}; a warm "
                "start keeps whether outputs are logarithms: train anew with weights=..."
            )
        return replace(self, center=before.center, scale=before.scale)


def check_kind(before: Task, kind: str, source: str) -> None:
    """Refuse to go on from a network that learned another kind of task.

    Parameters
    ----------
    before : Task
        The task that the network learned.
    kind : str
        The kind of the task to learn.
    source : str
        The origin of the network, for messages.

    Raises
    ------
    ConfigurationError
        With both kinds.
    """
    if before.kind != kind:
        raise ConfigurationError(
            f"{source} learned {before.kind}, and the label is to be learned as {kind}; a warm start keeps what its "
            "outputs mean: train anew with weights=... and another head"
        )


def _kept_classes(found: Classes, kind: str, before: Task, source: str) -> Classes:
    check_kind(before, kind, source)
    classes: Classes = getattr(before, "classes", ())
    other = [label for label in found if label not in classes]
    if other:
        raise ConfigurationError(
            f"the rows have the label {other[0]!r}, and {source} tells {_listed(classes)} apart; a warm start "
            "keeps the classes: train without such rows, or anew with weights=... and another head"
        )
    return classes


def is_label_set(schema: T.StructType, name: str) -> bool:
    """Return whether a label column holds any number of labels a row."""
    return isinstance(find_field(schema, name).dataType, T.ArrayType)


def check_label_type(schema: T.StructType, name: str, sets: bool = False) -> None:
    """Refuse a label column of a type that isn't classes.

    Parameters
    ----------
    schema : pyspark.sql.types.StructType
        Of the DataFrame.
    name : str
        The label column.
    sets : bool
        Whether arrays of labels are accepted.

    Raises
    ------
    SchemaError
        With the type that it has.
    """
    kind = find_field(schema, name).dataType
    element = kind.elementType if sets and isinstance(kind, T.ArrayType) else kind
    if not isinstance(element, _LABEL_TYPES):
        others = ", and arrays of these for several labels a row" if sets else ""
        raise SchemaError(
            f"labelCol={name!r} is {kind.simpleString()}; accepted: numbers (0, 1, 2, ...), strings, booleans{others}"
        )


def check_number_type(schema: T.StructType, name: str) -> None:
    """Refuse a label column of a type that isn't numbers.

    Raises
    ------
    SchemaError
        With the type that it has.
    """
    kind = find_field(schema, name).dataType
    if not isinstance(kind, T.NumericType):
        raise SchemaError(
            f"labelCol={name!r} is {kind.simpleString()}; accepted: numbers; cast it, or use a classifier for classes"
        )


def label_values(frame: DataFrame, name: str) -> Column:
    """Return the label column as the ranks read it: strings or doubles, or arrays of these."""
    column, kind = F.col(f"`{name}`"), frame.schema[name].dataType
    # Adding makes -0.0 the 0.0 that Spark counts it as.
    if isinstance(kind, T.ArrayType):
        strings = isinstance(kind.elementType, T.StringType)
        return column if strings else F.transform(column.cast("array<double>"), lambda label: label + F.lit(0.0))
    return column if isinstance(kind, T.StringType) else column.cast("double") + F.lit(0.0)


def find_classes(parts: Sequence[tuple[DataFrame, RowColumns]], name: str) -> ClassColumn:
    """Count the rows of each label; one Spark job, which reads the label columns and those of weights and roles only.

    Parameters
    ----------
    parts : sequence of (pyspark.sql.DataFrame, RowColumns)
        DataFrames with their row columns.
    name : str
        The label column.

    Raises
    ------
    DataError
        If there are no rows, no labels, or labels that can't be classes.
    """
    counted = (
        _labelled(parts, name)
        .groupBy("label")
        .agg(F.count(F.lit(1)).alias("count"), F.coalesce(F.sum("weight"), F.lit(0.0)).alias("total"))
    )
    found = counted.limit(MAX_CLASSES + 2).collect()
    rows = sum(row["count"] for row in found)
    classes = _classes([row["label"] for row in found], rows, name)
    totals = {row["label"]: _rounded(row["total"], _TOTAL_DIGITS) for row in found}
    return ClassColumn(rows=rows, classes=classes, totals=tuple(totals[label] for label in classes))


def find_label_sets(parts: Sequence[tuple[DataFrame, RowColumns]], name: str) -> LabelSetColumn:
    """Find the labels of arrays; one Spark job, as `find_classes`."""
    # The first label of a row, or the null that stands for none, counts the row.
    exploded = _labelled(parts, name).select(F.posexplode_outer("label").alias("position", "label"))
    counted = exploded.groupBy("label").agg(F.count_if(F.coalesce("position", F.lit(0)) == 0).alias("count"))
    found = counted.limit(MAX_LABELS + 2).collect()
    rows = sum(row["count"] for row in found)
    return LabelSetColumn(rows=rows, classes=_classes([row["label"] for row in found], rows, name, MAX_LABELS))


def find_numbers(parts: Sequence[tuple[DataFrame, RowColumns]], name: str, distribution: str) -> NumberColumn:
    """Measure numeric labels of the training rows; a Spark job, as `find_classes`, after a look at one row.

    Parameters
    ----------
    parts : sequence of (pyspark.sql.DataFrame, RowColumns)
        DataFrames, and how their rows take part.
    name : str
        The label column.
    distribution : str
        One of `sparkwater.gpu.tasks.regression.DISTRIBUTIONS`.

    Raises
    ------
    DataError
        If there are no rows, or no label that the distribution admits.
    """
    task, label = RegressionTask(distribution), F.col("label")
    rows = less_offsets(_labelled(parts, name), task.is_logarithmic)
    valid = ~F.isnan(label) & (F.abs(label) < math.inf) & (label >= task.least) & (F.col("weight") > 0)
    one = rows.where(valid).select("label").first()
    # Around any label: sums of squares of labels far from 0 would lose their digits.
    origin = one["label"] if one else 0.0
    weight, apart = F.when(valid, F.col("weight")), label - F.lit(origin)
    found = rows.agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(weight).alias("weight"),
        F.sum(weight * apart).alias("first"),
        F.sum(weight * apart * apart).alias("second"),
    ).first()
    assert found is not None  # an aggregate has a row
    if not found["rows"]:
        raise DataError("the DataFrame has no rows to train on")
    if not found["weight"]:
        raise DataError(
            f"labelCol={name!r}: none of {found['rows']} rows has a label to train on; accepted: {task.accepted}"
        )
    if not math.isfinite(found["weight"]):
        raise DataError("offsets are too large: with a logarithmic link an offset is the logarithm of an exposure")
    shift = found["first"] / found["weight"]
    mean, variance = origin + shift, found["second"] / found["weight"] - shift * shift
    center, scale = _units(mean, variance, task, name)
    return NumberColumn(rows=found["rows"], distribution=distribution, center=center, scale=scale)


def _units(mean: float, variance: float, task: RegressionTask, name: str) -> tuple[float, float]:
    """Return center and scale of a task."""
    if not math.isfinite(mean) or not math.isfinite(variance):
        raise DataError(f"labelCol={name!r}: the labels are too large to be squared; scale them")
    if task.is_logarithmic:
        if mean <= 0:
            raise DataError(
                f"labelCol={name!r}: all labels are 0; distribution={task.distribution!r} needs one above 0"
            )
        return _rounded(math.log(mean)), 1.0
    scale = _rounded(math.sqrt(max(variance, 0.0))) or 1.0
    return _rounded_in(mean, scale), scale


def vector_positions(classes: Classes) -> Sequence[int]:
    """Return the position of each class in the probability vector.

    String classes stand in their order. A numeric label stands at its own value, as Spark's
    evaluators read it; values that never occurred have probability 0.
    """
    return [int(value) if isinstance(value, float) else position for position, value in enumerate(classes)]


def _labelled(parts: Sequence[tuple[DataFrame, RowColumns]], name: str) -> DataFrame:
    """Return the labels and offsets of all rows, with the weights of those to train on."""
    labelled = (
        frame.select(
            label_values(frame, name).alias("label"),
            columns.training_weight().alias("weight"),
            columns.offset_value().alias("offset"),
        )
        for frame, columns in parts
    )
    return reduce(DataFrame.unionAll, labelled)


def _classes(found: Sequence[Any], rows: int, name: str, most: int = MAX_CLASSES) -> Classes:
    if not rows:
        raise DataError("the DataFrame has no rows to train on")
    # NaN is no label, as null isn't; the ranks treat both by handleInvalid.
    labels = [label for label in found if label is not None and label == label]
    if not labels:
        raise DataError(f"labelCol={name!r}: all {rows} labels are null")
    if len(labels) > most:
        raise DataError(f"labelCol={name!r} has more than {most} different values; it can't be a class")
    if not isinstance(labels[0], str):
        _check_numbers(labels, name)
    return tuple(sorted(labels))


def _check_numbers(labels: Sequence[float], name: str) -> None:
    wrong = [value for value in sorted(labels) if not math.isfinite(value) or value < 0 or value != int(value)]
    if wrong:
        raise DataError(
            f"labelCol={name!r} holds {wrong[0]!r}; numeric labels are 0, 1, 2, ... as everywhere in Spark ML; "
            "cast other labels to strings"
        )
    if max(labels) >= MAX_CLASSES:
        raise DataError(
            f"labelCol={name!r} holds {max(labels):.0f}; numeric labels are below {MAX_CLASSES}; cast others to strings"
        )


def _rounded(value: float, digits: int = _DIGITS) -> float:
    return float(f"{value:.{digits}g}")


def _rounded_in(value: float, unit: float) -> float:
    """Return a value rounded in proportion to a unit: one far from 0 keeps the digits that the unit tells apart."""
    return round(value, _DIGITS - 1 - math.floor(math.log10(unit)))


def _listed(classes: tuple[Any, ...]) -> str:
    shown = ", ".join(map(repr, classes[:10]))
    return f"{shown} and {len(classes) - 10} more" if len(classes) > 10 else shown
