"""What the user sets is what the ranks do."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import functions as F

from sparkwater.gpu.job import RankJob
from sparkwater.ml import ImageClassifier

#: Params that concern the driver, or the rows before the ranks read them.
DRIVERS = {
    "allowPlaintext", "featuresCol", "featuresCols", "idCol", "labelCol", "maxRestarts", "numWorkers",
    "predictedLabelCol", "predictionCol", "probabilityCol", "rawPredictionCol", "startTimeout", "trackers",
    "validationDataFrame",
}  # fmt: skip

#: Others whose way to the ranks a test of their own shows: they read files, or other columns.
ELSEWHERE = {"imageShape", "warmStart", "weights"}

#: Of all that is left: a value that isn't the default, and what has to be set beside it.
SET: dict[str, tuple[Any, dict[str, Any]]] = {
    "allowSharedGpu": (True, {}),
    "augmentation": ([{"name": "shift", "pixels": 1}], {}),
    "batchSize": (7, {}),
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
    "freeze": ("backbone", {}),
    "gradientCompression": ("float16", {}),
    "handleInvalid": ("skip", {}),
    "headLearningRateMultiplier": (2.0, {}),
    "initialization": ("he", {}),
    "inputMean": ([0.4], {"inputStd": [0.2]}),
    "inputStd": ([0.3], {"inputMean": [0.5]}),
    "l1": (0.1, {}),
    "labelSmoothing": (0.1, {}),
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
    "overwriteWithBestModel": (True, {}),
    "precision": ("bfloat16", {}),
    "seed": (7, {}),
    "stallTimeout": (9, {}),
    "stoppingMetric": ("error", {}),
    "stoppingRounds": (2, {}),
    "stoppingTolerance": (0.1, {}),
    "topK": (2, {}),
    "validationIndicatorCol": ("odd", {}),
    "warmupEpochs": (0.5, {}),
    "weightCol": ("id", {}),
    "weightDecay": (0.2, {}),
}


@pytest.fixture(scope="module")
def frame():
    spark = start_session("local[2]")
    # Not as many rows of each class.
    return tensor_frame(spark, 6).withColumn("odd", F.col("id") % 2 == 1).cache()


def job_of(frame, **params: Any) -> RankJob:
    estimator = ImageClassifier(**params)
    labels = estimator.find_labels([(frame, estimator.row_columns())])
    collective = estimator.choose_collective(frame.sparkSession, estimator.getNumWorkers())
    return estimator._rank_job(estimator._refuse(frame), estimator.make_task(labels), labels.rows, None, collective)


def test_each_param_is_in_one_of_the_lists() -> None:
    names = sorted(param.name for param in ImageClassifier().params)
    assert sorted([*DRIVERS, *ELSEWHERE, *SET]) == names


@pytest.mark.parametrize("name", SET)
def test_a_param_reaches_the_ranks(frame, name: str) -> None:
    value, others = SET[name]
    assert job_of(frame, **_beside(name, others)) == job_of(frame, **_beside(name, others))
    assert job_of(frame, **{name: value}, **others) != job_of(frame, **_beside(name, others))


def _beside(name: str, others: dict[str, Any]) -> dict[str, Any]:
    """Return the other settings with the Param as it would be: a mean needs a deviation, and the other way."""
    return {**others, **{"inputMean": {"inputMean": [0.5]}, "inputStd": {"inputStd": [0.2]}}.get(name, {})}
