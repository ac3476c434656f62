"""Params of the learners."""

from __future__ import annotations

from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
)

from sparkwater.conversions.params import HasHandleInvalid, HasIdCol, HasImageShape
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collectives import COLLECTIVES
from sparkwater.gpu.config import OPTIMIZERS, SCHEDULES, TrainConfig
from sparkwater.gpu.device import DEVICES


def _param(name: str, doc: str, converter: Any) -> Param[Any]:
    return Param(Params._dummy(), name, doc, typeConverter=converter)


class PredictorParams(
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasHandleInvalid,
    HasIdCol,
    HasImageShape,
):
    """Params that an estimator and its model share."""

    predictedLabelCol: Param[str] = _param(
        "predictedLabelCol", "column for the predicted label where labels are strings", TypeConverters.toString
    )
    network: Param[str] = _param("network", "name of a registered network, such as 'lenet'", TypeConverters.toString)

    def getPredictedLabelCol(self) -> str:
        """Return the value of ``predictedLabelCol``."""
        return self.getOrDefault(self.predictedLabelCol)

    def getNetwork(self) -> str:
        """Return the value of ``network``."""
        return self.getOrDefault(self.network)


class TrainingParams(HasSeed):
    """Params of a training."""

    epochs: Param[int] = _param("epochs", "passes over the rows (>= 1)", TypeConverters.toInt)
    batchSize: Param[int] = _param(
        "batchSize",
        "rows of a global batch, all workers together (>= 1); what is learned doesn't depend on the number of workers",
        TypeConverters.toInt,
    )
    optimizer: Param[str] = _param("optimizer", f"one of {', '.join(OPTIMIZERS)}", TypeConverters.toString)
    learningRate: Param[float] = _param(
        "learningRate", "step size (> 0); never scaled by the number of workers", TypeConverters.toFloat
    )
    learningRateSchedule: Param[str] = _param(
        "learningRateSchedule",
        f"one of {', '.join(SCHEDULES)}; cosine falls to 0 over the training",
        TypeConverters.toString,
    )
    momentum: Param[float] = _param("momentum", "momentum of sgd (in [0, 1))", TypeConverters.toFloat)
    weightDecay: Param[float] = _param(
        "weightDecay", "weight decay, as torch's optimizers (>= 0)", TypeConverters.toFloat
    )
    numWorkers: Param[int] = _param(
        "numWorkers", "ranks, each one Spark task; all run at the same time (>= 1)", TypeConverters.toInt
    )
    device: Param[str] = _param("device", f"one of {', '.join(DEVICES)}", TypeConverters.toString)
    collective: Param[str] = _param(
        "collective",
        f"what adds up gradients: one of {', '.join(COLLECTIVES)}; a single worker needs none",
        TypeConverters.toString,
    )
    startTimeout: Param[int] = _param(
        "startTimeout", "seconds to wait until the cluster has numWorkers slots (>= 1)", TypeConverters.toInt
    )
    stallTimeout: Param[int] = _param(
        "stallTimeout", "seconds that one worker may keep the others waiting in training (>= 1)", TypeConverters.toInt
    )
    maxMemoryInMB: Param[float] = _param(
        "maxMemoryInMB",
        "MiB of tensors that a worker holds in memory (>= 0); more go to a mapped file on the executor's local disk; "
        "0 for half of the memory that is free, shared by the workers of a host",
        TypeConverters.toFloat,
    )
    allowPlaintext: Param[bool] = _param(
        "allowPlaintext",
        "let workers exchange gradients in plain text although Spark's own traffic is authenticated or encrypted",
        TypeConverters.toBoolean,
    )

    def getEpochs(self) -> int:
        """Return the value of ``epochs``."""
        return self.getOrDefault(self.epochs)

    def getBatchSize(self) -> int:
        """Return the value of ``batchSize``."""
        return self.getOrDefault(self.batchSize)

    def getOptimizer(self) -> str:
        """Return the value of ``optimizer``."""
        return self.getOrDefault(self.optimizer)

    def getLearningRate(self) -> float:
        """Return the value of ``learningRate``."""
        return self.getOrDefault(self.learningRate)

    def getLearningRateSchedule(self) -> str:
        """Return the value of ``learningRateSchedule``."""
        return self.getOrDefault(self.learningRateSchedule)

    def getMomentum(self) -> float:
        """Return the value of ``momentum``."""
        return self.getOrDefault(self.momentum)

    def getWeightDecay(self) -> float:
        """Return the value of ``weightDecay``."""
        return self.getOrDefault(self.weightDecay)

    def getNumWorkers(self) -> int:
        """Return the value of ``numWorkers``."""
        return self.getOrDefault(self.numWorkers)

    def getDevice(self) -> str:
        """Return the value of ``device``."""
        return self.getOrDefault(self.device)

    def getCollective(self) -> str:
        """Return the value of ``collective``."""
        return self.getOrDefault(self.collective)

    def getStartTimeout(self) -> int:
        """Return the value of ``startTimeout``."""
        return self.getOrDefault(self.startTimeout)

    def getStallTimeout(self) -> int:
        """Return the value of ``stallTimeout``."""
        return self.getOrDefault(self.stallTimeout)

    def getMaxMemoryInMB(self) -> float:
        """Return the value of ``maxMemoryInMB``."""
        return self.getOrDefault(self.maxMemoryInMB)

    def getAllowPlaintext(self) -> bool:
        """Return the value of ``allowPlaintext``."""
        return self.getOrDefault(self.allowPlaintext)

    def train_config(self) -> TrainConfig:
        """Return the hyperparameters as the ranks take them."""
        return TrainConfig(
            epochs=self.getEpochs(),
            batch_size=self.getBatchSize(),
            optimizer=self.getOptimizer(),
            learning_rate=self.getLearningRate(),
            momentum=self.getMomentum(),
            weight_decay=self.getWeightDecay(),
            schedule=self.getLearningRateSchedule(),
            seed=self.getSeed(),
        )

    def check_training_params(self) -> None:
        """Refuse values out of range.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        for name in ("epochs", "batchSize", "numWorkers", "startTimeout", "stallTimeout"):
            self._refuse_unless(name, lambda value: value >= 1, "integers from 1 up")
        self._refuse_unless("learningRate", lambda value: 0 < value < float("inf"), "numbers above 0")
        self._refuse_unless("momentum", lambda value: 0 <= value < 1, "numbers from 0 up to, not including, 1")
        self._refuse_unless("weightDecay", lambda value: 0 <= value < float("inf"), "numbers from 0 up")
        self._refuse_unless("maxMemoryInMB", lambda value: 0 <= value < float("inf"), "numbers from 0 up")
        for name, accepted in (
            ("optimizer", OPTIMIZERS),
            ("learningRateSchedule", SCHEDULES),
            ("device", DEVICES),
            ("collective", COLLECTIVES),
        ):
            self._refuse_unless(name, accepted.__contains__, ", ".join(accepted))

    def _refuse_unless(self, name: str, accepts: Any, accepted: str) -> None:
        value = self.getOrDefault(name)
        if not accepts(value):
            raise ConfigurationError(f"{name}={value!r}; accepted: {accepted}")
