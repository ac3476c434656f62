"""Labels and weights that fits and metrics can take, and refusals of others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column


def check_numbers(schema: T.StructType, param: str, name: str) -> None:
    """Refuse a column of another type than numbers."""
    found = find_field(schema, name).dataType
    if not isinstance(found, T.NumericType):
        raise SchemaError(f"{param}={name!r} is {found.simpleString()}; accepted: numbers")


def weight_of(weightCol: str | None) -> Column:
    """Return the weight of a row as a double; 1 without a column of weights."""
    return F.col(f"`{weightCol}`").cast("double") if weightCol else F.lit(1.0)


def unfit_number(number: Column) -> Column:
    """Return whether a double is null, NaN or infinite."""
    return number.isNull() | F.isnan(number) | (F.abs(number) == math.inf)


def unfit_weight(weight: Column) -> Column:
    """Return whether a weight is one that no sum takes."""
    return unfit_number(weight) | (weight < 0)


def check_usable(labelCol: str, unlabelled: int, unfit: int) -> None:
    """Refuse rows without a usable label or weight, by their numbers."""
    if unfit:
        raise DataError(f"{unfit} rows have a weight that is null, NaN, infinite or negative; mend or leave them out")
    if unlabelled:
        raise DataError(f"labelCol={labelCol!r}: {unlabelled} rows have no usable label (null, NaN or infinite)")
