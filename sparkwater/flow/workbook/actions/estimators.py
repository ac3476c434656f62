"""Estimators that a flow may name, and the Params that it may not set."""

from __future__ import annotations

from collections.abc import Mapping

#: Kinds of estimators, in the order of a page, with the estimators and the packages that have them.
KINDS: Mapping[str, Mapping[str, str]] = {
    "Networks for pictures": {
        "ImageClassifier": "sparkwater.ml",
        "ImageRegressor": "sparkwater.ml",
    },
    "Networks for tables": {
        "DeepLearningClassifier": "sparkwater.ml",
        "DeepLearningRegressor": "sparkwater.ml",
    },
    "Without labels": {"AutoEncoder": "sparkwater.ml"},
    "Spark's own, on vectors": {
        "LogisticRegression": "pyspark.ml.classification",
        "RandomForestClassifier": "pyspark.ml.classification",
        "GBTClassifier": "pyspark.ml.classification",
        "LinearRegression": "pyspark.ml.regression",
        "RandomForestRegressor": "pyspark.ml.regression",
        "GBTRegressor": "pyspark.ml.regression",
    },
    "Several together": {
        "StackedEnsemble": "sparkwater.stacking",
        "AutoML": "sparkwater.stacking",
        "GridSearch": "sparkwater.stacking",
        "RandomSearch": "sparkwater.stacking",
        "OptunaSearch": "sparkwater.stacking",
    },
}

#: The package of each estimator.
PACKAGES: Mapping[str, str] = {name: package for kind in KINDS.values() for name, package in kind.items()}

#: Params that a flow never sets, and the reason: they name code, files or places.
LEFT_OUT: Mapping[str, str] = {
    "callbacks": "functions, which are code",
    "trackers": "places outside of the folders",
    "weights": "a file, which may lie anywhere",
    "checkpointDir": "a folder, which may lie anywhere",
}

#: Params whose values are variables of the flow: a frame, a fitted model, an estimator, or several by name.
FRAME, MODEL, ESTIMATOR, ESTIMATORS = "frame", "model", "estimator", "estimators"
VARIABLES: Mapping[str, str] = {
    "validationDataFrame": FRAME,
    "warmStart": MODEL,
    "pretrainedAutoencoder": MODEL,
    "learners": ESTIMATORS,
    "secondLevelLearners": ESTIMATORS,
    "estimator": ESTIMATOR,
}

#: A Param whose value holds lists of values of other Params.
SPACE = "space"

#: Params that are names of registered things, or code: only the names are taken.
NAMES = ("network", "metaLearner")
