"""Tables of texts before they are read: their first rows, and types."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.flow.views.data.sniffing import guess_type
from sparkwater.flow.workbook.actions.tables import ReadCsv
from sparkwater.flow.workbook.column_types import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Rows that types are guessed from, and values; the longest text that is shown.
_ROWS, _VALUES, _TEXT = 200, 50_000, 80


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


def preview_csv(spark: SparkSession, action: ReadCsv) -> Preview:
    """Return the beginning of a table of texts; two small jobs.

    Raises
    ------
    ConfigurationError, DataError
        As `read_texts`.
    """
    frame = read_texts(spark, replace(action, types=()))
    rows = max(20, min(_ROWS, _VALUES // len(frame.columns)))
    names = tuple(frame.columns)
    # Long texts are cut before they come to the driver.
    beginnings = [f"substring({quoted(name)}, 1, {_TEXT + 1}) as c{place}" for place, name in enumerate(names)]
    found = [tuple(row) for row in frame.limit(rows).selectExpr(*beginnings).collect()]
    types = tuple(guess_type([row[place] for row in found]) for place in range(len(names)))
    return Preview(names, tuple(tuple(map(_cut, row)) for row in found), types)


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= _TEXT else f"{value[:_TEXT]}…"
