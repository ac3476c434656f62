"""Folds that belong to the rows: the same rows and seed give the same folds, in any order or partitioning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.conversions.columns import find_field
from sparkwater.errors import ConfigurationError, DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def assign_folds(
    frame: DataFrame, numFolds: int, *, seed: int = 42, idCol: str | None = None, foldCol: str = "fold"
) -> DataFrame:
    """Add a fold number to each row, from a hash of its id or content; starts no job.

    Spark's own k-fold split draws a random number a row at each evaluation, so a row may be in
    two folds or in none when the DataFrame is evaluated twice in another order.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    numFolds : int
        Folds, at least 2; each gets about the same number of rows.
    seed : int
        Another seed gives other folds.
    idCol : str, optional
        Column that identifies a row. Without it the content of all columns does; exact duplicates
        then share a fold.
    foldCol : str
        Name of the int column to add, with values from 0 to ``numFolds - 1``.

    Raises
    ------
    ConfigurationError
        If ``numFolds`` is below 2.
    SchemaError
        If there is no id column, or a fold column already.
    """
    if numFolds < 2:
        raise ConfigurationError(f"numFolds={numFolds}; accepted: integers from 2 up")
    if foldCol in frame.columns:
        raise SchemaError(f"foldCol={foldCol!r}: there is a column of that name already")
    columns = [find_field(frame.schema, idCol).name] if idCol else frame.columns
    key = F.xxhash64(*(F.col(f"`{name}`") for name in columns), F.lit(seed))
    return frame.withColumn(foldCol, F.pmod(key, F.lit(numFolds)).cast("int"))


def fold_sizes(frame: DataFrame, foldCol: str) -> dict[int, int]:
    """Return the rows of each fold; one Spark job.

    Raises
    ------
    SchemaError
        If there is no such column of integers.
    DataError
        If a fold is null, or there are fewer than two.
    """
    field = find_field(frame.schema, foldCol)
    if field.dataType.typeName() not in ("byte", "short", "integer", "long"):
        raise SchemaError(f"foldCol={foldCol!r} is {field.dataType.simpleString()}; accepted: integers")
    sizes = {row[foldCol]: row["count"] for row in frame.groupBy(foldCol).count().collect()}
    if None in sizes:
        raise DataError(f"foldCol={foldCol!r}: {sizes[None]} rows are in no fold (null)")
    if len(sizes) < 2:
        raise DataError(f"foldCol={foldCol!r} holds {len(sizes)} fold; cross-fitting needs two at least")
    return dict(sorted(sizes.items()))
