"""Families of networks: for raw columns of tables, and for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scipy import stats

from sparkwater.ml import DeepLearningClassifier, DeepLearningRegressor, ImageClassifier, ImageRegressor
from sparkwater.stacking.automl.families import Family, Setup, with_params

_TABLES: Mapping[str, Mapping[str, Any]] = {
    "mlp": {
        "hidden": [[64, 64], [128, 128], [256, 256], [128, 128, 128]],
        "learningRate": stats.loguniform(3e-4, 1e-2),
        "weightDecay": stats.loguniform(1e-4, 0.1),
    },
    "realmlp": {
        "hidden": [[256, 256, 256], [128, 128, 128], [384, 384]],
        "learningRate": stats.loguniform(0.02, 0.3),
        "weightDecay": [0.0, 0.02, 0.05],
    },
    "tabm": {
        "hidden": [[128, 128], [256, 256], [512, 512]],
        "learningRate": stats.loguniform(5e-4, 5e-3),
        "weightDecay": [0.0, 3e-4, 1e-2],
    },
}
_PICTURES: Mapping[str, Any] = {"learningRate": stats.loguniform(3e-4, 1e-2), "batchSize": [32, 64, 128]}


def table_networks(setup: Setup) -> list[Family]:
    """Return the recipes of networks for tables, on raw columns."""
    kind = DeepLearningClassifier if setup.is_classification else DeepLearningRegressor
    common = _common(setup, inputCols=list(setup.inputs.columns))
    return [Family(name, with_params(kind(recipe=name, **common)), space) for name, space in _TABLES.items()]


def picture_networks(setup: Setup) -> list[Family]:
    """Return networks for a column of pictures."""
    kind = ImageClassifier if setup.is_classification else ImageRegressor
    shape = {} if setup.imageShape is None else {"imageShape": setup.imageShape}
    common = _common(setup, featuresCol=setup.inputs.picture, **shape)
    return [Family(name, with_params(kind(network=name, **common)), _PICTURES) for name in ("lenet", "convnet")]


def _common(setup: Setup, **others: Any) -> dict[str, Any]:
    return {"labelCol": setup.labelCol, "seed": setup.seed, "numWorkers": setup.numWorkers, **others}
