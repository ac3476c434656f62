"""``AutoEncoder``: rows without labels, learned inside Spark, to find those that are unlike the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sparkwater.conversions.tensors.spec import PackedSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import find_network
from sparkwater.gpu.networks.building import build_to_try
from sparkwater.gpu.rows.scaling import is_scaled
from sparkwater.gpu.tasks import ReconstructionTask
from sparkwater.gpu.training.loss_quantile import LOSS_QUANTILE
from sparkwater.gpu.training.sparsity import bounded_layers
from sparkwater.ml.autoencoder_model import AutoEncoderModel
from sparkwater.ml.columns.unlabelled import RowCount, count_rows
from sparkwater.ml.network_learner import RowLearner
from sparkwater.ml.params.autoencoder import AutoEncoderParams, ReconstructionColumns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from sparkwater.conversions.tensors.spec import TensorSpec
    from sparkwater.gpu.inspection.describe import NetworkDescription
    from sparkwater.gpu.job import RankJob
    from sparkwater.gpu.rows.streamed import Store
    from sparkwater.gpu.tasks import Task
    from sparkwater.ml.columns.labels import LabelColumn
    from sparkwater.ml.columns.roles import RowColumns
    from sparkwater.ml.fitted.network import FittedNetwork
    from sparkwater.ml.network_choice import NetworkChoice


class AutoEncoder(ReconstructionColumns, AutoEncoderParams, RowLearner[AutoEncoderModel]):
    """Train a network to give rows back that pass a narrow, sparse or noisy middle, on ``numWorkers`` Spark tasks.

    There is no label. Rows that are unlike those it learned come back worse: their reconstruction error is larger.
    The middle has what the rows differ in: ``model.deepFeatures`` gives it. Features, workers, weights, validation and
    checkpoints are those of `ImageClassifier`. docs/autoencoder.md has recipes, errors and figures.
    """

    kind = "reconstruction"
    model_type = AutoEncoderModel

    def check_labels(self, schema: StructType) -> None:
        """Refuse nothing: there is no label column."""

    def task_type(self, schema: StructType) -> type[Task]:
        """Return the type of the task."""
        del schema
        return ReconstructionTask

    def find_labels(self, parts: Sequence[tuple[DataFrame, RowColumns]]) -> RowCount:
        """Return the number of rows; a Spark job."""
        return count_rows(parts)

    def make_task(self, labels: LabelColumn) -> Task:
        """Refuse: the task follows from the features, not from labels; see `task_for`."""
        raise NotImplementedError("rows to reconstruct have no labels")

    def task_for(self, choice: NetworkChoice, labels: LabelColumn) -> Task:
        """Return the task of giving back such rows."""
        del labels
        return self._task(choice.features.spec)

    def outputs_of(self, spec: TensorSpec) -> int | None:
        """Return the outputs of a network that gives such rows back."""
        return self._task(spec).outputs

    def _task(self, spec: TensorSpec) -> ReconstructionTask:
        """Return the task of rows of a spec, or refuse them."""
        if isinstance(spec, PackedSpec):
            raise ConfigurationError(
                f"featuresCols={self.getFeaturesCols()}: an autoencoder gives back one features column; join them by "
                "TensorAssembler"
            )
        if not is_scaled(spec):
            raise ConfigurationError(
                f"featuresCol={self.getFeaturesCols()[0]!r} holds tensors {spec}, which are ids; accepted: numbers "
                "(uint8, float32, float64) and pictures"
            )
        return ReconstructionTask(spec.size)

    def _refuse(self, dataset: DataFrame) -> NetworkChoice:
        self.check_settings()
        self.check_shape_params()
        choice = super()._refuse(dataset)
        if self.getSparsityBeta():
            spec = choice.features.spec
            bounded_layers(build_to_try(choice.network, spec.shape, spec.size), self.getAverageActivation())
        return choice

    def _check_task_type(self, schema: StructType, choice: NetworkChoice) -> None:
        del schema
        start = choice.warm_start
        if start is not None and start.identity.task.kind != self.kind:
            raise ConfigurationError(
                f"{start.source} learned {start.identity.task.kind}, and an autoencoder gives rows back; a warm start "
                "keeps what its outputs mean: train anew with weights=..."
            )

    def _rank_job(self, choice: NetworkChoice, task: Task, rows: int, store: Store | None, collective: str) -> RankJob:
        job = super()._rank_job(choice, task, rows, store, collective)
        return replace(job, loss_quantile=self.getAnomalyThreshold())

    def _model(self, fitted: FittedNetwork) -> AutoEncoderModel:
        task = fitted.trained.task
        assert isinstance(task, ReconstructionTask)  # as task_for gives it
        known = replace(task, threshold=fitted.summary.resolved.get(LOSS_QUANTILE))
        return super()._model(replace(fitted, trained=replace(fitted.trained, task=known)))

    def describeNetwork(self) -> NetworkDescription:
        """Return the layers of the network for pictures of ``imageShape``, or of its own shape; runs no job.

        Raises
        ------
        ConfigurationError
            If the shape of the pictures isn't known before ``fit``, or the network doesn't take it.
        """
        shape = self.getImageShape() or find_network(self.getNetwork(), self.getNetworkArguments()).image_shape
        return self._describe_network(math.prod(shape or ()))
