"""What happens to a row that can't be used: Spark ML's ``handleInvalid``, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.columns import find_field

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HANDLE_INVALID = ("error", "skip", "keep")


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
        What a row is called in the error.
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
            frame = frame.withColumn(result, checked).withMetadata(result, metadata)
    return frame.drop(problem)


def row_name(frame: DataFrame, column: str, id_column: str | None) -> Column:
    """Return what rows are called in errors and reports.

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
