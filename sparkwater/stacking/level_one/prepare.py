"""Preparation of the rows for all fits: keys and folds, evaluated once, counted and fingerprinted."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.plain_values import plain_column
from sparkwater.errors import DataError, SchemaError
from sparkwater.ml.columns.classes import MAX_CLASSES, check_label_type
from sparkwater.stacking.folds import Folds, time_value
from sparkwater.stacking.level_one.deviance import SQUARED, Deviance
from sparkwater.stacking.level_one.learners import CLASSIFICATION
from sparkwater.stacking.row_keys import ROW, Fingerprint, fingerprint_columns, row_hash

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: The column with a row's fold, beside its key.
FOLD = "__sparkwater_fold"

#: Rows that `assign_folds` chose by the same seed, for a CrossValidator around this, have other folds here.
_APART = 7_919

#: More different values than this are no folds.
MAX_FOLDS = 1000

#: Up to so many rows are read as one partition: fits then cost fewer tasks, and what follows them no shuffles.
SMALL_ROWS = 20_000


@dataclass(frozen=True)
class LevelOneTask:
    """The learning task: kind and classes.

    Attributes
    ----------
    kind : {"classification", "regression"}
        The kind of the learners.
    classes : tuple of float, of str or of bool
        The labels, sorted; empty for regression.
    deviance : Deviance
        Loss of a regression's rows.
    """

    kind: str
    classes: tuple[Any, ...] = ()
    deviance: Deviance = SQUARED

    @property
    def named(self) -> bool:
        """True for strings and booleans, which are numbered for the learners."""
        return bool(self.classes) and not isinstance(self.classes[0], float)

    @property
    def size(self) -> int:
        """The length of a probability vector; 1 for regression."""
        if self.kind != CLASSIFICATION:
            return 1
        return len(self.classes) if self.named else max(2, int(max(self.classes)) + 1)

    @property
    def width(self) -> int:
        """The numbers that a learner gives for a row: one for two classes and for regression."""
        return 1 if self.size == 2 else self.size

    def label(self, name: str) -> Column:
        """Return the label as a double."""
        column = F.col(f"`{name}`")
        if not self.named:
            return column.cast("double")
        return (F.array_position(F.array(*map(F.lit, self.classes)), column) - 1).cast("double")


@dataclass(frozen=True)
class FoldRows:
    """One fold: its value, its rows, and the span of time they cover where there is one."""

    value: Any
    rows: Fingerprint
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Prepared:
    """The rows, evaluated once.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
        The user's columns, the fold and the row's key.
    columns : tuple of str
        The user's columns.
    task : LevelOneTask
        The learning task.
    labelCol, foldCol, weightCol : str
        Columns of ``frame``; no weight is None.
    folds : tuple of FoldRows
        Sorted by value.
    labels : Fingerprint
        Fingerprint of rows and labels.
    timeCol, embargo
        As in `Folds`.
    unitCol : str or None
        Column whose equal values share a fold, of groups or ids; None where equal rows do.
    """

    frame: DataFrame
    columns: tuple[str, ...]
    task: LevelOneTask
    labelCol: str
    foldCol: str
    weightCol: str | None
    folds: tuple[FoldRows, ...]
    labels: Fingerprint
    timeCol: str | None = None
    embargo: float = 0.0
    unitCol: str | None = None

    @property
    def rows(self) -> Fingerprint:
        """Fingerprint of rows and folds."""
        return Fingerprint.over(fold.rows for fold in self.folds)

    @property
    def small(self) -> bool:
        """True for rows that are read as one partition."""
        return self.rows.rows <= SMALL_ROWS

    @property
    def _read(self) -> DataFrame:
        # In order of their keys, whatever the number of partitions before.
        return self.frame.coalesce(1).sortWithinPartitions(ROW) if self.small else self.frame

    def join(self, columns: Sequence[Column], values: DataFrame) -> DataFrame:
        """Return columns of the rows beside values of the same keys; for few rows nothing is shuffled."""
        rows = self._read.select(ROW, *columns)
        return rows.join(self.gather(values).hint("merge"), ROW) if self.small else rows.join(values, ROW)

    def gather(self, frame: DataFrame) -> DataFrame:
        """Return a row or less for each of the rows as one partition, where they are few."""
        return frame.coalesce(1) if self.small else frame

    def all_rows(self) -> DataFrame:
        """Return the rows as learners get them: the user's columns, labels numbered where they are strings."""
        return self._visible(self._read)

    def training(self, fold: FoldRows) -> DataFrame:
        """Return the rows outside of a fold as learners get them."""
        return self._visible(self._read.where(~self._in_fold(fold) & ~self._is_near(fold)))

    def divided(self, fold: FoldRows) -> DataFrame:
        """Return the rows of `training` and of `scorable` together, with key and fold."""
        rows = self.frame.where(self._in_fold(fold) | ~self._is_near(fold)) if self.timeCol else self.frame
        return self._visible(rows, F.col(ROW), F.col(f"`{self.foldCol}`").alias(FOLD))

    def scorable(self, fold: FoldRows | None = None) -> DataFrame:
        """Return the rows of a fold, or all of them, with key and fold."""
        rows = self._read if fold is None else self._read.where(self._in_fold(fold))
        return self._visible(rows, F.col(ROW), F.col(f"`{self.foldCol}`").alias(FOLD))

    def _is_near(self, fold: FoldRows) -> Column:
        if not self.timeCol or fold.start is None or fold.end is None:
            return F.lit(False)
        time = time_value(self.frame.schema, self.timeCol)
        return time.between(fold.start - self.embargo, fold.end + self.embargo)

    def _in_fold(self, fold: FoldRows) -> Column:
        return F.col(f"`{self.foldCol}`").eqNullSafe(F.lit(fold.value))

    def _visible(self, frame: DataFrame, *others: Column) -> DataFrame:
        columns = [F.col(f"`{name}`") for name in self.columns if name != self.labelCol]
        label = self.task.label(self.labelCol) if self.task.named else F.col(f"`{self.labelCol}`")
        return frame.select(*columns, label.alias(self.labelCol, metadata=self._label_metadata), *others)

    @property
    def _label_metadata(self) -> dict[str, Any]:
        """The label's metadata; Spark's classifiers look there for the number of classes before they run a job."""
        own: dict[str, Any] = self.frame.schema[self.labelCol].metadata
        if self.task.kind != CLASSIFICATION or "ml_attr" in own:
            return own
        return {**own, "ml_attr": {"type": "nominal", "num_vals": self.task.size}}


def prepare(
    frame: DataFrame,
    folds: Folds | str,
    kind: str,
    labelCol: str,
    *,
    idCol: str | None = None,
    weightCol: str | None = None,
    deviance: Deviance = SQUARED,
    store: Callable[[DataFrame], DataFrame] | None = None,
) -> Prepared:
    """Evaluate the rows once, with key and fold, and look at each fold.

    Rows are in the order of their keys, the same for the same rows. Two Spark jobs, three with an id column.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The user's rows.
    folds : Folds or str
        Assignment of folds, or the column that holds them.
    kind, labelCol, idCol, weightCol : str
        Kind of the learners, classification or regression, and columns of the rows.
    deviance : Deviance
        Loss of a regression's rows.
    store : callable, optional
        Keeps the rows and returns them as they were kept. Default: Spark's cache.

    Raises
    ------
    SchemaError, DataError
        If a column is missing or of another type; if rows have no label, no fold or another one's id, or folds are
        empty, too few, or hold all rows of a class.
    """
    spec = folds if isinstance(folds, Folds) else Folds(foldCol=folds)
    identity = idCol or spec.idCol
    _check_schema(frame, kind, labelCol, weightCol, None if folds is spec else str(folds))
    with_folds = replace(spec, seed=spec.seed + _APART).assign(frame) if folds is spec else frame
    keyed = _with_keys(with_folds, frame, identity)
    kept = store(keyed) if store else _cache(keyed)
    try:
        found = _look(kept, spec, folds is spec, kind, labelCol, identity)
    except BaseException:
        kept.unpersist()
        raise
    task = LevelOneTask(kind, _classes(found, labelCol) if kind == CLASSIFICATION else (), deviance)
    labels = Fingerprint.over(Fingerprint(row["rows"], int(row["label_total"]), row["label_mixed"]) for row in found)
    return Prepared(
        kept, tuple(frame.columns), task, labelCol, spec.foldCol, weightCol, _folds(found), labels,
        spec.timeCol, spec.embargo, spec.groupCol or identity,
    )  # fmt: skip


def _cache(frame: DataFrame) -> DataFrame:
    """Keep the rows in a cache entry of their own: Spark gives equal plans one, and any of them can drop it."""
    mine = uuid.uuid4().hex
    return frame.where(F.lit(mine) == F.lit(mine)).persist(StorageLevel.MEMORY_AND_DISK)


def _check_schema(frame: DataFrame, kind: str, labelCol: str, weightCol: str | None, foldCol: str | None) -> None:
    if kind == CLASSIFICATION:
        check_label_type(frame.schema, labelCol)
    elif not isinstance(find_field(frame.schema, labelCol).dataType, T.NumericType):
        raise SchemaError(
            f"labelCol={labelCol!r} is {frame.schema[labelCol].dataType.simpleString()}; accepted: numbers"
        )
    if weightCol and not isinstance(find_field(frame.schema, weightCol).dataType, T.NumericType):
        raise SchemaError(
            f"weightCol={weightCol!r} is {frame.schema[weightCol].dataType.simpleString()}; accepted: numbers"
        )
    if foldCol:
        kinds = (T.IntegralType, T.StringType, T.BooleanType, T.DateType)
        if not isinstance(find_field(frame.schema, foldCol).dataType, kinds):
            raise SchemaError(
                f"foldCol={foldCol!r} is {frame.schema[foldCol].dataType.simpleString()}; accepted: integers, strings, "
                "booleans, dates"
            )


def _with_keys(frame: DataFrame, user: DataFrame, idCol: str | None) -> DataFrame:
    """Add a unique key to each row: of its id, or of its content and, for duplicates, a running number."""
    partitions = max(2, frame.sparkSession.sparkContext.defaultParallelism)
    spread = frame.withColumn(ROW, row_hash(user, idCol)).repartition(partitions, ROW)
    if idCol:
        return spread.sortWithinPartitions(ROW)
    # Another hash orders rows whose first one is the same by chance.
    order = Window.partitionBy(ROW).orderBy(row_hash(user, None, 1))
    number = F.row_number().over(order)
    return spread.withColumn(ROW, F.when(number == 1, F.col(ROW)).otherwise(F.xxhash64(ROW, number)))


def _look(frame: DataFrame, spec: Folds, assigned: bool, kind: str, labelCol: str, idCol: str | None) -> list[Any]:
    """Return the counts of each fold and class, or refuse them."""
    if idCol:
        _check_ids(frame, idCol)
    found = _count(frame, spec, kind, labelCol)
    _check_folds(found, spec, assigned)
    if kind == CLASSIFICATION:
        _classes(found, labelCol)
        _check_classes(found, labelCol)
    return found


def _check_ids(frame: DataFrame, idCol: str) -> None:
    row = (
        frame.groupBy(ROW)
        .agg(F.count(F.lit(1)).alias("rows"), F.first(F.col(f"`{idCol}`").cast("string")).alias("id"))
        .where("rows > 1 or id is null")
        .first()
    )
    if row is not None:
        raise DataError(f"idCol={idCol!r}: {row['rows']} rows have the id {row['id']!r}; each row needs its own")


def _count(frame: DataFrame, spec: Folds, kind: str, labelCol: str) -> list[Any]:
    """Count and fingerprint the rows of each fold and class; one Spark job, on the kept rows."""
    label, plain_label = F.col(f"`{labelCol}`"), plain_column(frame.schema, labelCol)
    fold = F.col(f"`{spec.foldCol}`")
    invalid = label.isNull()
    if isinstance(frame.schema[labelCol].dataType, T.NumericType):
        label = plain_label = label.cast("double")
        invalid = invalid | F.isnan(label) | (F.abs(label) == math.inf)
    grouped = frame.groupBy(fold.alias("fold"), (label if kind == CLASSIFICATION else F.lit(None)).alias("label"))
    time = time_value(frame.schema, spec.timeCol) if spec.timeCol else F.lit(None).cast("double")
    rows, total, mixed = fingerprint_columns(F.col(ROW), plain_column(frame.schema, spec.foldCol))
    _, label_total, label_mixed = fingerprint_columns(F.col(ROW), plain_label)
    found = grouped.agg(
        rows.alias("rows"), total.alias("total"), mixed.alias("mixed"),
        label_total.alias("label_total"), label_mixed.alias("label_mixed"),
        F.count_if(invalid).alias("unlabelled"), F.min(time).alias("start"), F.max(time).alias("end"),
    ).limit(MAX_CLASSES + 1).collect()  # fmt: skip
    if len(found) > MAX_CLASSES:
        raise DataError(
            f"labelCol={labelCol!r} and foldCol={spec.foldCol!r} have more than {MAX_CLASSES} pairs of values"
        )
    missing = sum(row["unlabelled"] for row in found)
    if missing:
        raise DataError(f"labelCol={labelCol!r}: {missing} rows have no usable label (null, NaN or infinite)")
    if not found:
        raise DataError("the DataFrame has no rows to train on")
    return found


def _check_folds(found: list[Any], spec: Folds, assigned: bool) -> None:
    lost = sum(row["rows"] for row in found if row["fold"] is None)
    if lost:
        raise DataError(f"foldCol={spec.foldCol!r}: {lost} rows are in no fold (null)")
    values = {row["fold"] for row in found}
    if assigned and len(values) < spec.numFolds:
        raise DataError(
            f"numFolds={spec.numFolds}, but fold {min(set(range(spec.numFolds)) - values)} is empty: there are "
            f"{sum(row['rows'] for row in found)} rows, or too few groups or times; lower numFolds"
        )
    if not 2 <= len(values) <= MAX_FOLDS:
        raise DataError(
            f"foldCol={spec.foldCol!r} holds {len(values)} fold(s); accepted: 2 to {MAX_FOLDS} different values"
        )


def _classes(found: list[Any], labelCol: str) -> tuple[Any, ...]:
    labels = sorted({row["label"] for row in found})
    if len(labels) < 2:
        raise DataError(f"labelCol={labelCol!r} holds one class only, {labels[0]!r}; there is nothing to tell apart")
    if isinstance(labels[0], float):
        wrong = [label for label in labels if label < 0 or label != int(label) or label >= MAX_CLASSES]
        if wrong:
            raise DataError(
                f"labelCol={labelCol!r} holds {wrong[0]!r}; numeric labels are 0, 1, 2, ...; cast others to strings"
            )
    return tuple(labels)


def _check_classes(found: list[Any], labelCol: str) -> None:
    where: dict[Any, set[Any]] = {}
    for row in found:
        where.setdefault(row["label"], set()).add(row["fold"])
    for label, folds in where.items():
        if len(folds) == 1:
            raise DataError(
                f"labelCol={labelCol!r}: all rows of {label!r} are in fold {next(iter(folds))!r}, so the learners of "
                "that fold never see it; use foldAssignment='stratified' or fewer folds"
            )


def _folds(found: list[Any]) -> tuple[FoldRows, ...]:
    parts: dict[Any, list[Any]] = {}
    for row in found:
        parts.setdefault(row["fold"], []).append(row)
    return tuple(
        FoldRows(
            value,
            Fingerprint.over(Fingerprint(row["rows"], int(row["total"]), row["mixed"]) for row in parts[value]),
            min((row["start"] for row in parts[value] if row["start"] is not None), default=None),
            max((row["end"] for row in parts[value] if row["end"] is not None), default=None),
        )
        for value in sorted(parts)
    )
