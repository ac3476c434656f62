"""Tables before they are read: their first rows, types, and values that a type has no place for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.flow.views.texts import guess_type
from sparkwater.flow.workbook.actions.tables import ReadCsv
from sparkwater.flow.workbook.column_types import TYPES, TypeChange, type_expression

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Rows that types are guessed from, and the longest text that is shown.
_ROWS, _TEXT = 200, 80


@dataclass(frozen=True)
class Preview:
    """The beginning of a table of texts.

    Attributes
    ----------
    names : tuple of str
        The columns.
    rows : tuple of tuple of (str or None)
        First rows, long texts cut; None where a value is missing.
    types : tuple of str
        The type of each column by these rows, of `sparkwater.flow.workbook.column_types.TYPES`.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    types: tuple[str, ...]


@dataclass(frozen=True)
class BadValues:
    """Values of a column that its new type has no place for.

    Attributes
    ----------
    column, type : str
        Column and type.
    given, bad : int
        Rows with a value, and those whose value becomes missing.
    example : str
        One of these values.
    """

    column: str
    type: str
    given: int
    bad: int
    example: str

    def __str__(self) -> str:
        """Return it as a sentence."""
        wanted = TYPES[self.type]
        if self.bad == self.given:
            return f"Column {self.column!r}: no value fits the type {wanted!r}, such as {self.example!r}"
        return (
            f"Column {self.column!r}: {self.bad:,} of {self.given:,} values don't fit the type {wanted!r} and become "
            f"missing, such as {self.example!r}"
        )


def read_texts(spark: SparkSession, action: ReadCsv) -> DataFrame:
    """Return the table of an action with all columns as text; a job reads the first line.

    Raises
    ------
    ConfigurationError
        If the file is gone.
    DataError
        If there are no columns.
    """
    try:
        frame = spark.read.csv(action.path, **action.options)
    except AnalysisException as error:
        if "PATH_NOT_FOUND" not in (error.getCondition() or ""):
            raise
        raise ConfigurationError("the file is gone; look at its folder again") from None
    if not frame.columns:
        raise DataError("the file has no columns: it is empty")
    return frame


def preview_csv(spark: SparkSession, action: ReadCsv, rows: int = _ROWS) -> Preview:
    """Return the beginning of a table of texts; two small jobs.

    Raises
    ------
    ConfigurationError, DataError
        As `read_texts`.
    """
    frame = read_texts(spark, replace(action, types=()))
    found = [tuple(row) for row in frame.limit(rows).collect()]
    names = tuple(frame.columns)
    types = tuple(guess_type([row[place] for row in found]) for place in range(len(names)))
    return Preview(names, tuple(tuple(map(_cut, row)) for row in found), types)


def bad_values(frame: DataFrame, changes: Sequence[TypeChange]) -> tuple[BadValues, ...]:
    """Return the columns with values that their new types have no place for; one Spark job over all rows.

    Raises
    ------
    ConfigurationError
        If a type is unknown, or a format isn't one.
    """
    if not changes:
        return ()
    wanted = []
    for change in changes:
        column = F.col(f"`{change[0].replace('`', '``')}`")
        lost = column.isNotNull() & F.expr(type_expression(change)).isNull()
        example = F.min(F.when(lost, F.substring(column.cast("string"), 1, _TEXT)))
        wanted += [F.count(column), F.count(F.when(lost, 1)), example]
    counts = frame.agg(*(one.alias(f"c{place}") for place, one in enumerate(wanted))).collect()[0]
    found = [BadValues(name, kind, *counts[3 * place : 3 * place + 3]) for place, (name, kind, _) in enumerate(changes)]
    return tuple(one for one in found if one.bad)


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= _TEXT else f"{value[:_TEXT]}…"
