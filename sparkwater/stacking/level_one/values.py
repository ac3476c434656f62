"""Level-one values: each learner's predictions as arrays, and as the user's columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import vector_numbers
from sparkwater.stacking.level_one.learners import CLASSIFICATION, Learner
from sparkwater.stacking.row_keys import ROW

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.stacking.level_one.prepared import LevelOneTask

#: The column of a learner's numbers of a row: one for two classes and for regression, else one a class.
VALUES = "__sparkwater_values"

#: The column with the name of the learner that they are of.
LEARNER = "__sparkwater_learner"

#: The column with what the fit that gave them left out: the value of a fold, or those of two, as text.
LEFT_OUT = "__sparkwater_left_out"

#: The column with the number of the DataFrame that a row of a union is of.
_PART = "__sparkwater_part"


def union_all(frames: Sequence[DataFrame]) -> DataFrame:
    """Return the rows of several DataFrames in this order, as one union whose plan is no deeper for more of them.

    Spark looks through a whole union each time that one is added to it, so neighbours are put together first.
    """
    while len(frames) > 1:
        pairs = [frames[place : place + 2] for place in range(0, len(frames), 2)]
        frames = [pair[0].unionAll(pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
    return frames[0]


def side_by_side(frames: Sequence[DataFrame], gather: Callable[[DataFrame], DataFrame]) -> DataFrame:
    """Return the columns of several DataFrames of the same rows beside each other.

    A union with a pivot: joins, one after the other, would be as many as there are DataFrames.

    Parameters
    ----------
    frames : sequence of pyspark.sql.DataFrame
        A key, and arrays of values in columns of other names than the others have.
    gather : callable
        `Prepared.gather` of the rows.
    """
    parts, columns = [], []
    for number, frame in enumerate(frames):
        names = [name for name in frame.columns if name != ROW]
        own = F.array(*(F.col(f"`{name}`") for name in names)).alias(VALUES)
        parts.append(frame.select(ROW, F.lit(number).alias(_PART), own))
        columns += [
            F.max(F.when(F.col(_PART) == number, F.get(F.col(VALUES), F.lit(place)))).alias(name)
            for place, name in enumerate(names)
        ]
    return gather(union_all(parts)).groupBy(ROW).agg(*columns)


def add_values(frame: DataFrame, model: Any, learner: Learner, task: LevelOneTask, column: str = VALUES) -> DataFrame:
    """Return the rows with a model's values; the columns that the model adds are left out."""
    scored = model.transform(frame)
    kept = [F.col(f"`{name}`") for name in frame.columns]
    return scored.select(*kept, output_values(F.col(f"`{learner.output}`"), learner, task).alias(column))


def output_values(output: Column, learner: Learner, task: LevelOneTask) -> Column:
    """Return a model's output column as values; another number of classes fails the job with a data error."""
    if task.kind != CLASSIFICATION:
        return F.when(output.isNotNull(), F.array(output.cast("double")))
    probabilities = vector_numbers(output)
    message = F.concat(
        F.lit(f"invalid row of learner {learner.name!r}: "), F.size(probabilities).cast("string"),
        F.lit(f" probabilities where there are {task.size} classes; its training rows had other classes"),
    )  # fmt: skip
    checked = F.when(
        F.size(probabilities) != task.size, F.raise_error(message).cast("array<double>")
    ).otherwise(probabilities)  # fmt: skip
    return F.when(output.isNotNull(), F.slice(checked, 2, 1) if task.width == 1 else checked)


def mean_values(columns: Sequence[Column]) -> Column:
    """Return the mean of several arrays of values, position by position."""
    total = columns[0]
    for column in columns[1:]:
        total = F.zip_with(total, column, lambda left, right: left + right)
    return F.transform(total, lambda value: value / float(len(columns)))


def shown(values: Column, task: LevelOneTask) -> Column:
    """Return values as the user sees them: a number, or for more than two classes a vector."""
    return values[0] if task.width == 1 else array_to_vector(values)
