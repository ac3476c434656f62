"""Families of Spark's own learners: vectors of encoded columns, for tables of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.ml import Estimator, Pipeline
from pyspark.ml.classification import GBTClassifier, LogisticRegression, RandomForestClassifier
from pyspark.ml.regression import GBTRegressor, LinearRegression, RandomForestRegressor
from scipy import stats

from sparkwater.conversions import TableToTensor, TensorToVector
from sparkwater.stacking.automl.families import Family, Setup, with_params

#: Categories of a column that become flags; the others are rare.
_FLAGS = 100

_TENSOR, _VECTOR = "__sparkwater_encoded", "__sparkwater_vector"


def spark_families(setup: Setup) -> list[Family]:
    """Return regression, forest and boosted trees, each behind an encoder that is fitted on the same rows."""
    common: dict[str, Any] = {"labelCol": setup.labelCol, "featuresCol": _VECTOR}
    weak = 1.0 / setup.label.rows
    trees: dict[str, Any] = {"numTrees": 50, "maxDepth": 10, "seed": setup.seed, **common}
    boosting: dict[str, Any] = {"maxDepth": 4, "maxIter": 40, "seed": setup.seed, **common}
    learners: dict[str, Estimator[Any]] = {
        "glm": LogisticRegression(regParam=weak, **common),
        "forest": RandomForestClassifier(**trees),
    }
    if not setup.is_classification:
        learners = {
            "glm": LinearRegression(regParam=weak, **common),
            "forest": RandomForestRegressor(**trees),
            "boosting": GBTRegressor(**boosting),
        }
    elif setup.label.distinct == 2:  # Spark's boosted trees are for two classes
        learners["boosting"] = GBTClassifier(**boosting)
    spaces = _spaces(weak)
    return [Family(name, with_params(_encoded(setup, one)), spaces[name]) for name, one in learners.items()]


def _encoded(setup: Setup, learner: Estimator[Any]) -> Pipeline:
    encoder = TableToTensor(
        inputCols=list(setup.inputs.columns), outputCol=_TENSOR, oneHotLevels=_FLAGS, maxLevels=_FLAGS
    )
    return Pipeline(stages=[encoder, TensorToVector(inputCol=_TENSOR, outputCol=_VECTOR), learner])


def _spaces(weak: float) -> dict[str, Mapping[str, Any]]:
    return {
        "glm": {"regParam": stats.loguniform(weak / 10, 1.0), "elasticNetParam": [0.0, 0.5, 1.0]},
        "forest": {
            "maxDepth": stats.randint(5, 15),
            "minInstancesPerNode": stats.randint(1, 10),
            "featureSubsetStrategy": ["auto", "0.3", "0.6", "all"],
        },
        "boosting": {
            "maxDepth": stats.randint(2, 7),
            "stepSize": stats.loguniform(0.03, 0.3),
            "maxIter": [20, 40, 80],
            "subsamplingRate": stats.uniform(0.5, 0.5),
        },
    }
