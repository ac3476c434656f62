"""``AutoEncoder``: rows without labels, learned inside Spark, to find those that are unlike the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.sql import functions as F

from sparkwater.conversions.tables.inputs import check_columns
from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import find_network
from sparkwater.gpu.networks.building import build_to_try
from sparkwater.gpu.networks.pretrained import Beginning
from sparkwater.gpu.rows.scaling import is_scaled
from sparkwater.gpu.tasks import ReconstructionTask
from sparkwater.gpu.training.loss_quantile import LOSS_QUANTILE
from sparkwater.gpu.training.regularizers.sparsity import bounded_layers
from sparkwater.ml.autoencoder_model import AutoEncoderModel
from sparkwater.ml.columns.features import resolve_features, table_features
from sparkwater.ml.columns.unlabelled import RowCount, count_rows
from sparkwater.ml.network_choice import NetworkChoice, begin, describe_before_fit, go_on
from sparkwater.ml.network_learner import RowLearner
from sparkwater.ml.params.autoencoder import AutoEncoderParams, ReconstructionColumns
from sparkwater.ml.tables.choice import ANY_ROW, check_beginning, identity_scaling, network_of_layout, tried_on
from sparkwater.ml.tables.encoding import (
    columns_of,
    encode_sources,
    flag_places,
    input_columns,
    is_of_columns,
    refuse_encoding,
)
from sparkwater.ml.warm_start import WarmStart, check_image_shape, warm_start_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from sparkwater.conversions.tables.encoding.encoder import TableLayout
    from sparkwater.gpu.inspection.describe import NetworkDescription
    from sparkwater.gpu.job import RankJob
    from sparkwater.gpu.networks import NetworkEntry
    from sparkwater.gpu.rows.streamed import Store
    from sparkwater.gpu.tasks import Task
    from sparkwater.ml.columns.features import FeatureColumn
    from sparkwater.ml.columns.labels import LabelColumn
    from sparkwater.ml.columns.rank_frame import RowSource
    from sparkwater.ml.columns.roles import RowColumns
    from sparkwater.ml.fitted.network import FittedNetwork

#: The task of some table, for a trial before its columns are read.
_ANY_TABLE = ReconstructionTask(ANY_ROW.numbers, ANY_ROW.categories)


class AutoEncoder(ReconstructionColumns, AutoEncoderParams, RowLearner[AutoEncoderModel]):
    """Train a network to give rows back that pass a narrow, sparse or noisy middle, on ``numWorkers`` Spark tasks.

    There is no label. Rows that are unlike those it learned come back worse: their reconstruction error is larger.
    The middle has what the rows differ in: ``model.deepFeatures`` gives it. Features, workers, weights, validation and
    checkpoints are those of `ImageClassifier`; with ``inputCols`` it learns the columns of a table, as
    `DeepLearningClassifier` does. docs/autoencoder.md has recipes, errors and figures.
    """

    kind = "reconstruction"
    model_type = AutoEncoderModel
    #: Each column of categories is one entry, with one error.
    _class_defaults: ClassVar[Mapping[str, Any]] = {"oneHotLevels": 0}

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
        return self._task(choice.features)

    def _task(self, features: FeatureColumn) -> ReconstructionTask:
        """Return the task of giving back such rows, or refuse them."""
        spec, encoder = features.spec, features.encoder
        if encoder is not None:
            layout = encoder.layout
            return ReconstructionTask(layout.numbers, layout.categories, flag_places(encoder))
        if features.kind == "table":
            return _ANY_TABLE
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

    def _fit(self, dataset: DataFrame) -> AutoEncoderModel:
        learner: AutoEncoder = self.copy()
        if self.getWarmStart() is not None and self.getInputCols() is None:
            start = warm_start_of(dataset.sparkSession, self)
            if start.encoder is not None:  # rows are told apart by its columns
                learner._set(inputCols=columns_of(start.encoder))
        return super(AutoEncoder, learner)._fit(dataset)

    def _check_table_params(self) -> None:
        """Refuse Params that are for pictures, or for features columns, beside ``inputCols``."""
        for name in ("augmentation", "inputMean", "imageShape", "pretrainedAutoencoder"):
            if self.isSet(name) and self.getOrDefault(name):
                raise ConfigurationError(
                    f"{name} and inputCols={self.getInputCols()!r} are both set; {name} is for features columns, so "
                    "clear one of them (an autoencoder of columns goes on from another one by warmStart)"
                )

    def check_fit(self, dataset: DataFrame) -> NetworkChoice:
        """Refuse what every network refuses, and columns and penalties that don't go together."""
        self.check_settings()
        self.check_shape_params()
        if self.getInputCols():
            self._check_table_params()
        choice = super().check_fit(dataset)
        if self.getSparsityBeta():
            task, features = self._task(choice.features), choice.features
            shape = (task.size,) if features.kind == "table" else features.spec.shape
            bounded_layers(build_to_try(choice.network, shape, task.outputs), self.getAverageActivation())
        return choice

    def choose_network(self, dataset: DataFrame) -> NetworkChoice:
        """Return the network and the features, or refuse them; no job runs."""
        spark, schema = dataset.sparkSession, dataset.schema
        if self.getWarmStart() is not None:
            start = warm_start_of(spark, self)
            refuse_encoding(self, f"{start.source}, whose encoder is kept")
            check_image_shape(start, self.getImageShape())
            features = start.features(schema, self.getFeaturesCols())
            self._check_columns_of(start)
            return go_on(start, features, self, start.identity.task.outputs)
        if self.getInputCols():
            names = input_columns(schema, self.getInputCols(), ())
            check_columns(schema, names, self.getNumericCols(), self.getCategoricalCols())
            features = table_features(schema, names)
            network = tried_on(self._table_network(ANY_ROW), ANY_ROW, _ANY_TABLE.outputs)
            check_beginning(spark, self, self._table_network, _ANY_TABLE.outputs)
            return NetworkChoice(features, network, Beginning("paper"), ())
        refuse_encoding(self, f"featuresCol={self.getFeaturesCols()[0]!r}, which isn't encoded")
        network = find_network(self.getNetwork(), self.getNetworkArguments())
        features = resolve_features(schema, self.getFeaturesCols(), self.getImageShape(), network.image_shape)
        spec = features.spec
        if self.getAugmentation() and len(spec.shape) != 3:
            raise ConfigurationError(f"augmentation is for one column of pictures; the features are {spec}")
        return begin(spark, network, features, self, self.given_scalings(spec), self._task(features).outputs)

    def _check_columns_of(self, start: WarmStart) -> None:
        """Refuse other columns than those of the network to go on from."""
        asked, encoder = self.getInputCols(), start.encoder
        if asked and (encoder is None or not is_of_columns(encoder, asked)):
            learned = "a features column" if encoder is None else f"the columns {columns_of(encoder)}"
            raise ConfigurationError(
                f"inputCols={asked!r}, but {start.source} was trained on {learned}; a warm start keeps them: leave "
                "inputCols unset"
            )

    def _table_network(self, layout: TableLayout) -> NetworkEntry:
        """Return the network for rows of a table."""
        return network_of_layout(self.getNetwork(), layout, self.getNetworkArguments())

    def _encoded(self, choice: NetworkChoice, sources: list[RowSource]) -> tuple[NetworkChoice, list[RowSource]]:
        """Fit the encoder of raw columns on the rows to train on, and choose the network for its rows."""
        if choice.features.kind != "table" or choice.features.encoder is not None:
            return choice, sources
        features, encoded = encode_sources(sources, F.lit(True), self.encoding())
        assert features.encoder is not None  # it was fitted
        layout = features.encoder.layout
        network, scalings = self._table_network(layout), (identity_scaling(layout),)
        spark, outputs = sources[0].frame.sparkSession, self._task(features).outputs
        return begin(spark, network, features, self, scalings, outputs), encoded

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
        if self.getInputCols():
            raise ConfigurationError("the network follows from the columns of the table; describe the fitted model")
        shape = self.getImageShape() or find_network(self.getNetwork(), self.getNetworkArguments()).image_shape or ()
        return describe_before_fit(
            self, self.getImageShape(), ReconstructionTask(TensorSpec("uint8", shape).size).outputs
        )
