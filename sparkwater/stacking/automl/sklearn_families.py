"""Families of scikit-learn's learners, for tables that one task holds: all folds are fitted in one Spark job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyspark.ml import Estimator
from pyspark.sql import types as T
from scipy import stats

from sparkwater.conversions.tables.inputs import form_of
from sparkwater.ml import SklearnClassifier, SklearnRegressor
from sparkwater.stacking.automl.families import Family, Setup

#: Tables up to so many rows are held by one task.
MOST_ROWS = 100_000

#: Categories of a column that are told apart.
_LEVELS = 100

_NUMBERS, _CATEGORIES = ("fraction", "whole", "boolean"), ("string",)


def columns_by_role(schema: T.StructType, names: tuple[str, ...]) -> tuple[list[str], list[str]] | None:
    """Return the columns of numbers and of categories; None where there are others, such as dates and vectors."""
    forms = {name: form_of(schema[name]) for name in names}
    if not all(form in (*_NUMBERS, *_CATEGORIES) for form in forms.values()):
        return None
    return (
        [name for name, form in forms.items() if form in _NUMBERS],
        [name for name, form in forms.items() if form in _CATEGORIES],
    )


def sklearn_families(setup: Setup, numbers: list[str], categories: list[str]) -> list[Family]:
    """Return regression, forest and boosted trees on raw columns of numbers and of categories."""
    common: dict[str, Any] = {"labelCol": setup.labelCol, "inputCols": [*numbers, *categories], "seed": setup.seed}
    kind = SklearnClassifier if setup.is_classification else SklearnRegressor
    make = _makers(setup.is_classification)

    def family(name: str) -> Callable[[Mapping[str, Any]], Estimator[Any]]:
        return lambda values: kind(estimator=_with_columns(name, make[name](values), numbers, categories), **common)

    return [Family(name, family(name), space) for name, space in _spaces(setup.is_classification).items()]


def _makers(classification: bool) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    from sklearn import ensemble, linear_model

    if classification:
        return {
            "glm": lambda values: linear_model.LogisticRegression(**{"max_iter": 1000, **values}),
            "forest": lambda values: ensemble.RandomForestClassifier(**{"n_estimators": 200, **values}),
            "boosting": lambda values: ensemble.HistGradientBoostingClassifier(**values),
        }
    return {
        "glm": lambda values: linear_model.Ridge(**values),
        "forest": lambda values: ensemble.RandomForestRegressor(**{"n_estimators": 200, **values}),
        "boosting": lambda values: ensemble.HistGradientBoostingRegressor(**values),
    }


def _with_columns(name: str, learner: Any, numbers: list[str], categories: list[str]) -> Any:
    """Return a learner behind flags of its categories, and scaled numbers; boosted trees take numbers as they are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    flags = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_LEVELS, sparse_output=False)
    filled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    parts = [
        ("categories", flags, categories),
        ("numbers", "passthrough" if name == "boosting" else filled, numbers),
    ]
    return make_pipeline(ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0.0), learner)


def _spaces(classification: bool) -> dict[str, Mapping[str, Any]]:
    strength = {"C": stats.loguniform(1e-3, 100)} if classification else {"alpha": stats.loguniform(1e-2, 1e3)}
    return {
        "glm": strength,
        "forest": {
            "max_features": stats.uniform(0.1, 0.9),
            "min_samples_leaf": stats.randint(1, 10),
            "max_depth": [None, 6, 12],
        },
        "boosting": {
            "learning_rate": stats.loguniform(0.02, 0.3),
            "max_iter": [50, 100, 200, 400],
            "max_leaf_nodes": [4, 8, 15, 31],
            "min_samples_leaf": stats.randint(5, 40),
            "l2_regularization": stats.loguniform(1e-3, 10),
        },
    }
