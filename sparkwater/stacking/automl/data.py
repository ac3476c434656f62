"""Facts on the rows that decide on learners and folds: the label, the columns, pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions import TableToTensor
from sparkwater.conversions.images.columns import is_image_field
from sparkwater.conversions.stages.columns import find_field, is_whole, tensor_spec
from sparkwater.errors import DataError, SchemaError
from sparkwater.stacking.automl.pretrained import said_of
from sparkwater.stacking.level_one.learners import CLASSIFICATION, REGRESSION

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Whole numbers are classes up to so many different ones.
MOST_CLASSES = 20

#: Tables up to so many rows have fewer folds: their fits are short, and each fold needs rows to be measured on.
SMALL_ROWS = 2_000

FOLDS, FEW_FOLDS = 8, 5


@dataclass(frozen=True)
class LabelFacts:
    """Facts on the label.

    Attributes
    ----------
    kind : {"classification", "regression"}
        The task that follows.
    rows : int
        Rows with a label.
    distinct : int
        Different labels; of more than `MOST_CLASSES` numbers, at least so many.
    fewest : int
        Rows of the rarest label; 0 for regression.
    renamed : bool
        True for classes that are numbers other than 0, 1, 2, ...: they are taken as strings.
    """

    kind: str
    rows: int
    distinct: int
    fewest: int = 0
    renamed: bool = False

    def num_folds(self, parts: int = FOLDS) -> int:
        """Return the number of folds: fewer for small tables, rare classes, and few groups or times that fill them."""
        wanted = min(FEW_FOLDS if self.rows < SMALL_ROWS else FOLDS, max(2, parts))
        return max(2, min(wanted, self.fewest)) if self.kind == CLASSIFICATION else wanted


def look_at_label(frame: DataFrame, labelCol: str, asked: str) -> LabelFacts:
    """Return facts on the label; one Spark job.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    labelCol : str
        The label.
    asked : {"auto", "classification", "regression"}
        The task, where it is given.

    Raises
    ------
    SchemaError
        If the label has a type that can't be learned.
    DataError
        If no row has a label, or a class has one row only.
    """
    kind = find_field(frame.schema, labelCol).dataType
    numeric = isinstance(kind, T.NumericType)
    _check_type(kind, labelCol, asked)
    label = F.col(f"`{labelCol}`").cast("double") if numeric else F.col(f"`{labelCol}`")
    # Rows without a label are refused later, with their number.
    counts = frame.where(label.isNotNull()).groupBy(label.alias("label")).agg(F.count(F.lit(1)).alias("rows"))
    # Numbers that are labels of a regression may be as many as rows: their counts stay on the executors.
    summed: Any = counts.agg(
        F.sum("rows").alias("rows"), F.count(F.lit(1)).alias("distinct"), F.min("rows").alias("fewest"),
        *((F.min("label").alias("low"), F.max("label").alias("high"),
           F.every(is_whole(F.col("label"))).alias("whole")) if numeric else ()),
    ).first()  # fmt: skip
    if not summed["rows"]:
        raise DataError(f"the DataFrame has no rows with a label in labelCol={labelCol!r}")
    is_classes = not numeric or (summed["whole"] and summed["distinct"] <= MOST_CLASSES)
    task = asked if asked != "auto" else CLASSIFICATION if is_classes else REGRESSION
    if task == REGRESSION:
        return LabelFacts(task, summed["rows"], summed["distinct"])
    if summed["fewest"] < 2:
        raise DataError(
            f"labelCol={labelCol!r}: a class has one row only, so the folds without it never see it; leave such rows "
            "out" + (", or set task='regression'" if numeric else "")
        )
    numbered = numeric and summed["whole"] and summed["low"] == 0 and summed["high"] == summed["distinct"] - 1
    return LabelFacts(task, summed["rows"], summed["distinct"], summed["fewest"], numeric and not numbered)


def _check_type(kind: T.DataType, labelCol: str, asked: str) -> None:
    numeric = isinstance(kind, T.NumericType)
    if asked == REGRESSION and not numeric:
        raise SchemaError(f"labelCol={labelCol!r} is {kind.simpleString()}; accepted for regression: numbers")
    if not numeric and not isinstance(kind, (T.StringType, T.BooleanType)):
        raise SchemaError(f"labelCol={labelCol!r} is {kind.simpleString()}; accepted: numbers, strings, booleans")


def as_names(frame: DataFrame, labelCol: str) -> DataFrame:
    """Return the rows with a label of numbers as strings; whole ones without a point, NaN and infinite ones null."""
    label = F.col(f"`{labelCol}`").cast("double")
    finite = F.abs(label) < math.inf  # NaN is larger than all numbers in Spark
    return frame.withColumn(
        labelCol, F.when(is_whole(label), label.cast("bigint").cast("string")).when(finite, label.cast("string"))
    )


@dataclass(frozen=True)
class Inputs:
    """The columns to learn from.

    Attributes
    ----------
    columns : tuple of str
        Columns of a table; empty for pictures.
    picture : str or None
        The column of pictures.
    found : str
        Report on the columns, as text.
    """

    columns: tuple[str, ...]
    picture: str | None
    found: str


def picture_column(schema: T.StructType, others: Sequence[str], imageShape: Sequence[int] | None) -> str | None:
    """Return the column of pictures: tensors of three dimensions, or pictures to decode where their shape is given."""
    for field in schema.fields:
        spec = tensor_spec(field)
        decoded = imageShape is not None and not isinstance(field.dataType, T.StringType) and is_image_field(field)
        if field.name not in others and (decoded or (spec is not None and len(spec.shape) == 3)):
            return field.name
    return None


def look_at_columns(frame: DataFrame, others: Sequence[str], imageShape: Sequence[int] | None) -> Inputs:
    """Return the columns to learn from; two Spark jobs for a table, none for pictures.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    others : sequence of str
        Columns with another role: label, weight, id, folds; and those to leave out.
    imageShape : sequence of int or None
        Height, width and channels of pictures to decode.
    """
    picture = picture_column(frame.schema, others, imageShape)
    if picture is not None:
        said = said_of(frame.schema[picture])
        return Inputs((), picture, f"pictures in column {picture!r}; columns beside it aren't read; {said}")
    report = TableToTensor(excludedCols=list(others), outputCol="__sparkwater_automl").fit(frame).report
    return Inputs(tuple(one.name for one in report.columns if not one.reason), None, str(report))


@dataclass(frozen=True)
class PartFacts:
    """Facts on the groups, or the times, that share a fold.

    Attributes
    ----------
    count : int
        Number of them.
    said : str
        Report on them, as text.
    """

    count: int
    said: str


def look_at_parts(frame: DataFrame, groupCol: str | None, timeCol: str | None) -> PartFacts | None:
    """Return facts on groups or times; one Spark job, and None where rows have neither."""
    name = groupCol or timeCol
    if not name:
        return None
    part = F.col(f"`{name}`").alias("part")
    found: Any = frame.groupBy(part).agg(F.count(F.lit(1)).alias("rows")).agg(
        F.count(F.lit(1)).alias("count"), F.max("rows").alias("largest"), F.sum("rows").alias("rows"),
        F.min("part").cast("string").alias("first"), F.max("part").cast("string").alias("last"),
    ).first()  # fmt: skip
    largest = f"the largest has {found['largest'] or 0:,} of {found['rows'] or 0:,} rows"
    if groupCol:
        return PartFacts(found["count"], f"folds hold whole groups: {found['count']:,} in column {name!r}, {largest}")
    return PartFacts(
        found["count"],
        f"folds are spans of time: {found['count']:,} different ones in column {name!r}, from {found['first']} to "
        f"{found['last']}; learners see earlier and later rows than they score",
    )
