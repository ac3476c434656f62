"""Numbers of a model's outputs: a column, or an entry of a vector column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def output_values(scored: DataFrame, name: str) -> Column:
    """Return an output as an array of double; one value for a number.

    Raises
    ------
    SchemaError
        If there is no such column, or it holds no numbers.
    """
    column, data_type = F.col(f"`{name}`"), find_field(scored.schema, name).dataType
    if isinstance(data_type, VectorUDT):
        return vector_to_array(column)
    if isinstance(data_type, (T.NumericType, T.BooleanType)):
        return F.array(column.cast("double"))
    raise SchemaError(f"column {name!r} is {data_type.simpleString()}; an output to explain is a vector or a number")


def output_number(scored: DataFrame, name: str, index: int | None, model: Any) -> Column:
    """Return one number of an output: of two classes the probability of the second, unless another is named.

    Raises
    ------
    ConfigurationError
        If the output has several numbers and none is chosen, or the chosen one isn't there.
    """
    values = output_values(scored, name)
    if not isinstance(scored.schema[name].dataType, VectorUDT):
        if index not in (None, 0):
            raise ConfigurationError(f"outputIndex={index} is not accepted: column {name!r} is one number")
        return F.get(values, F.lit(0))
    classes = getattr(model, "numClasses", None)
    if index is None and classes != 2:
        raise ConfigurationError(f"column {name!r} is a vector; say which entry is explained: outputIndex=0, 1, ...")
    chosen = 1 if index is None else index
    if chosen < 0 or (classes is not None and chosen >= classes):
        raise ConfigurationError(f"outputIndex={index} is not accepted: column {name!r} has {classes} entries")
    return F.get(values, F.lit(chosen))
