"""Columns of a DataFrame as possible inputs of a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import types as T

from sparkwater.bundle.graph.column import Column, number, string, vector
from sparkwater.conversions.stages.columns import tensor_spec
from sparkwater.conversions.stages.shapes import find_shape

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def input_columns(frame: DataFrame) -> dict[str, Column]:
    """Return the columns that a graph can have as inputs; those of other types are left out."""
    found = {}
    for field in frame.schema:
        spec = tensor_spec(field)
        if spec is not None:
            found[field.name] = Column(field.name, "tensor", spec.dtype, spec.shape)
        elif isinstance(field.dataType, VectorUDT):
            found[field.name] = vector(field.name, find_shape(frame, field.name)[0])
        elif isinstance(field.dataType, T.FloatType):
            found[field.name] = number(field.name, "float32")
        elif isinstance(field.dataType, (T.NumericType, T.BooleanType)):
            found[field.name] = number(field.name)
        elif isinstance(field.dataType, T.StringType):
            found[field.name] = string(field.name)
    return found
