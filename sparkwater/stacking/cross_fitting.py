"""Out-of-fold predictions: each row is scored by models that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, Pipeline
from pyspark.ml.tuning import _ValidatorParams as ValidatorParams
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.stacking.folds import fold_sizes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def cross_fit(learners: Mapping[str, Estimator[Any]], frame: DataFrame, foldCol: str = "fold") -> DataFrame:
    """Return the rows with one column a learner: its prediction by the model that was fitted without the row's fold.

    The learners are fitted one after the other, each on every fold's complement.

    Parameters
    ----------
    learners : mapping of str to pyspark.ml.Estimator
        The estimators, by the name of the column that each gives: its ``probability`` vector where
        it has one, else its ``prediction``.
    frame : pyspark.sql.DataFrame
        The rows with a fold number, as `assign_folds` adds it. Cache or write it first where its
        plan is dear or gives other rows at each evaluation.
    foldCol : str
        The fold column: integers, no nulls, two folds at least.

    Returns
    -------
    pyspark.sql.DataFrame
        Every row once, with all its columns.

    Raises
    ------
    ConfigurationError
        If there are no learners.
    SchemaError
        If a learner's name is a column already.
    """
    if not learners:
        raise ConfigurationError("cross_fit needs one learner at least")
    taken = [name for name in learners if name in frame.columns]
    if taken:
        raise SchemaError(f"there is a column {taken[0]!r} already; name the learner differently")
    folds = fold_sizes(frame, foldCol)
    return reduce(
        lambda left, right: left.unionByName(right), (_score_fold(learners, frame, foldCol, k) for k in folds)
    )


def _score_fold(learners: Mapping[str, Estimator[Any]], frame: DataFrame, foldCol: str, fold: int) -> DataFrame:
    training = frame.where(F.col(foldCol) != fold)
    held_out = frame.where(F.col(foldCol) == fold)
    for name, learner in learners.items():
        scored = learner.fit(training).transform(held_out)
        held_out = scored.select(*held_out.columns, F.col(_output(learner)).alias(name))
    return held_out


def _output(learner: Any) -> str:
    """Return the column that a learner's model adds; a pipeline's last stage and a validator's estimator decide."""
    if isinstance(learner, Pipeline):
        return _output(learner.getStages()[-1])
    if isinstance(learner, ValidatorParams):
        return _output(learner.getEstimator())
    for param in ("probabilityCol", "predictionCol"):
        if learner.hasParam(param):
            return str(learner.getOrDefault(param))
    raise ConfigurationError(f"{type(learner).__name__} gives neither a probability nor a prediction column")
