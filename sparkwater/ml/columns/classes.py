"""Label columns with classes: their types, and all classes, found by one Spark job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.tensors.digits import rounded
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.gpu.tasks.classes import Classes
from sparkwater.gpu.tasks.classification import ClassificationTask
from sparkwater.gpu.tasks.multilabel import MultiLabelTask
from sparkwater.gpu.tasks.ordinal import OrdinalTask, beginning_of
from sparkwater.ml.columns.labels import LabelColumn, check_kind, labelled_rows
from sparkwater.ml.columns.roles import RowColumns

if TYPE_CHECKING:
    from sparkwater.gpu.tasks import Task

#: More different labels than this are an identifier, not classes. ImageNet-21k has 21,841.
MAX_CLASSES = 100_000

#: Different labels of arrays: each takes a byte a row on the workers.
MAX_LABELS = 10_000

#: Digits that totals of classes keep.
_TOTAL_DIGITS = 12

_LABEL_TYPES = (T.NumericType, T.StringType, T.BooleanType)


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
class OrdinalColumn(LabelColumn):
    """Classes in an order, of a column with one a row.

    Attributes
    ----------
    classes : tuple of float or of str
        The different labels, the lowest first.
    beginning : tuple of float
        See `sparkwater.gpu.tasks.ordinal.OrdinalTask`.
    """

    classes: Classes
    beginning: tuple[float, ...]

    def kept(self, before: Task, source: str) -> OrdinalColumn:
        """Return the labels with the network's classes and beginning; the rows may lack some of the classes."""
        classes = _kept_classes(self.classes, OrdinalTask.kind, before, source)
        assert isinstance(before, OrdinalTask)  # of that kind
        if isinstance(classes[0], str) and classes != self.classes:
            raise ConfigurationError(
                f"{source} learned the order {_listed(classes)}, and ordinal={list(self.classes)!r}; a warm start "
                "keeps the classes: give them in that order, or train anew with weights=... and another head"
            )
        return replace(self, classes=classes, beginning=before.beginning)


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


def check_label_order(schema: T.StructType, name: str, order: bool | Sequence[str]) -> None:
    """Refuse an order of classes that doesn't fit the type of the label column.

    Parameters
    ----------
    schema : pyspark.sql.types.StructType
        Of the DataFrame.
    name : str
        The label column, of classes.
    order : bool or sequence of str
        True for that of numbers; or strings, the lowest first.

    Raises
    ------
    ConfigurationError
        With the type that the column has.
    """
    kind = find_field(schema, name).dataType
    if isinstance(kind, T.ArrayType):
        raise ConfigurationError(f"ordinal={order!r} is for one class a row; labelCol={name!r} is an array")
    if order is True and isinstance(kind, T.StringType):
        raise ConfigurationError(
            f"ordinal=True is for numbers; labelCol={name!r} is string: list all classes, the lowest first, such as "
            "ordinal=['low', 'high']"
        )
    if order is not True and not isinstance(kind, T.StringType):
        raise ConfigurationError(
            f"ordinal={order!r} lists strings; labelCol={name!r} is {kind.simpleString()}: set ordinal=True, for the "
            "order of the numbers"
        )


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
        labelled_rows(parts, name)
        .groupBy("label")
        .agg(F.count(F.lit(1)).alias("count"), F.coalesce(F.sum("weight"), F.lit(0.0)).alias("total"))
    )
    found = counted.limit(MAX_CLASSES + 2).collect()
    rows = sum(row["count"] for row in found)
    classes = _classes([row["label"] for row in found], rows, name)
    totals = {row["label"]: rounded(row["total"], _TOTAL_DIGITS) for row in found}
    return ClassColumn(rows=rows, classes=classes, totals=tuple(totals[label] for label in classes))


def in_order(found: ClassColumn, order: Sequence[str] | None, name: str) -> OrdinalColumn:
    """Return classes in an order.

    Parameters
    ----------
    found : ClassColumn
        The classes of the rows.
    order : sequence of str, optional
        Strings, the lowest first, of which the rows may lack some; None for the order of numbers.
    name : str
        The label column.

    Raises
    ------
    DataError
        If there is one class only, or a label that the order doesn't name.
    """
    unknown = [label for label in found.classes if order is not None and label not in order]
    if unknown:
        raise DataError(f"labelCol={name!r} holds {unknown[0]!r}, which ordinal={list(order or ())!r} doesn't name")
    classes: Classes = found.classes if order is None else tuple(order)
    if len(classes) < 2:
        raise DataError(f"labelCol={name!r} holds {classes[0]!r} only; an order needs two classes or more")
    totals = dict(zip(found.classes, found.totals, strict=True))
    return OrdinalColumn(
        rows=found.rows,
        classes=classes,
        beginning=beginning_of([totals.get(label, 0.0) for label in classes]) if sum(found.totals) else (),
    )


def find_label_sets(parts: Sequence[tuple[DataFrame, RowColumns]], name: str) -> LabelSetColumn:
    """Find the labels of arrays; one Spark job, as `find_classes`."""
    # The first label of a row, or the null that stands for none, counts the row.
    exploded = labelled_rows(parts, name).select(F.posexplode_outer("label").alias("position", "label"))
    counted = exploded.groupBy("label").agg(F.count_if(F.coalesce("position", F.lit(0)) == 0).alias("count"))
    found = counted.limit(MAX_LABELS + 2).collect()
    rows = sum(row["count"] for row in found)
    return LabelSetColumn(rows=rows, classes=_classes([row["label"] for row in found], rows, name, MAX_LABELS))


def vector_positions(classes: Classes) -> Sequence[int]:
    """Return the position of each class in the probability vector.

    String classes stand in their order. A numeric label stands at its own value, as Spark's
    evaluators read it; values that never occurred have probability 0.
    """
    return [int(value) if isinstance(value, float) else position for position, value in enumerate(classes)]


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


def _listed(classes: tuple[Any, ...]) -> str:
    shown = ", ".join(map(repr, classes[:10]))
    return f"{shown} and {len(classes) - 10} more" if len(classes) > 10 else shown
