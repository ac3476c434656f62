"""Preparation of the rows for all fits: keys and folds, evaluated once, counted and fingerprinted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.plain_values import plain_column
from sparkwater.errors import DataError, SchemaError
from sparkwater.ml.columns.classes import MAX_CLASSES, check_label_type
from sparkwater.stacking.folds import Folds, time_value
from sparkwater.stacking.level_one.deviance import SQUARED, Deviance
from sparkwater.stacking.level_one.learners import CLASSIFICATION
from sparkwater.stacking.level_one.prepared import FoldRows, LevelOneTask, Prepared, are_few
from sparkwater.stacking.level_one.usable import check_numbers, check_usable, unfit_number, unfit_weight, weight_of
from sparkwater.stacking.row_keys import ROW, Fingerprint, fingerprint_columns, row_hash

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows that `assign_folds` chose by the same seed, for a CrossValidator around this, have other folds here.
_APART = 7_919

#: More different values than this are no folds.
MAX_FOLDS = 1000


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

    Rows are in the order of their keys, the same for the same rows. Two Spark jobs, three with an id column, and one
    more for few rows in the cache.

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
        found = _look(kept, spec, folds is spec, kind, labelCol, identity, weightCol)
        ordered = store is None and are_few(sum(row["rows"] for row in found))
        kept = _in_order(kept) if ordered else kept
    except BaseException:
        kept.unpersist()
        raise
    task = LevelOneTask(kind, _classes(found, labelCol) if kind == CLASSIFICATION else (), deviance)
    labels = Fingerprint.over(Fingerprint(row["rows"], int(row["label_total"]), row["label_mixed"]) for row in found)
    return Prepared(
        kept, tuple(frame.columns), task, labelCol, spec.foldCol, weightCol, _folds(found), labels,
        spec.timeCol, spec.embargo, spec.groupCol or identity, ordered,
    )  # fmt: skip


def _cache(frame: DataFrame) -> DataFrame:
    """Keep the rows in a cache entry of their own: Spark gives equal plans one, and any of them can drop it."""
    mine = uuid.uuid4().hex
    return session_of(frame.sparkSession).keep(frame.where(F.lit(mine) == F.lit(mine)))


def _in_order(kept: DataFrame) -> DataFrame:
    """Return few rows as one partition in order of their keys, so that no pass of a fit sorts them."""
    ordered = _cache(kept.coalesce(1).sortWithinPartitions(ROW))
    try:
        ordered.count()
    except BaseException:
        ordered.unpersist()
        raise
    kept.unpersist()
    return ordered


def _check_schema(frame: DataFrame, kind: str, labelCol: str, weightCol: str | None, foldCol: str | None) -> None:
    if kind == CLASSIFICATION:
        check_label_type(frame.schema, labelCol)
    else:
        check_numbers(frame.schema, "labelCol", labelCol)
    if weightCol:
        check_numbers(frame.schema, "weightCol", weightCol)
    if foldCol:
        kinds = (T.IntegralType, T.StringType, T.BooleanType, T.DateType)
        if not isinstance(find_field(frame.schema, foldCol).dataType, kinds):
            raise SchemaError(
                f"foldCol={foldCol!r} is {frame.schema[foldCol].dataType.simpleString()}; accepted: integers, strings, "
                "booleans, dates"
            )


def _with_keys(frame: DataFrame, user: DataFrame, idCol: str | None) -> DataFrame:
    """Add a unique key to each row: of its id, or of its content and, for duplicates, a running number."""
    partitions = max(2, session_of(frame.sparkSession).default_parallelism)
    spread = frame.withColumn(ROW, row_hash(user, idCol)).repartition(partitions, ROW)
    if idCol:
        return spread.sortWithinPartitions(ROW)
    # Another hash orders rows whose first one is the same by chance.
    order = Window.partitionBy(ROW).orderBy(row_hash(user, None, 1))
    number = F.row_number().over(order)
    return spread.withColumn(ROW, F.when(number == 1, F.col(ROW)).otherwise(F.xxhash64(ROW, number)))


def _look(
    frame: DataFrame, spec: Folds, assigned: bool, kind: str, labelCol: str, idCol: str | None, weightCol: str | None
) -> list[Any]:
    """Return the counts of each fold and class, or refuse them."""
    if idCol:
        _check_ids(frame, idCol)
    found = _count(frame, spec, kind, labelCol, weightCol)
    _check_folds(found, spec, assigned)
    _check_weights(found, spec, weightCol)
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


def _count(frame: DataFrame, spec: Folds, kind: str, labelCol: str, weightCol: str | None) -> list[Any]:
    """Count and fingerprint the rows of each fold and class; one Spark job, on the kept rows."""
    label, plain_label = F.col(f"`{labelCol}`"), plain_column(frame.schema, labelCol)
    fold, weight = F.col(f"`{spec.foldCol}`"), weight_of(weightCol)
    invalid = label.isNull()
    if isinstance(frame.schema[labelCol].dataType, T.NumericType):
        label = plain_label = label.cast("double")
        invalid = unfit_number(label)
    grouped = frame.groupBy(fold.alias("fold"), (label if kind == CLASSIFICATION else F.lit(None)).alias("label"))
    time = time_value(frame.schema, spec.timeCol) if spec.timeCol else F.lit(None).cast("double")
    rows, total, mixed = fingerprint_columns(F.col(ROW), plain_column(frame.schema, spec.foldCol))
    _, label_total, label_mixed = fingerprint_columns(F.col(ROW), plain_label)
    found = grouped.agg(
        rows.alias("rows"), total.alias("total"), mixed.alias("mixed"),
        label_total.alias("label_total"), label_mixed.alias("label_mixed"),
        F.count_if(invalid).alias("unlabelled"), F.count_if(unfit_weight(weight)).alias("unfit"),
        F.min(time).alias("start"), F.max(time).alias("end"),
        F.sum(weight).alias("weight"),
    ).limit(MAX_CLASSES + 1).collect()  # fmt: skip
    if len(found) > MAX_CLASSES:
        raise DataError(
            f"labelCol={labelCol!r} and foldCol={spec.foldCol!r} have more than {MAX_CLASSES} pairs of values"
        )
    check_usable(labelCol, sum(row["unlabelled"] for row in found), sum(row["unfit"] for row in found))
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


def _check_weights(found: list[Any], spec: Folds, weightCol: str | None) -> None:
    for value in sorted({row["fold"] for row in found}):
        if not sum(row["weight"] for row in found if row["fold"] == value):
            raise DataError(
                f"weightCol={weightCol!r} is 0 in all rows of fold {value!r} ({spec.foldCol!r}), so nothing is "
                "measured on it; leave out rows without weight, or take fewer folds"
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
