"""Bounded numbers of rows of a DataFrame, and the columns of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field, vector_numbers
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def first_rows(frame: DataFrame, columns: list[Any], most: int, name: str) -> DataFrame:
    """Return so many rows at most of some columns, the first of the DataFrame.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    columns : list of str or Column
        Columns to read; those that are names must be there.
    most : int
        Rows at most.
    name : str
        Name of the argument that sets it.

    Raises
    ------
    ConfigurationError
        If it isn't positive.
    SchemaError
        If a column isn't there.
    """
    check_bound(most, name)
    check_columns(frame, *(column for column in columns if isinstance(column, str)))
    chosen: list[Column | str] = [f"`{column}`" if isinstance(column, str) else column for column in columns]
    return frame.select(*chosen).limit(most)


def check_columns(frame: DataFrame, *names: str) -> None:
    """Refuse columns that aren't there.

    Raises
    ------
    SchemaError
        With the columns there are.
    """
    for name in names:
        find_field(frame.schema, name)


def check_bound(most: int, name: str) -> None:
    """Refuse a bound that isn't positive.

    Raises
    ------
    ConfigurationError
        With the argument's name.
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ConfigurationError(f"{name}={most!r} is not accepted; whole numbers from 1 up")


def probabilities(scored: DataFrame, name: str) -> Column:
    """Return a column of vectors of probabilities as arrays.

    Raises
    ------
    SchemaError
        If it is no vector column, or isn't there.
    """
    if not isinstance(find_field(scored.schema, name).dataType, VectorUDT):
        raise SchemaError(f"probabilityCol={name!r} is no vector column")
    return vector_numbers(F.col(f"`{name}`"))


def class_place(scored: DataFrame, name: str, classes: Sequence[Any] | None) -> Column:
    """Return the place of a label's class among the probabilities, from 0: of numbers it is the number.

    Raises
    ------
    ConfigurationError
        If the labels are strings, and no classes are given.
    SchemaError
        If the column isn't there.
    """
    label = F.col(f"`{name}`")
    if not isinstance(find_field(scored.schema, name).dataType, T.StringType):
        return label.cast("int")
    if not classes:
        raise ConfigurationError(f"the labels in {name!r} are strings; give classes=model.classes")
    return (F.array_position(F.array(*map(F.lit, classes)), label) - 1).cast("int")
