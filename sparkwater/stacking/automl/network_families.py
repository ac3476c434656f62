"""Families of networks: for raw columns of tables, and for pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.regression import LinearRegression
from pyspark.sql import functions as F
from scipy import stats

from sparkwater.conversions import TensorToImage
from sparkwater.conversions.stages.columns import tensor_spec
from sparkwater.ml import DeepLearningClassifier, DeepLearningRegressor, ImageClassifier, ImageRegressor
from sparkwater.stacking.automl.families import Family, Setup, with_params
from sparkwater.stacking.automl.pretrained import PRETRAINED, PretrainedNetwork, find_pretrained, has_pixels

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_IMAGE, _DEEP, _NO_LABEL = "__sparkwater_image", "__sparkwater_deep", "__sparkwater_no_label"

#: Height and width that pictures are scaled to for a pre-trained network, at least and at most.
_SMALLEST, _LARGEST = 64, 224

#: Times the weakest penalty, one divided by the rows: features by the hundred are learned from few rows.
_PENALTY = 10

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


def pretrained_families(setup: Setup, frame: DataFrame) -> list[Family]:
    """Return the family of deep features with a regression on top; none where no network suits the pictures."""
    found = find_pretrained()
    picture = str(setup.inputs.picture)
    if found is None or not has_pixels(frame.schema[picture]):
        return []
    deep = cache(lambda: _deep_features(setup, frame, found))  # at the first use: an excluded family costs no job
    weak = 1.0 / setup.label.rows
    kind = LogisticRegression if setup.is_classification else LinearRegression

    def make(values: Mapping[str, Any]) -> Estimator[Any]:
        given = {"layer": found.layers[0], "regParam": min(0.1, _PENALTY * weak), **values}
        layer = given.pop("layer")
        first, features = deep()
        return Pipeline(stages=[*first, features(layer), kind(featuresCol=_DEEP, labelCol=setup.labelCol, **given)])

    return [Family(PRETRAINED, make, {"layer": list(found.layers), "regParam": stats.loguniform(weak, 1.0)})]


def _deep_features(
    setup: Setup, frame: DataFrame, network: PretrainedNetwork
) -> tuple[list[Transformer], Callable[[str], Transformer]]:
    """Return stages that make pictures of tensors, and a function of a layer that gives the stage of its features.

    The network is made ready on one picture without its label, and learns nothing: the stages are as they would be on
    any other rows.
    """
    picture = str(setup.inputs.picture)
    spec = tensor_spec(frame.schema[picture])
    first: list[Transformer] = [] if spec is None else [TensorToImage(inputCol=picture, outputCol=_IMAGE)]
    rows = frame.select(f"`{picture}`", F.lit(0.0).alias(_NO_LABEL)).limit(1)
    for stage in first:
        rows = stage.transform(rows)
    shape = tuple(setup.imageShape or ()) if spec is None else spec.shape[1:]
    side = min(_LARGEST, max(_SMALLEST, *shape[:2]))
    column = _IMAGE if first else picture
    ready = ImageRegressor(
        featuresCol=column,
        labelCol=_NO_LABEL,
        imageShape=[side, side, 3],
        network=network.path,
        networkArguments=dict(network.arguments),
        weights=network.weights(),
        inputMean=[network.mean] * 3,
        inputStd=[network.deviation] * 3,
        epochs=0,
    ).fit(rows)
    return first, lambda layer: ready.deepFeatures(layer, pooling="average", outputCol=_DEEP, featuresCol=column)


def _common(setup: Setup, **others: Any) -> dict[str, Any]:
    return {"labelCol": setup.labelCol, "seed": setup.seed, "numWorkers": setup.numWorkers, **others}
