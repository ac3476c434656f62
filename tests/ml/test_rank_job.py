"""What the user sets is what the ranks do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import functions as F

from sparkwater.conversions.tables.params import EncodingParams
from sparkwater.gpu.job import RankJob
from sparkwater.ml import AutoEncoder, ImageClassifier, ImageRegressor

#: Params that concern the driver, or the rows before the ranks read them.
DRIVERS = {
    "allowPlaintext", "featuresCol", "featuresCols", "idCol", "labelCol", "maxRestarts", "numWorkers", "offsetCol",
    "predictedLabelCol", "predictionCol", "probabilityCol", "quantilesCol", "rawPredictionCol", "startTimeout",
    "trackers", "validationDataFrame",
}  # fmt: skip

#: Others whose way to the ranks a test of their own shows: they read files, or other columns.
ELSEWHERE = {"imageShape", "pretrainedAutoencoder", "warmStart", "weights"}

#: Of all that is left: a value that isn't the default, and what has to be set beside it.
SET: dict[str, tuple[Any, dict[str, Any]]] = {
    "allowSharedGpu": (True, {}),
    "augmentation": ([{"name": "shift", "pixels": 1}], {}),
    "batchSize": (7, {}),
    "beta1": (0.8, {}),
    "beta2": (0.95, {}),
    "calibrate": (True, {"validationIndicatorCol": "odd"}),
    "callbacks": ([print], {}),
    "checkpointDir": ("/nowhere/in/particular", {}),
    "checkpointInterval": (3, {"checkpointDir": "/nowhere/in/particular"}),
    "classWeight": ("balanced", {}),
    "clipNorm": (1.5, {}),
    "clipValue": (1.5, {}),
    "collective": ("torch", {"numWorkers": 2}),
    "compileNetwork": (True, {}),
    "decayEpochs": (3.0, {}),
    "decayFactor": (0.5, {}),
    "device": ("cpu", {}),
    "epochs": (1.5, {}),
    "epsilon": (1e-3, {}),
    "freeze": ("backbone", {}),
    "gradientCompression": ("float16", {}),
    "handleInvalid": ("skip", {}),
    "headLearningRateMultiplier": (2.0, {}),
    "initialization": ("he", {}),
    "inputMean": ([0.4], {"inputStd": [0.2]}),
    "inputStd": ([0.3], {"inputMean": [0.5]}),
    "l1": (0.1, {}),
    "l2": (0.1, {}),
    "labelSmoothing": (0.1, {}),
    "layerRateDecay": (0.5, {}),
    "learningRate": (0.3, {}),
    "learningRateAnnealing": (0.1, {}),
    "learningRateSchedule": ("step", {}),
    "maxMemoryInMB": (5.0, {}),
    "maxNorm": (2.0, {}),
    "maxRuntimeSecs": (9.0, {}),
    "momentum": (0.3, {}),
    "momentumRamp": (100.0, {}),
    "momentumStart": (0.1, {}),
    "nesterov": (True, {}),
    "network": ("convnet", {}),
    "networkArguments": ({"widening": 2}, {}),
    "optimizer": ("adam", {}),
    "ordinal": (True, {}),
    "overwriteWithBestModel": (True, {}),
    "precision": ("bfloat16", {}),
    "rho": (0.99, {}),
    "seed": (7, {}),
    "stallTimeout": (9, {}),
    "stoppingMetric": ("error", {}),
    "stoppingRounds": (2, {}),
    "stoppingTolerance": (0.1, {}),
    "topK": (2, {}),
    "validationFraction": (0.5, {}),
    "validationIndicatorCol": ("odd", {}),
    "virtualAdversarialRadius": (2.0, {}),
    "warmupEpochs": (0.5, {}),
    "weightAveraging": (0.9, {}),
    "weightCol": ("id", {}),
    "weightDecay": (0.2, {}),
    "weightDecaySchedule": ("flatCosine", {}),
}

#: Those that only a regressor has, or that take other values there.
SET_BY_REGRESSORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "distribution": ("laplace", {}),
    "huberDelta": (0.5, {"distribution": "huber"}),
    "huberAlpha": (0.8, {"distribution": "huber"}),
    "quantileAlpha": (0.9, {"distribution": "quantile"}),
    "quantiles": ([0.1, 0.9], {"distribution": "quantile"}),
    "stoppingMetric": ("r2", {}),
    "tweediePower": (1.2, {"distribution": "tweedie"}),
}

#: Params that only a classifier has.
OF_CLASSES = {
    "calibrate", "classWeight", "labelSmoothing", "ordinal", "predictedLabelCol", "probabilityCol",
    "rawPredictionCol", "topK",
}  # fmt: skip

#: One that only a regressor has, of those that concern the driver.
OF_NUMBERS = {"quantilesCol"}

#: Those that only an autoencoder has, or that take other values there.
SET_BY_AUTOENCODERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "activation": ("tanh", {}),
    "anomalyThreshold": (0.9, {}),
    "averageActivation": (0.1, {}),
    "hidden": ([3], {}),
    "inputDropoutRatio": (0.1, {}),
    "network": ("conv_autoencoder", {}),
    "networkArguments": ({"hidden": [3]}, {}),
    "noise": (0.1, {}),
    "optimizer": ("sgd", {}),
    "stoppingMetric": ("mse", {}),
}

#: Columns that only an autoencoder reads and adds, and a penalty: a test of their own shows their way.
RECONSTRUCTED = {"errorsCol", "inputCols", "reconstructionCol", "reconstructionErrorCol", "sparsityBeta"}

#: Treatment of raw columns, which come to the ranks encoded: tests of their own show their way.
ENCODED = {*EncodingParams.encoding_names()}

#: By estimator: what to set.
ESTIMATORS: dict[type[Any], dict[str, tuple[Any, dict[str, Any]]]] = {
    ImageClassifier: SET,
    ImageRegressor: {name: case for name, case in SET.items() if name not in OF_CLASSES} | SET_BY_REGRESSORS,
    AutoEncoder: {name: case for name, case in SET.items() if name not in OF_CLASSES} | SET_BY_AUTOENCODERS,
}


@pytest.fixture(scope="module")
def frame():
    spark = start_session("local[2]")
    # Not as many rows of each class.
    return tensor_frame(spark, 6).withColumn("odd", F.col("id") % 2 == 1).cache()


def _id(value: Any) -> str:
    return value if isinstance(value, str) else value.__name__


def job_of(kind: type[Any], frame, **params: Any) -> RankJob:
    estimator = kind(**params)
    labels = estimator.find_labels([(frame, estimator.row_columns())])
    collective = estimator.choose_collective(frame.sparkSession, estimator.getNumWorkers())
    choice = estimator.check_fit(frame)
    return estimator._rank_job(choice, estimator.task_for(choice, labels), labels.rows, None, collective)


@pytest.fixture(scope="module")
def without(frame) -> Callable[[type[Any], dict[str, Any]], RankJob]:
    """The job of an estimator with some settings alone, found once, and again to see that it is the same."""
    found: dict[str, RankJob] = {}

    def job(kind: type[Any], params: dict[str, Any]) -> RankJob:
        key = f"{kind.__name__} {params}"
        if key not in found:
            found[key] = job_of(kind, frame, **params)
            assert job_of(kind, frame, **params) == found[key]
        return found[key]

    return job


def test_each_param_is_in_one_of_the_lists() -> None:
    names = sorted(param.name for param in ImageClassifier().params)
    assert sorted([*DRIVERS - OF_NUMBERS, *ELSEWHERE, *SET]) == names
    others = sorted(param.name for param in ImageRegressor().params)
    assert sorted([*DRIVERS - OF_CLASSES, *ELSEWHERE, *ESTIMATORS[ImageRegressor]]) == others
    unlabelled = sorted(param.name for param in AutoEncoder().params)
    drivers = (DRIVERS - OF_CLASSES - OF_NUMBERS - {"labelCol"}) | RECONSTRUCTED | ENCODED
    assert sorted([*drivers, *ELSEWHERE, *ESTIMATORS[AutoEncoder]]) == unlabelled


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, cases in ESTIMATORS.items() for name in cases], ids=_id
)
def test_a_param_reaches_the_ranks(frame, without, kind: type[Any], name: str) -> None:
    value, others = ESTIMATORS[kind][name]
    assert job_of(kind, frame, **{name: value}, **others) != without(kind, _beside(name, others))


def _beside(name: str, others: dict[str, Any]) -> dict[str, Any]:
    """Return the other settings with the Param as it would be: a mean needs a deviation, and the other way."""
    return {**others, **{"inputMean": {"inputMean": [0.5]}, "inputStd": {"inputStd": [0.2]}}.get(name, {})}
