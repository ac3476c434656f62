"""Params of the learners, whatever they learn."""

from __future__ import annotations

from sparkwater.conversions.stages.accepts import Accepts, at_least
from sparkwater.conversions.stages.params import HasHandleInvalid, HasIdCol
from sparkwater.conversions.stages.settings import Setting, fields_of, setting
from sparkwater.conversions.stages.spark_params import HasFeaturesCol, HasLabelCol, HasPredictionCol, HasSeed
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.rows.augmentation import Step
from sparkwater.ml.params.checkpoint import CheckpointParams
from sparkwater.ml.params.compute import ComputeParams
from sparkwater.ml.params.network import HasNetwork
from sparkwater.ml.params.observing import ObservingParams
from sparkwater.ml.params.recipe import RecipeParams
from sparkwater.ml.params.row_roles import HasOffsetCol, RowParams
from sparkwater.ml.params.stopping import StoppingParams


class ScoringParams(HasHandleInvalid, HasIdCol):
    """Params of stages that score rows by a network."""

    handleInvalid: Setting[str] = setting(
        "error",
        "treatment of rows that can't be used (null, corrupt, wrong length, NaN): 'error' names the first, "
        "'skip' drops them, 'keep' gives them nulls. A fit skips and counts them under 'skip' and 'keep'",
        accepts=HasHandleInvalid.declared("handleInvalid").accepts,
    )


class FeaturesParams(HasFeaturesCol):
    """Params of features columns: one, or several for a network of several inputs."""

    featuresCol: Setting[str] = setting(
        "features",
        "a tensor column (channels first); pictures as URIs, encoded bytes or image structs, which are decoded and "
        "resized; or vectors and arrays of numbers with imageShape. Tensors that are no pictures are for networks that "
        "take them, such as mlp",
    )
    featuresCols: Setting[list[str] | None] = setting(
        None,
        "several features columns, in the order of the arguments of the network's forward; in place of featuresCol. "
        "The shape that the network's factory gets is then the tuple of their shapes. Vectors need a known size, as "
        "VectorAssembler gives them, or VectorToTensor",
    )

    def getFeaturesCols(self) -> list[str]:
        """Return the features columns: ``featuresCols``, or the one of ``featuresCol`` where it isn't set."""
        several = self.getOrDefault(self.featuresCols) if self.isDefined(self.featuresCols) else None
        return several or [self.getFeaturesCol()]


class NetworkColumns(ScoringParams, HasPredictionCol, HasNetwork, HasOffsetCol):
    """Params that an estimator and its model share."""


class PredictorParams(NetworkColumns, HasLabelCol):
    """Params that an estimator of labels and its model share."""

    labelCol: Setting[str] = setting("label", "label column: strings, booleans, or the numbers 0, 1, 2 and so on")


class TrainingParams(
    RowParams, RecipeParams, StoppingParams, ComputeParams, CheckpointParams, ObservingParams, HasSeed
):
    """Params of a training."""

    epochs: Setting[float] = setting(
        10.0,
        "passes over the rows; the last may be a fraction of one, and 0 gives the network as it begins",
        accepts=at_least(0),
        field="epochs",
    )
    batchSize: Setting[int] = setting(
        128,
        "rows of a global batch, all workers together; what is learned doesn't depend on the number of workers",
        accepts=at_least(1),
        field="batch_size",
    )
    seed: Setting[int] = setting(
        42,
        "seed of initial weights, order of rows, and all else that is random",
        accepts=Accepts(lambda value: -(2**63) <= value < 2**63, "integers of 64 bits"),
        field="seed",
    )
    numWorkers: Setting[int] = setting(
        1,
        "ranks, each one Spark task; all run at the same time. A single one needs no Horovod",
        accepts=at_least(1),
    )
    startTimeout: Setting[int] = setting(
        60,
        "seconds to wait until the cluster has numWorkers slots, for executors that are still starting",
        accepts=at_least(1),
    )
    stallTimeout: Setting[int] = setting(
        120, "seconds that one worker may keep the others waiting in training", accepts=at_least(1)
    )
    maxMemoryInMB: Setting[float] = setting(
        0.0,
        "MiB of tensors that a worker holds in memory; more go to a mapped file on the executor's local disk, which is "
        "gone after the fit; 0 for half of the memory that is free, shared by the workers of a host",
        accepts=at_least(0),
    )
    allowSharedGpu: Setting[bool] = setting(
        False,
        "let several workers of a host compute on the same GPU, which makes each of them slower. Without it they are "
        "refused, by the GPU's UUID. For a collective over Gloo: NCCL can't",
    )
    allowPlaintext: Setting[bool] = setting(
        False,
        "let workers exchange gradients in plain text although Spark's own traffic is authenticated or encrypted. "
        "collective='memory' exchanges nothing over a network",
    )

    def train_config(self) -> TrainConfig:
        """Return the hyperparameters as the ranks take them."""
        columns = self.row_columns()
        validation = columns.held_out is not None
        return TrainConfig(
            **fields_of(self, TrainConfig),
            augmentation=self.augmentation_steps(),
            weighted=columns.weight is not None,
            validation=validation,
            keep_best=self.keeps_best(validation),
        )

    def augmentation_steps(self) -> tuple[Step, ...]:
        """Return the steps of augmentation: none, where rows are no pictures."""
        return ()

    def check_training_params(self) -> None:
        """Refuse values out of range.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        self.check_settings()
        self.check_row_params()
        self.check_checkpoint_params()
        self.check_observing_params()
