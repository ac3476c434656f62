"""Classes of a label column: the sorted list of its values, found once and kept with the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import DataError, SchemaError
from sparkwater.gpu.rows.held import Classes
from sparkwater.ml.columns.roles import RowColumns

if TYPE_CHECKING:
    from pyspark.sql import Column

#: More different labels than this are an identifier, not classes. ImageNet-21k has 21,841.
MAX_CLASSES = 100_000


@dataclass(frozen=True)
class LabelColumn:
    """The classes of a label column, with their counts.

    Attributes
    ----------
    classes : tuple of float or of str
        The different labels, sorted; a network's output ``i`` is for ``classes[i]``.
    rows : int
        All rows, those without a label included.
    totals : tuple of float
        Total weight of each class's training rows.
    """

    classes: Classes
    rows: int
    totals: tuple[float, ...]


def check_label_type(schema: T.StructType, name: str) -> None:
    """Refuse a label column that is neither numbers, nor strings, nor booleans.

    Raises
    ------
    SchemaError
        With the type that it has.
    """
    field = find_field(schema, name)
    if not isinstance(field.dataType, (T.NumericType, T.StringType, T.BooleanType)):
        raise SchemaError(
            f"labelCol={name!r} is {field.dataType.simpleString()}; accepted: numbers (0, 1, 2, ...), strings, booleans"
        )


def label_values(frame: DataFrame, name: str) -> Column:
    """Return the label column as the ranks read it: strings, or doubles."""
    column = F.col(f"`{name}`")
    return column if isinstance(frame.schema[name].dataType, T.StringType) else column.cast("double")


def find_labels(parts: Sequence[tuple[DataFrame, RowColumns]], name: str) -> LabelColumn:
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
    labelled = (
        frame.select(label_values(frame, name).alias("label"), columns.training_weight().alias("weight"))
        for frame, columns in parts
    )
    counted = (
        reduce(DataFrame.unionAll, labelled)
        .groupBy("label")
        .agg(F.count(F.lit(1)).alias("count"), F.coalesce(F.sum("weight"), F.lit(0.0)).alias("total"))
    )
    found = counted.limit(MAX_CLASSES + 2).collect()
    rows = sum(row["count"] for row in found)
    if not rows:
        raise DataError("the DataFrame has no rows to train on")
    # NaN is no label, as null isn't; the ranks treat both by handleInvalid.
    labels = [row["label"] for row in found if row["label"] is not None and row["label"] == row["label"]]
    if not labels:
        raise DataError(f"labelCol={name!r}: all {rows} labels are null")
    if len(labels) > MAX_CLASSES:
        raise DataError(f"labelCol={name!r} has more than {MAX_CLASSES} different values; it can't be a class")
    if not isinstance(labels[0], str):
        _check_numbers(labels, name)
    totals = {row["label"]: float(row["total"]) for row in found}
    classes = tuple(sorted(labels))
    return LabelColumn(classes, rows, tuple(totals[label] for label in classes))


def vector_positions(classes: Classes) -> Sequence[int]:
    """Return the position of each class in the probability vector.

    String classes stand in their order. A numeric label stands at its own value, as Spark's
    evaluators read it; values that never occurred have probability 0.
    """
    return [int(value) if isinstance(value, float) else position for position, value in enumerate(classes)]


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
