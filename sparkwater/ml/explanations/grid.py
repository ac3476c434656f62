"""Values to put into a column, given or found in it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.errors import ConfigurationError, DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Bits of the integers.
_BITS: dict[type[T.DataType], int] = {T.ByteType: 8, T.ShortType: 16, T.IntegerType: 32, T.LongType: 64}


def grid_values(frame: DataFrame, field: T.StructField, grid: int | Sequence[Any]) -> list[Any]:
    """Return the values to put into a column, sorted; finding them starts a job.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    field : pyspark.sql.types.StructField
        The column.
    grid : int or sequence
        The values, or how many: quantiles of numbers, the most frequent of others.

    Raises
    ------
    SchemaError
        If the column holds something else than numbers, strings and booleans.
    ConfigurationError
        If a value isn't one of the column's type, or there is none.
    DataError
        If the column holds no value.
    """
    if not isinstance(field.dataType, (T.NumericType, T.StringType, T.BooleanType)):
        raise SchemaError(
            f"column {field.name!r} is {field.dataType.simpleString()}; partial dependence takes numbers, strings and "
            "booleans"
        )
    if not isinstance(grid, (int, np.integer)):
        return given_values(field, grid)
    if grid < 1:
        raise ConfigurationError(f"grid={grid} is not accepted; from 1 up")
    column = F.col(f"`{field.name}`")
    if isinstance(field.dataType, T.NumericType):
        values = _quantiles(frame, field, int(grid))
    else:
        counted = frame.where(column.isNotNull()).groupBy(column.alias("value")).count()
        values = [row["value"] for row in counted.orderBy(F.desc("count"), "value").limit(int(grid)).collect()]
    if not values:
        raise DataError(f"column {field.name!r} holds no value; there is nothing to vary")
    return sorted(set(values))


def given_values(field: T.StructField, grid: Sequence[Any]) -> list[Any]:
    """Return given values as those of a column, sorted: whole numbers become floats where it holds floats.

    Raises
    ------
    ConfigurationError
        If there is none, or some aren't values of the column's type; it names them.
    """
    if isinstance(grid, str) or np.ndim(grid) != 1 or not len(grid):
        raise ConfigurationError(
            f"grid={grid!r} is not accepted; give a value at least, or how many to take: grid=[0, 1], or grid=20"
        )
    given = [value.item() if isinstance(value, np.generic) else value for value in grid]
    values = [_converted(value, field.dataType) for value in given]
    wrong = [repr(value) for value, converted in zip(given, values, strict=True) if converted is None]
    if wrong:
        raise ConfigurationError(
            f"grid holds {', '.join(wrong)}; column {field.name!r} is {field.dataType.simpleString()}: give values of "
            "this type"
        )
    return sorted(set(values))


def _converted(value: Any, data_type: T.DataType) -> Any:
    """Return a value of Python as one of a type of Spark; None if there is no equal one."""
    if isinstance(data_type, (T.StringType, T.BooleanType)):
        return value if isinstance(value, str if isinstance(data_type, T.StringType) else bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    if isinstance(data_type, (T.DoubleType, T.FloatType)):
        return _as_float(value)
    number = Decimal(str(value))
    if not number.is_finite():
        return None
    if isinstance(data_type, T.DecimalType):
        places, digits = data_type.scale, data_type.precision
        return number if number == round(number, places) and abs(number) < 10 ** (digits - places) else None
    limit = 1 << (_BITS[type(data_type)] - 1)
    return int(number) if number == int(number) and -limit <= number < limit else None


def _as_float(value: float | Decimal) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _quantiles(frame: DataFrame, field: T.StructField, count: int) -> list[Any]:
    """Return quantiles in the column's own type, within 0.1 % of the rows."""
    shares = [0.5] if count == 1 else [place / (count - 1) for place in range(count)]
    column = F.col(f"`{field.name}`")
    found = frame.select(
        F.percentile_approx(F.nanvl(column, F.lit(None)), shares, 1000)
        if isinstance(field.dataType, (T.DoubleType, T.FloatType))
        else F.percentile_approx(column, shares, 1000)
    ).first()
    return list(found[0] or []) if found is not None else []
