"""Bounded numbers of rows of a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import ConfigurationError

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
