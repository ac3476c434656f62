"""Params shared by the learners: columns, training, workers."""

from __future__ import annotations

from pyspark.ml.param import Param, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
)

from sparkwater.conversions.stages.params import HasHandleInvalid, HasIdCol, HasImageShape
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.config import TrainConfig
from sparkwater.ml.columns.labels import LabelColumn
from sparkwater.ml.params.checkpoint import CheckpointParams
from sparkwater.ml.params.compute import ComputeParams
from sparkwater.ml.params.declaring import CheckedParams, at_least, declare, in_range, refuse_unless
from sparkwater.ml.params.network import HasNetwork
from sparkwater.ml.params.observing import ObservingParams
from sparkwater.ml.params.recipe import RecipeParams
from sparkwater.ml.params.row_roles import RowParams
from sparkwater.ml.params.stopping import StoppingParams


class ScoringParams(HasFeaturesCol, HasHandleInvalid, HasIdCol):
    """Params of stages that score rows by a network."""

    featuresCols: Param[list[str]] = declare(
        "featuresCols",
        "several features columns, in the order of the arguments of the network's forward; in place of featuresCol",
        TypeConverters.toListString,
    )

    def getFeaturesCols(self) -> list[str]:
        """Return the features columns: ``featuresCols``, or the one of ``featuresCol`` where it isn't set."""
        several: list[str] = self.getOrDefault(self.featuresCols) if self.isDefined(self.featuresCols) else []
        return several or [self.getFeaturesCol()]


class PredictorParams(
    ScoringParams,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasImageShape,
    HasNetwork,
    CheckedParams,
):
    """Params that an estimator and its model share."""

    predictedLabelCol: Param[str] = declare(
        "predictedLabelCol", "column for the predicted label where labels are strings", TypeConverters.toString
    )

    def getPredictedLabelCol(self) -> str:
        """Return the value of ``predictedLabelCol``."""
        return self.getOrDefault(self.predictedLabelCol)

    def check_output_columns(self) -> None:
        """Refuse two columns of the same name; an empty one leaves a column out.

        Raises
        ------
        ConfigurationError
            With both Params.
        """
        taken: dict[str, str] = {}
        for param in ("predictionCol", "probabilityCol", "rawPredictionCol", "predictedLabelCol"):
            name = self.getOrDefault(param)
            if name and name in taken:
                raise ConfigurationError(f"{param}={name!r}, as {taken[name]} is; accepted: a name of its own, or ''")
            taken[name] = param


class TrainingParams(
    RecipeParams, RowParams, StoppingParams, CheckpointParams, ComputeParams, ObservingParams, HasSeed
):
    """Params of a training."""

    epochs: Param[float] = declare(
        "epochs",
        "passes over the rows (>= 0); the last may be a fraction of one, and 0 gives the network as it begins",
        TypeConverters.toFloat,
    )
    batchSize: Param[int] = declare(
        "batchSize",
        "rows of a global batch, all workers together (>= 1); what is learned doesn't depend on the number of workers",
        TypeConverters.toInt,
    )
    numWorkers: Param[int] = declare(
        "numWorkers", "ranks, each one Spark task; all run at the same time (>= 1)", TypeConverters.toInt
    )
    startTimeout: Param[int] = declare(
        "startTimeout", "seconds to wait until the cluster has numWorkers slots (>= 1)", TypeConverters.toInt
    )
    stallTimeout: Param[int] = declare(
        "stallTimeout", "seconds that one worker may keep the others waiting in training (>= 1)", TypeConverters.toInt
    )
    maxMemoryInMB: Param[float] = declare(
        "maxMemoryInMB",
        "MiB of tensors that a worker holds in memory (>= 0); more go to a mapped file on the executor's local disk; "
        "0 for half of the memory that is free, shared by the workers of a host",
        TypeConverters.toFloat,
    )
    allowSharedGpu: Param[bool] = declare(
        "allowSharedGpu",
        "let several workers of a host compute on the same GPU, which makes each of them slower",
        TypeConverters.toBoolean,
    )
    allowPlaintext: Param[bool] = declare(
        "allowPlaintext",
        "let workers exchange gradients in plain text although Spark's own traffic is authenticated or encrypted",
        TypeConverters.toBoolean,
    )

    def getEpochs(self) -> float:
        """Return the value of ``epochs``."""
        return self.getOrDefault(self.epochs)

    def getBatchSize(self) -> int:
        """Return the value of ``batchSize``."""
        return self.getOrDefault(self.batchSize)

    def getNumWorkers(self) -> int:
        """Return the value of ``numWorkers``."""
        return self.getOrDefault(self.numWorkers)

    def getStartTimeout(self) -> int:
        """Return the value of ``startTimeout``."""
        return self.getOrDefault(self.startTimeout)

    def getStallTimeout(self) -> int:
        """Return the value of ``stallTimeout``."""
        return self.getOrDefault(self.stallTimeout)

    def getMaxMemoryInMB(self) -> float:
        """Return the value of ``maxMemoryInMB``."""
        return self.getOrDefault(self.maxMemoryInMB)

    def getAllowSharedGpu(self) -> bool:
        """Return the value of ``allowSharedGpu``."""
        return self.getOrDefault(self.allowSharedGpu)

    def getAllowPlaintext(self) -> bool:
        """Return the value of ``allowPlaintext``."""
        return self.getOrDefault(self.allowPlaintext)

    def train_config(self, labels: LabelColumn) -> TrainConfig:
        """Return the hyperparameters as the ranks take them.

        Raises
        ------
        ConfigurationError
            If they don't fit the labels.
        """
        self.check_stopping_metric(len(labels.classes))
        columns = self.row_columns()
        return TrainConfig(
            epochs=self.getEpochs(),
            batch_size=self.getBatchSize(),
            seed=self.getSeed(),
            weighted=columns.weight is not None,
            class_weights=self.class_weights(labels),
            validation=columns.held_out is not None,
            **self.recipe(),
            **self.computing(),
            **self.stopping(validation=columns.held_out is not None),
        )

    def check_training_params(self) -> None:
        """Refuse values out of range.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        refuse_unless(self, "epochs", at_least(0), "numbers from 0 up")
        refuse_unless(self, "seed", in_range(-(2**63), 2**63), "integers of 64 bits")
        for name in ("batchSize", "numWorkers", "startTimeout", "stallTimeout"):
            refuse_unless(self, name, at_least(1), "integers from 1 up")
        refuse_unless(self, "maxMemoryInMB", at_least(0), "numbers from 0 up")
        self.check_compute_params()
        self.check_recipe()
        self.check_row_params()
        self.check_stopping_params()
        self.check_checkpoint_params()
        self.check_observing_params()
