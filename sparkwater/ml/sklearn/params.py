"""Params of the learners around scikit-learn's estimators, and of their models."""

from __future__ import annotations

from functools import partial
from typing import Any

from sparkwater.conversions.stages.accepts import at_least
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.conversions.stages.spark_params import HasFeaturesCol, HasLabelCol, HasSeed, HasWeightCol
from sparkwater.ml.sklearn.estimators import checked_estimator


class SklearnColumns(HasFeaturesCol):
    """Params of the columns that are read."""

    featuresCol: Setting[str] = setting(
        "features",
        "features column: a vector, an array of numbers, a tensor column or a number; a matrix is made of it",
    )
    inputCols: Setting[list[str] | None] = setting(
        None,
        "columns of numbers, booleans and strings to read in place of featuresCol, which make a pandas DataFrame with "
        "these names; nulls of numbers are NaN",
    )


class SklearnParams(SklearnColumns, HasLabelCol, HasWeightCol, HasSeed):
    """Params of a fit."""

    weightCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "weights of the rows, from 0 up, for estimators whose fit takes sample_weight"
    )
    seed: Setting[int] = setting(42, "seed of the estimator, and of those in it, where random_state is None")
    maxRows: Setting[int] = setting(
        200_000, "the most rows that the task of a fit may hold in memory", accepts=at_least(1)
    )


class ClassifierSettings(Settings):
    """The Param that holds a classifier."""

    estimator: Setting[Any] = setting(
        None,
        "the classifier to fit, such as RandomForestClassifier(): of scikit-learn, or of a library that follows it, "
        "with predict_proba",
        convert=partial(checked_estimator, kind="classification"),
    )


class RegressorSettings(Settings):
    """The Param that holds a regressor."""

    estimator: Setting[Any] = setting(
        None,
        "the regressor to fit, such as RandomForestRegressor(): of scikit-learn, or of a library that follows it",
        convert=partial(checked_estimator, kind="regression"),
    )
