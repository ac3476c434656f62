"""Assignment of folds to rows, by content or id: independent of order and partitioning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.plain_values import hash_columns
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.stacking.row_keys import row_hash

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ASSIGNMENTS = ("random", "modulo", "stratified")

_KEY, _STRATUM, _BUCKET, _BEFORE = (f"__sparkwater_{name}" for name in ("key", "stratum", "bucket", "before"))

#: Rows are numbered within buckets of their hash, so that no task sorts all of them.
_BUCKETS = 1024


@dataclass(frozen=True)
class Folds:
    """Settings of fold assignment: the arguments of `assign_folds`, and the embargo.

    Attributes
    ----------
    numFolds : int
        Folds, at least 2.
    foldAssignment : {"random", "modulo", "stratified"}
        As in `assign_folds`.
    seed : int
        Seed of the folds.
    idCol, labelCol, groupCol, timeCol : str, optional
        As in `assign_folds`.
    embargo : float
        With ``timeCol``: rows this near to a fold's time span, before and after it, are left out of
        its training part. Seconds for timestamps and dates, else the column's own unit.
    foldCol : str
        Name of the column to add.
    """

    numFolds: int = 5
    foldAssignment: str = "random"
    seed: int = 42
    idCol: str | None = None
    labelCol: str | None = None
    groupCol: str | None = None
    timeCol: str | None = None
    embargo: float = 0.0
    foldCol: str = "fold"

    def check(self) -> None:
        """Refuse settings that contradict each other.

        Raises
        ------
        ConfigurationError
            With the setting, its value and what is accepted.
        """
        if self.numFolds < 2:
            raise ConfigurationError(f"numFolds={self.numFolds}; accepted: integers from 2 up")
        if self.foldAssignment not in ASSIGNMENTS:
            raise ConfigurationError(f"foldAssignment={self.foldAssignment!r}; accepted: {', '.join(ASSIGNMENTS)}")
        if self.foldAssignment == "stratified" and not self.labelCol:
            raise ConfigurationError("foldAssignment='stratified' needs labelCol: the column whose values are balanced")
        if self.groupCol and self.timeCol:
            raise ConfigurationError(f"groupCol={self.groupCol!r} and timeCol={self.timeCol!r}; accepted: one of them")
        if (self.groupCol or self.timeCol) and self.foldAssignment != "random":
            raise ConfigurationError(
                f"foldAssignment={self.foldAssignment!r} with {'groupCol' if self.groupCol else 'timeCol'}, "
                "which says by itself where rows go; leave foldAssignment at 'random'"
            )
        if not 0 <= self.embargo < float("inf") or (self.embargo and not self.timeCol):
            raise ConfigurationError(f"embargo={self.embargo}; accepted: numbers from 0 up, above 0 only with timeCol")

    def assign(self, frame: DataFrame) -> DataFrame:
        """Return the rows with a fold number in ``foldCol``; see `assign_folds`."""
        self.check()
        if self.foldCol in frame.columns:
            raise SchemaError(f"foldCol={self.foldCol!r}: there is a column of that name already")
        if self.timeCol:
            return frame.withColumn(self.foldCol, self._block(frame, self.timeCol))
        if self.groupCol:
            group = hash_columns(frame.schema, [find_field(frame.schema, self.groupCol).name], self.seed)
            return self._deal(frame, group, F.lit(0))
        key = row_hash(frame, self.idCol, self.seed)
        if self.foldAssignment == "random":
            return frame.withColumn(self.foldCol, F.pmod(key, F.lit(self.numFolds)).cast("int"))
        if self.foldAssignment == "modulo":
            return self._deal(frame, key, F.lit(0))
        return self._deal(frame, key, self._stratum(frame, str(self.labelCol)))

    def _stratum(self, frame: DataFrame, label: str) -> Column:
        find_field(frame.schema, label)
        counts = frame.groupBy(F.col(f"`{label}`").alias("label")).count()
        few = counts.where(F.col("count") < self.numFolds).orderBy("count").first()
        if few is not None:
            raise DataError(
                f"labelCol={label!r}: {few['label']!r} has {few['count']} rows, fewer than numFolds={self.numFolds}; "
                "lower numFolds, or leave such rows out"
            )
        return F.col(f"`{label}`")

    def _deal(self, frame: DataFrame, key: Column, stratum: Column) -> DataFrame:
        """Assign folds to the distinct keys in turn, stratum after stratum in order of the hash."""
        keyed = frame.withColumns({_KEY: key, _STRATUM: stratum})
        keyed = keyed.withColumn(_BUCKET, F.pmod(F.col(_KEY), F.lit(_BUCKETS)))
        sizes = keyed.groupBy(_STRATUM, _BUCKET).agg(F.count_distinct(_KEY).alias("size"))
        earlier = Window.partitionBy(F.lit(0)).orderBy(_STRATUM, _BUCKET).rowsBetween(Window.unboundedPreceding, -1)
        before = sizes.select(
            F.col(_STRATUM).alias("stratum"), F.col(_BUCKET).alias("bucket"), F.sum("size").over(earlier).alias(_BEFORE)
        )
        same = F.col(_STRATUM).eqNullSafe(F.col("stratum")) & (F.col(_BUCKET) == F.col("bucket"))
        within = F.dense_rank().over(Window.partitionBy(_STRATUM, _BUCKET).orderBy(_KEY))
        # A left join: rows that differ from one evaluation to the next lose their balance, not their place.
        dealt = keyed.withColumn("__sparkwater_within", within).join(F.broadcast(before), same, "left")
        number = F.col("__sparkwater_within") - 1 + F.coalesce(F.col(_BEFORE), F.lit(0))
        fold = F.pmod(number, F.lit(self.numFolds)).cast("int")
        return dealt.select(*(F.col(f"`{name}`") for name in frame.columns), fold.alias(self.foldCol))

    def _block(self, frame: DataFrame, name: str) -> Column:
        time = time_value(frame.schema, name)
        shares = [block / self.numFolds for block in range(1, self.numFolds)]
        row = frame.select(F.percentile_approx(time, shares, 100_000).alias("ends")).first()
        ends = row["ends"] if row is not None else None
        if ends is None:
            raise DataError(f"timeCol={name!r} holds no time: there are no rows, or all are null")
        later = [(time > end).cast("int") for end in ends]
        return sum(later[1:], start=later[0]).cast("int")


def role_columns(folds: Folds | str, columns: Sequence[str], *others: str | None) -> list[str]:
    """Return those of the rows' columns that say where a row goes, and others that are named: they aren't features."""
    spec = folds if isinstance(folds, Folds) else Folds(foldCol=folds)
    named = (spec.foldCol, spec.idCol, spec.groupCol, spec.timeCol, *others)
    return [name for name in columns if name in named]


def assign_folds(
    frame: DataFrame,
    numFolds: int,
    *,
    foldAssignment: str = "random",
    seed: int = 42,
    idCol: str | None = None,
    labelCol: str | None = None,
    groupCol: str | None = None,
    timeCol: str | None = None,
    foldCol: str = "fold",
) -> DataFrame:
    """Add a fold number to each row, from a hash of its id or content.

    Spark's own k-fold split draws a random number a row at each evaluation, so a row may be in
    two folds or in none when the DataFrame is evaluated twice in another order.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    numFolds : int
        Folds, at least 2.
    foldAssignment : {"random", "modulo", "stratified"}
        ``random``: the hash decides, so folds have about equal sizes; starts no job. ``modulo``: rows
        are numbered in order of their hash and dealt out in turn, so sizes differ by one row at most.
        ``stratified``: the same, label after label. Duplicates count as one row.
    seed : int
        Seed of the folds.
    idCol : str, optional
        Column that identifies a row. Default: the content of all columns; duplicates share a fold.
    labelCol : str, optional
        The label that ``stratified`` balances.
    groupCol : str, optional
        Rows with the same value share a fold; groups, not rows, are dealt out in turn.
    timeCol : str, optional
        Numbers, dates or timestamps. Folds are spans of about equally many rows; rows of one time share a fold.
    foldCol : str
        Name of the int column to add, with values from 0 to ``numFolds - 1``.

    Raises
    ------
    ConfigurationError
        If ``numFolds`` is below 2, or settings contradict each other.
    SchemaError
        If a column is missing, or there is a fold column already.
    DataError
        If a label has fewer rows than there are folds to stratify by it, or no row has a time.
    """
    folds = Folds(
        numFolds=numFolds,
        foldAssignment=foldAssignment,
        seed=seed,
        idCol=idCol,
        labelCol=labelCol,
        groupCol=groupCol,
        timeCol=timeCol,
        foldCol=foldCol,
    )
    return folds.assign(frame)


def time_value(schema: T.StructType, name: str) -> Column:
    """Return a column of times as doubles, in any time zone the same.

    Seconds for dates and timestamps; dates, and timestamps without a time zone, are taken for those of UTC.

    Raises
    ------
    SchemaError
        If it holds no times.
    """
    data_type, column = find_field(schema, name).dataType, F.col(f"`{name}`")
    if isinstance(data_type, T.NumericType):
        return column.cast("double")
    if isinstance(data_type, T.TimestampType):
        return F.unix_micros(column) / 1_000_000
    if isinstance(data_type, T.DateType):
        return F.unix_date(column) * 86_400.0
    if isinstance(data_type, T.TimestampNTZType):
        seconds = F.extract(F.lit("SECOND"), column).cast("double")  # with their fraction
        return F.unix_date(column.cast("date")) * 86_400.0 + F.hour(column) * 3_600 + F.minute(column) * 60 + seconds
    raise SchemaError(f"timeCol={name!r} is {data_type.simpleString()}; accepted: numbers, dates, timestamps")
