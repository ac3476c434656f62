"""Treatment of rows that can't be used: Spark ML's ``handleInvalid``, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.stages.columns import find_field

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HANDLE_INVALID = ("error", "skip", "keep")


@dataclass(frozen=True)
class ProblemReport:
    """Problems of the rows of a DataFrame, counted by kind.

    Attributes
    ----------
    rows, invalid : int
        All rows, and those that can't be used.
    counts : dict of str to int
        Rows by kind of problem - its text up to a colon - the most frequent first.
    first : tuple of (str or None, str)
        The first such rows: each row's name, and the whole reason.
    """

    rows: int
    invalid: int
    counts: dict[str, int]
    first: tuple[tuple[str | None, str], ...]

    def __str__(self) -> str:
        lines = [f"{self.invalid:,} of {self.rows:,} rows can't be used"]
        lines += [f"{count:>8,}  {kind}" for kind, count in self.counts.items()]
        lines += [f"{'a row' if name is None else name}: {reason}" for name, reason in self.first]
        return "\n".join(lines)


def resolve_invalid(frame: DataFrame, results: list[str], problem: str, name: Column, mode: str) -> DataFrame:
    """Return the DataFrame with its unusable rows treated as asked, without the problem column.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Holds the result columns, null in unusable rows, and the problem column.
    results : list of str
        The columns that were computed.
    problem : str
        A string column: the reason, null in usable rows.
    name : pyspark.sql.Column
        The row's name in the error.
    mode : str
        ``error`` fails the job that reads a result of an unusable row; ``skip`` drops such rows;
        ``keep`` leaves their results null.
    """
    reason = F.col(f"`{problem}`")
    if mode == "skip":
        frame = frame.where(reason.isNull())
    if mode == "error":
        message = F.concat(F.lit("invalid row "), name, F.lit(": "), reason)
        for result in results:
            metadata = frame.schema[result].metadata
            checked = F.when(reason.isNull(), F.col(f"`{result}`")).otherwise(F.raise_error(message))
            column = checked.alias(result, metadata=metadata)
            frame = session_of(frame.sparkSession).with_columns(frame, {result: column})
    return frame.drop(problem)


def row_name(frame: DataFrame, column: str, id_column: str | None) -> Column:
    """Return a column of the rows' names in errors and reports.

    The id column where one is given; else a URI itself, an image struct's ``origin``, the
    ``path`` that Spark's ``binaryFile`` source gives; else a hash of the row's content.
    """
    if id_column is not None:
        find_field(frame.schema, id_column)
        return F.coalesce(F.col(f"`{id_column}`").cast("string"), F.lit("with a null id"))
    data_type = frame.schema[column].dataType
    content = F.col(f"`{column}`")
    by_hash = F.concat(F.lit("with content hash "), F.hex(F.xxhash64(content)))
    if isinstance(data_type, T.StringType):
        return F.coalesce(content, by_hash)
    if isinstance(data_type, T.StructType) and "origin" in data_type.names:
        return F.coalesce(content["origin"], by_hash)
    if "path" in frame.columns and isinstance(frame.schema["path"].dataType, T.StringType):
        return F.coalesce(F.col("path"), by_hash)
    return by_hash


def report_problems(frame: DataFrame, problemCol: str, idCol: str | None = None, limit: int = 20) -> ProblemReport:
    """Count the rows that can't be used, and list the first of them. Runs two jobs, on the driver.

    Each job decodes the pictures anew unless the DataFrame is cached or was written and read.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The result of ``ImageToTensor(handleInvalid="keep", problemCol=...)``.
    problemCol : str
        Its string column of reasons, null in usable rows.
    idCol : str, optional
        The column that names a row. Default: ``path`` where there is one; else rows have no name.
    limit : int
        At most as many kinds of problems, and rows, are reported.

    Raises
    ------
    SchemaError
        If there is no such column.
    """
    find_field(frame.schema, problemCol)
    name = idCol or ("path" if "path" in frame.columns else None)
    if name is not None:
        find_field(frame.schema, name)
    reason = F.col(f"`{problemCol}`")
    kinds = frame.groupBy(F.substring_index(reason, ":", 1).alias("kind")).count().orderBy(F.desc("count"), "kind")
    counts = {row["kind"]: row["count"] for row in kinds.collect()}
    usable = counts.pop(None, 0)
    named = F.lit(None) if name is None else F.col(f"`{name}`")
    first = frame.where(reason.isNotNull()).select(named.cast("string"), reason).take(limit)
    invalid = sum(counts.values())
    return ProblemReport(
        usable + invalid, invalid, dict(list(counts.items())[:limit]), tuple((row[0], row[1]) for row in first)
    )
