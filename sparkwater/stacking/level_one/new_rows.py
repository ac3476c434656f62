"""Metrics of rows that no part of a fit saw, such as a test set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.jobs import run_job
from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import DataError, SchemaError
from sparkwater.stacking.level_one.learners import CLASSIFICATION
from sparkwater.stacking.level_one.metrics import LABEL, WEIGHT, LearnerMetrics, losses, read_losses, sum_losses
from sparkwater.stacking.level_one.usable import check_numbers, check_usable, unfit_number, unfit_weight, weight_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.stacking.level_one.prepared import LevelOneTask

#: The place of a class that the training had not.
_UNKNOWN = -1.0

#: Column beside those of learners, which have names of the user's: whether the weight can't be summed.
_UNFIT = "__sparkwater_unfit"


def measure(
    frame: DataFrame, task: LevelOneTask, labelCol: str, weightCol: str | None, values: Mapping[str, Column]
) -> tuple[int, LearnerMetrics]:
    """Return the number of rows, and the metrics of columns of values; one Spark job.

    A label of a class that the training had not counts as wrong, with a probability of 0.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    task : LevelOneTask
        The learning task.
    labelCol, weightCol : str
        Columns of the rows; no weight is None.
    values : mapping of str to pyspark.sql.Column
        Arrays of a learner's numbers, by its name.

    Raises
    ------
    SchemaError
        If a column is missing or of another type.
    DataError
        If there are no rows, or some have no usable label, weight or prediction.
    """
    label = _label(frame, labelCol, task)
    if weightCol is not None:
        check_numbers(frame.schema, "weightCol", weightCol)
    weight = weight_of(weightCol)
    rows = frame.select(
        F.when(~unfit_number(label), label).alias(LABEL),
        weight.alias(WEIGHT),
        unfit_weight(weight).alias(_UNFIT),
        *(column.alias(name) for name, column in values.items()),
    )
    found = run_job(rows.agg(*_counts(values, task), *sum_losses(list(values), task)).first)
    assert found is not None  # an aggregate has a row
    _check(found, labelCol, weightCol)
    by_name = {name: {"all": one} for name, one in read_losses(found, list(values)).items()}
    return int(found["rows"]), LearnerMetrics(task.kind, by_name, task.deviance)


def _counts(names: Iterable[str], task: LevelOneTask) -> list[Column]:
    """Return the aggregates that `_check` reads."""
    usable, lost = F.col(LABEL).isNotNull(), F.lit(False)
    for name in names:
        first, _ = losses(F.col(f"`{name}`"), task)
        lost = lost | F.col(f"`{name}`").isNull() | first.isNull() | F.isnan(first)
    return [
        F.count(F.lit(1)).alias("rows"),
        F.count_if(~usable).alias("unlabelled"),
        F.count_if(_UNFIT).alias("unfit"),
        F.count_if(usable & lost).alias("lost"),
    ]


def _label(frame: DataFrame, labelCol: str, task: LevelOneTask) -> Column:
    """Return the label as a double; classes as their places."""
    found = find_field(frame.schema, labelCol).dataType
    accepted: tuple[type[T.DataType], str] = (T.NumericType, "numbers")
    if task.named:
        accepted = (T.BooleanType, "booleans") if isinstance(task.classes[0], bool) else (T.StringType, "strings")
    if not isinstance(found, accepted[0]):
        raise SchemaError(f"labelCol={labelCol!r} is {found.simpleString()}; accepted: {accepted[1]}, as in training")
    label = task.label(labelCol)
    if task.kind != CLASSIFICATION or task.named:
        return label
    # NaN is larger than all numbers in Spark.
    strange = (F.abs(label) < math.inf) & ~label.isin(*task.classes)
    return F.when(strange, _UNKNOWN).otherwise(label)


def _check(found: Any, labelCol: str, weightCol: str | None) -> None:
    """Refuse rows by their counts."""
    if not found["rows"]:
        raise DataError("the DataFrame has no rows to measure by")
    check_usable(labelCol, found["unlabelled"], found["unfit"])
    if not found["weight"]:
        raise DataError(f"weightCol={weightCol!r} is 0 in all rows, so nothing is measured on them")
    if found["lost"]:
        raise DataError(
            f"{found['lost']} rows have no prediction of some learner, or a label that the metric isn't defined for; "
            "mend or leave out such rows"
        )
