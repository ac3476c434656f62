"""Tables before they are read: their first rows, types, and values that a type has no place for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.flow.views.texts import guess_type
from sparkwater.flow.workbook.actions.tables import ReadCsv
from sparkwater.flow.workbook.column_types import TYPES, TypeChange, type_expression

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Rows that types are guessed from, and values; the longest text that is shown.
_ROWS, _VALUES, _TEXT = 200, 50_000, 80

#: Columns whose values are checked in one job: Spark's time to plan one grows faster than their number.
_TOGETHER = 200


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
    quoted = (name.replace("`", "``") for name in names)
    beginnings = [f"substring(`{name}`, 1, {_TEXT + 1}) as c{place}" for place, name in enumerate(quoted)]
    found = [tuple(row) for row in frame.limit(rows).selectExpr(*beginnings).collect()]
    types = tuple(guess_type([row[place] for row in found]) for place in range(len(names)))
    return Preview(names, tuple(tuple(map(_cut, row)) for row in found), types)


def bad_values(frame: DataFrame, changes: Sequence[TypeChange]) -> tuple[BadValues, ...]:
    """Return the columns with values that their new types have no place for; a Spark job for each 200 columns.

    Raises
    ------
    ConfigurationError
        If a type is unknown, or a format isn't one.
    """
    parts = [changes[start : start + _TOGETHER] for start in range(0, len(changes), _TOGETHER)]
    return tuple(one for part in parts for one in _bad_values(frame, part))


def _bad_values(frame: DataFrame, changes: Sequence[TypeChange]) -> list[BadValues]:
    columns = []
    for place, change in enumerate(changes):
        column = F.col(f"`{change[0].replace('`', '``')}`")
        lost = column.isNotNull() & F.expr(type_expression(change)).isNull()
        columns += [F.substring(column.cast("string"), 1, _TEXT).alias(f"text{place}"), lost.alias(f"lost{place}")]
    # An aggregate of thousands of columns takes Spark minutes to compile.
    parts = frame.select(*columns).mapInArrow(_count_lost, "place int, given bigint, bad bigint, example string")
    sums = (F.sum("given").alias("given"), F.sum("bad").alias("bad"), F.min("example").alias("example"))
    counts = parts.groupBy("place").agg(*sums).where("bad > 0").orderBy("place").collect()
    found = []
    for row in counts:
        name, kind, _ = changes[row["place"]]
        found.append(BadValues(name, kind, row["given"], row["bad"], row["example"]))
    return found


def _count_lost(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield counts of pairs of columns, texts and whether each is lost; on an executor."""
    for batch in batches:
        texts, lost = batch.columns[0::2], batch.columns[1::2]
        arrays = [
            pa.array(range(len(texts)), pa.int32()),
            pa.array([len(text) - text.null_count for text in texts], pa.int64()),
            pa.array([one.true_count for one in lost], pa.int64()),
            pa.array([pc.min(text.filter(one)).as_py() for text, one in zip(texts, lost, strict=True)], pa.string()),
        ]
        yield pa.RecordBatch.from_arrays(arrays, ["place", "given", "bad", "example"])


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= _TEXT else f"{value[:_TEXT]}…"
