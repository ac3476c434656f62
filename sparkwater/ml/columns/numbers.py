"""Label columns with numbers: their type, and the units of all labels, found by Spark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.tensors.digits import rounded, rounded_in
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.gpu.tasks.quantiles import QuantilesTask
from sparkwater.gpu.tasks.regression import LOGARITHMIC, RegressionTask
from sparkwater.ml.columns.labels import LabelColumn, check_kind, labelled_rows
from sparkwater.ml.columns.roles import RowColumns, less_offsets

if TYPE_CHECKING:
    from sparkwater.gpu.tasks import Task

#: Digits that units of labels keep.
_DIGITS = 6


@dataclass(frozen=True)
class NumberColumn(LabelColumn):
    """Units of a column of numbers.

    Attributes
    ----------
    distribution : str
        One of `sparkwater.gpu.tasks.regression.DISTRIBUTIONS`.
    center, scale : float
        See `sparkwater.gpu.tasks.regression.RegressionTask`.
    quantiles : tuple of float
        Several quantiles to predict at once; empty for one number a row.
    """

    distribution: str
    center: float
    scale: float
    quantiles: tuple[float, ...] = ()

    def kept(self, before: Task, source: str) -> NumberColumn:
        """Return the labels in the network's units."""
        check_kind(before, QuantilesTask.kind if self.quantiles else RegressionTask.kind, source)
        assert isinstance(before, (RegressionTask, QuantilesTask))  # of those kinds
        if isinstance(before, QuantilesTask) and before.quantiles != self.quantiles:
            raise ConfigurationError(
                f"{source} learned quantiles={list(before.quantiles)!r}, and now they are {list(self.quantiles)!r}; a "
                "warm start keeps them: train anew with weights=..."
            )
        if isinstance(before, RegressionTask) and before.is_logarithmic != (self.distribution in LOGARITHMIC):
            raise ConfigurationError(
                f"{source} learned distribution={before.distribution!r}, and now it is {self.distribution!r}; a warm "
                "start keeps whether outputs are logarithms: train anew with weights=..."
            )
        return replace(self, center=before.center, scale=before.scale)


def check_number_type(schema: T.StructType, name: str) -> None:
    """Refuse a label column of a type that isn't numbers.

    Raises
    ------
    SchemaError
        With the type that it has.
    """
    kind = find_field(schema, name).dataType
    if not isinstance(kind, T.NumericType):
        raise SchemaError(
            f"labelCol={name!r} is {kind.simpleString()}; accepted: numbers; cast it, or use a classifier for classes"
        )


def find_numbers(parts: Sequence[tuple[DataFrame, RowColumns]], name: str, distribution: str) -> NumberColumn:
    """Measure numeric labels of the training rows; a Spark job, as `find_classes`, after a look at one row.

    Parameters
    ----------
    parts : sequence of (pyspark.sql.DataFrame, RowColumns)
        DataFrames, and how their rows take part.
    name : str
        The label column.
    distribution : str
        One of `sparkwater.gpu.tasks.regression.DISTRIBUTIONS`.

    Raises
    ------
    DataError
        If there are no rows, or no label that the distribution admits.
    """
    task, label = RegressionTask(distribution), F.col("label")
    rows = less_offsets(labelled_rows(parts, name), task.is_logarithmic)
    valid = ~F.isnan(label) & (F.abs(label) < math.inf) & (label >= task.least) & (F.col("weight") > 0)
    one = rows.where(valid).select("label").first()
    # Around any label: sums of squares of labels far from 0 would lose their digits.
    origin = one["label"] if one else 0.0
    weight, apart = F.when(valid, F.col("weight")), label - F.lit(origin)
    found = rows.agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(weight).alias("weight"),
        F.sum(weight * apart).alias("first"),
        F.sum(weight * apart * apart).alias("second"),
    ).first()
    assert found is not None  # an aggregate has a row
    if not found["rows"]:
        raise DataError("the DataFrame has no rows to train on")
    if not found["weight"]:
        raise DataError(
            f"labelCol={name!r}: none of {found['rows']} rows has a label to train on; accepted: {task.accepted}"
        )
    if not math.isfinite(found["weight"]):
        raise DataError("offsets are too large: with a logarithmic link an offset is the logarithm of an exposure")
    shift = found["first"] / found["weight"]
    mean, variance = origin + shift, found["second"] / found["weight"] - shift * shift
    center, scale = _units(mean, variance, task, name)
    return NumberColumn(rows=found["rows"], distribution=distribution, center=center, scale=scale)


def _units(mean: float, variance: float, task: RegressionTask, name: str) -> tuple[float, float]:
    """Return center and scale of a task."""
    if not math.isfinite(mean) or not math.isfinite(variance):
        raise DataError(f"labelCol={name!r}: the labels are too large to be squared; scale them")
    if task.is_logarithmic:
        if mean <= 0:
            raise DataError(
                f"labelCol={name!r}: all labels are 0; distribution={task.distribution!r} needs one above 0"
            )
        return rounded(math.log(mean)), 1.0
    scale = rounded(math.sqrt(max(variance, 0.0))) or 1.0
    return rounded_in(mean, scale), scale
