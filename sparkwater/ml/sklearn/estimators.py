"""Estimators of scikit-learn and of libraries that follow it: checks, seeds, weights. Free of pyspark."""

from __future__ import annotations

import inspect
from typing import Any

from sparkwater.errors import ConfigurationError

CLASSIFICATION, REGRESSION = "classification", "regression"


def checked_estimator(value: Any, kind: str) -> Any:
    """Return an estimator that can learn a kind of label, or refuse it.

    Parameters
    ----------
    value : object
        The estimator.
    kind : {"classification", "regression"}
        Classification needs ``predict_proba``.

    Raises
    ------
    ConfigurationError
        With what it lacks.
    """
    name = type(value).__name__
    if isinstance(value, type):
        raise ConfigurationError(
            f"estimator={value.__name__} is a class; accepted: an instance, such as {value.__name__}()"
        )
    lacks = [method for method in ("fit", "predict", "get_params", "set_params") if not hasattr(value, method)]
    if lacks:
        raise ConfigurationError(
            f"estimator={value!r} is no scikit-learn estimator: it has no {lacks[0]}(); accepted: estimators of "
            "scikit-learn and of libraries that follow it, such as RandomForestClassifier()"
        )
    gives_probabilities = hasattr(value, "predict_proba")
    if kind == CLASSIFICATION and not gives_probabilities:
        raise ConfigurationError(
            f"estimator={name} has no predict_proba(); accepted: classifiers with probabilities, which "
            "CalibratedClassifierCV gives to others; regressors go into SklearnRegressor"
        )
    if kind == REGRESSION and gives_probabilities:
        raise ConfigurationError(f"estimator={name} is a classifier; put it into SklearnClassifier")
    return value


def seeded(estimator: Any, seed: int) -> Any:
    """Return an unfitted copy of an estimator with a seed in each ``random_state`` that is None, nested ones too."""
    from sklearn.base import clone

    copied = clone(estimator)
    unset = {
        name: seed
        for name, value in copied.get_params(deep=True).items()
        if value is None and name.rpartition("__")[2] == "random_state"
    }
    return copied.set_params(**unset)


def weight_argument(estimator: Any) -> str:
    """Return the argument of ``fit`` that takes the rows' weights.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    from sklearn.pipeline import Pipeline

    last, prefix = estimator, ""
    while isinstance(last, Pipeline) and last.steps:
        name, last = last.steps[-1]
        prefix += f"{name}__"
    if "sample_weight" not in inspect.signature(getattr(last, "fit", len)).parameters:
        raise ConfigurationError(
            f"weightCol is set, and {type(last).__name__}.fit takes no sample_weight; unset it, or take an estimator "
            "that learns from weighted rows"
        )
    return f"{prefix}sample_weight"
