"""The columns of a task's rows, made by Spark: features, label, weight, and a key of the content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import find_field, from_tensor_column, tensor_spec, vector_numbers
from sparkwater.conversions.tables.inputs import form_of, handed_over
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml.columns.labels import label_values
from sparkwater.ml.sklearn.rows import FEATURES, KEY, LABEL, WEIGHT, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructField

_NAMED = {"fraction": "number", "whole": "number", "boolean": "number", "string": "category"}


def feature_columns(frame: DataFrame, features: str, names: Sequence[str] | None) -> list[Column]:
    """Return the features of rows as the layout's columns.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    features : str
        The column of a matrix.
    names : sequence of str, optional
        Columns of a pandas DataFrame, in place of it.

    Raises
    ------
    SchemaError
        If a column isn't there, or is of another type.
    ConfigurationError
        If a name is there twice.
    """
    if not names:
        return [_matrix_column(find_field(frame.schema, features)).alias(FEATURES)]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"inputCols={list(names)!r} names a column twice")
    return [
        _named_column(find_field(frame.schema, name)).alias(column)
        for name, column in zip(names, Layout(tuple(names)).columns, strict=True)
    ]


def row_columns(frame: DataFrame, features: Sequence[Column], label: str, weight: str | None) -> list[Column]:
    """Return all columns of a task's rows.

    The key is a hash of the content, so that the order of rows follows from it, whatever the partitions.
    """
    parts = [*features, label_values(frame, label).alias(LABEL)]
    if weight:
        parts.append(F.col(f"`{find_field(frame.schema, weight).name}`").cast("double").alias(WEIGHT))
    return [*parts, F.xxhash64(*parts).alias(KEY)]


def _matrix_column(field: StructField) -> Column:
    form, spec = form_of(field), tensor_spec(field)
    if spec is not None:
        return from_tensor_column(F.col(f"`{field.name}`"), spec, flatten=True).cast("array<double>")
    if form == "vector":
        return vector_numbers(F.col(f"`{field.name}`"))
    if form == "array":
        return handed_over(field.name, form, form, "UTC")
    if form in ("fraction", "whole", "boolean"):
        return F.array(F.col(f"`{field.name}`").cast("double"))
    raise SchemaError(
        f"featuresCol={field.name!r} is {field.dataType.simpleString()}; accepted: vectors, arrays of numbers, tensor "
        "columns, numbers; name columns of a table with inputCols"
    )


def _named_column(field: StructField) -> Column:
    form = form_of(field)
    if form not in _NAMED:
        raise SchemaError(
            f"inputCols names {field.name!r}, which is {field.dataType.simpleString()}; accepted: numbers, booleans, "
            "strings"
        )
    return handed_over(field.name, form, _NAMED[form], "UTC")
