"""Exact Shapley values of Spark's linear models and trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyspark.ml import PipelineModel
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.stat import Summarizer
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.stages.columns import find_field, nested_arrow, vector_numbers
from sparkwater.conversions.stages.executor_functions import arrow_series, executor_function
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml.explanations.features import find_features
from sparkwater.ml.explanations.solved import LINEAR, TREES, Linear, Trees, read_linear, read_trees

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame

    from sparkwater.ml.explanations.tree_paths import Numbers

#: The contributions before they have names.
_VALUES = "__sparkwater_contributions"


def exact_shapley_values(
    model: Transformer,
    frame: DataFrame,
    background: DataFrame | None = None,
    *,
    outputIndex: int | None = None,
    contributionsCol: str = "contributions",
    baseValueCol: str = "baseValue",
) -> DataFrame:
    """Add to each row the exact contributions of its features to the output of a linear model, a tree or trees.

    Linear models have *interventional* values: a feature that isn't known takes its values in the background, whatever
    the others are; a contribution is the coefficient times the deviation from the background's mean (Lundberg and Lee,
    NeurIPS 30 (2017), corollary 1). `shapley_values` estimates the same. Trees have *tree_path_dependent* values: at a
    split whose feature isn't known both ways count, by the training rows on each (Lundberg, Erion and Lee,
    arXiv:1802.03888, algorithms 1 and 2). They need no background, and differ from those of `shapley_values`.

    Contributions and base value add up to ``prediction`` for regression (the linear predictor without an offset for
    generalised models), to ``probability[outputIndex]`` for decision trees and random forests of classes, and to
    ``rawPrediction[outputIndex]`` for the other classifiers. Runs on executors when the result is used, in blocks of
    bounded memory. The call saves trees to a temporary folder and reads them; for linear models it starts two jobs.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        A fitted linear or logistic regression, generalised linear regression, LinearSVC, decision tree, random forest
        or GBT of Spark; or a `PipelineModel` that ends with one. Its other stages go first, and their columns stay.
    frame : pyspark.sql.DataFrame
        Rows to explain. The features are the entries of the model's vector.
    background : pyspark.sql.DataFrame, optional
        For linear models, which need it: rows that stand for "not known", such as the training rows.
    outputIndex : int, optional
        The class, for classifiers. Default: the second of two.
    contributionsCol, baseValueCol : str
        Columns to add: a map from a feature's name to a double, null where the vector is null; and a double. There
        are none of these names yet.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If the model, a parameter or a column isn't what is accepted, or the background has no rows.
    """
    before, last = _split(model)
    _check(last, background is not None)
    index = _output(last, outputIndex)
    rows, column = before.transform(frame), last.getFeaturesCol()
    _check_free(rows, contributionsCol, baseValueCol)
    names = find_features(last, rows, [column]).names
    if not isinstance(rows.schema[column].dataType, VectorUDT) or len(names) != last.numFeatures:
        kind = rows.schema[column].dataType.simpleString()
        raise SchemaError(f"column {column!r} is {kind} of {len(names)}; the model takes vectors of {last.numFeatures}")
    solved = read_trees(last, index) if background is None else _linear(last, before.transform(background), index)
    explain = _explainer(solved, len(names))
    # Where Spark's own withColumns drops the metadata of other columns the session's doesn't.
    add = session_of(rows.sparkSession).with_columns
    explained = add(rows, {_VALUES: explain(vector_numbers(F.col(f"`{column}`"))).alias(_VALUES)})
    contributions = F.map_from_arrays(F.array(*map(F.lit, names)), _VALUES).alias(contributionsCol)
    base = F.lit(solved.base).alias(baseValueCol)
    return add(explained, {contributionsCol: contributions, baseValueCol: base}).drop(_VALUES)


@dataclass(frozen=True)
class _Nothing:
    """The stages before a model that stands alone."""

    def transform(self, frame: DataFrame) -> DataFrame:
        return frame


def _split(model: Any) -> tuple[Any, Any]:
    """Return the stages before the last one, and the last one."""
    if not isinstance(model, PipelineModel) or not model.stages:
        return _Nothing(), model
    *first, end = model.stages
    if isinstance(end, PipelineModel):
        return _split(PipelineModel([*first, *end.stages]))
    return PipelineModel(first), end


def _check(model: Any, with_background: bool) -> None:
    """Refuse models that aren't known, and a background too much or too few."""
    kind = type(model).__name__
    if not isinstance(model, (*LINEAR, *TREES)):
        known = ", ".join(each.__name__ for each in (*LINEAR, *TREES))
        raise ConfigurationError(
            f"{kind} has no exact values here; accepted: {known}, and pipelines that end with one. "
            "shapley_values takes any model"
        )
    if isinstance(model, LINEAR) and not with_background:
        raise ConfigurationError(
            f"{kind} needs a background: rows that stand for features that aren't known, such as some training rows"
        )
    if isinstance(model, TREES) and with_background:
        raise ConfigurationError(
            f"{kind} takes no background: what isn't known follows from the training rows in its trees; "
            "shapley_values(model, frame, background) estimates values over a background"
        )


def _check_free(rows: DataFrame, contributions: str, base: str) -> None:
    """Refuse names of results that columns have already, and one name for both; Spark takes capitals for small letters.

    Raises
    ------
    SchemaError
        With the parameter.
    """
    there = {name.lower() for name in rows.columns}
    for parameter, name in (("contributionsCol", contributions), ("baseValueCol", base)):
        if name.lower() in there:
            raise SchemaError(f"{parameter}={name!r}: there is a column of that name already")
        there.add(name.lower())


def _output(model: Any, index: int | None) -> int | None:
    """Return the class to explain; None for a model without classes."""
    classes = getattr(model, "numClasses", None)
    if classes is None:
        if index not in (None, 0):
            raise ConfigurationError(f"outputIndex={index} is not accepted: {type(model).__name__} gives one number")
        return None
    if index is None and classes != 2:
        raise ConfigurationError(f"there are {classes} classes; say which is explained: outputIndex=0, 1, ...")
    chosen = 1 if index is None else index
    if not 0 <= chosen < classes:
        raise ConfigurationError(f"outputIndex={index} is not accepted: there are {classes} classes")
    return chosen


def _linear(model: Any, background: DataFrame, index: int | None) -> Linear:
    """Return a linear model's coefficients with the means of the background's features."""
    column = model.getFeaturesCol()
    find_field(background.schema, column)
    vectors = background.where(F.col(f"`{column}`").isNotNull()).select(F.col(f"`{column}`").alias("features"))
    if vectors.isEmpty():  # the summary of nothing fails
        raise DataError("the background has no rows; give some that stand for a feature that isn't known")
    (found,) = vectors.select(Summarizer.mean(F.col("features")).alias("mean")).collect()
    return read_linear(model, index, found["mean"].toArray())


def _explainer(solved: Linear | Trees, size: int) -> Callable[[Any], Any]:
    """Return the function of a column of arrays; what it refers to is in modules that load quickly."""
    spec = TensorSpec("float64", (size,))

    def explain(batch: pd.Series[Any]) -> pd.Series[Any]:
        rows = batch.to_numpy()
        valid = np.fromiter((row is not None for row in rows), bool, len(rows))
        wrong = next((len(row) for row in rows[valid] if len(row) != size), None)
        if wrong is not None:
            raise DataError(f"a vector has {wrong} entries; the model takes {size}")
        x: Numbers = np.array(rows[valid].tolist(), np.float64).reshape(-1, size)
        return arrow_series(nested_arrow(solved.contributions(x).reshape(-1), valid, spec))

    return executor_function(explain, T.ArrayType(T.DoubleType()), pd.Series, 32 * size + solved.row_bytes)
