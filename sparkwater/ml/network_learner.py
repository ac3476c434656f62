"""Learners of networks: from a DataFrame and Params to a trained model, whatever the task."""

from __future__ import annotations

import html
import logging
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pyspark.ml import Estimator
from pyspark.sql import SparkSession

from sparkwater.conversions.petastorm.frames import read_petastorm
from sparkwater.conversions.petastorm.rows import describe_petastorm
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.networks import check_network
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.gpu.networks.inputs import network_shape, zero_inputs
from sparkwater.gpu.rows.streamed import Store
from sparkwater.ml.columns.labels import LabelColumn, check_kind
from sparkwater.ml.columns.rank_frame import RowSource, rank_frame, row_sources
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.fitted.network import FittedNetwork
from sparkwater.ml.launch.launcher import run_with_restarts
from sparkwater.ml.launch.preflight import check_cluster
from sparkwater.ml.network_choice import NetworkChoice
from sparkwater.ml.network_model import RowModel
from sparkwater.ml.params.learner import NetworkColumns, PredictorParams, TrainingParams
from sparkwater.ml.params.network import NetworkParams
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.ml.tables.encoding import columns_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from sparkwater.conversions.stages.stage_folders import SavedFolder
    from sparkwater.gpu.inspection.describe import NetworkDescription
    from sparkwater.gpu.tasks import Task

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=RowModel)


class RowLearner(Estimator[M], NetworkColumns, NetworkParams, TrainingParams, SavedStage):
    """Base of the estimators that train a network in a barrier stage, whether rows have labels or not.

    A subclass says its kind, which labels it takes, and which task becomes of them.

    Attributes
    ----------
    kind : str
        Of the tasks that it learns: ``classification`` or ``regression``.
    """

    kind: ClassVar[str]

    @property
    def known_outputs(self) -> int | None:
        """Outputs of the network; None where they follow from the labels."""
        return None

    def label_column(self) -> str | None:
        """Return the label column; None where rows have no labels."""
        return None

    def content_columns(self) -> tuple[str, ...]:
        """Return the columns by which rows are told apart."""
        label = self.label_column()
        return tuple(self.getFeaturesCols()) if label is None else (*self.getFeaturesCols(), label)

    @abstractmethod
    def check_labels(self, schema: StructType) -> None:
        """Refuse a label column, and Params that don't fit it; no job runs.

        Raises
        ------
        SchemaError
            If the column is of a type that isn't learned.
        ConfigurationError
            If a Param doesn't go with it.
        """

    @abstractmethod
    def task_type(self, schema: StructType) -> type[Task]:
        """Return the type of the task, as far as the schema tells."""

    @abstractmethod
    def find_labels(self, parts: Sequence[tuple[DataFrame, RowColumns]]) -> LabelColumn:
        """Return what the label column holds; a Spark job.

        Parameters
        ----------
        parts : sequence of (pyspark.sql.DataFrame, RowColumns)
            DataFrames, and how their rows take part.
        """

    @abstractmethod
    def make_task(self, labels: LabelColumn) -> Task:
        """Return the task.

        Raises
        ------
        ConfigurationError
            If a Param doesn't fit the labels.
        """

    def task_for(self, choice: NetworkChoice, labels: LabelColumn) -> Task:
        """Return the task of a network that was chosen; a warm start keeps what its outputs mean."""
        return self.make_task(choice.labels(labels))

    def weighs_rows(self) -> bool:
        """Return whether rows weigh differently in the task."""
        return False

    def _fit(self, dataset: DataFrame) -> M:
        started = time.monotonic()
        choice = self.check_fit(dataset)
        training = RowSource(dataset, choice.features, self.row_columns())
        sources = row_sources(
            training, self.getValidationDataFrame(), self.getFeaturesCols(), self.label_column(), self.check_labels
        )
        for source in sources:
            source.check_names(self.getIdCol())
        for source in sources:
            source.check_schemes()
        labels = self.find_labels([(source.frame, source.columns) for source in sources])
        choice, sources = self._encoded(choice, sources)
        self.check_moves(choice.features.spec, choice.network.arguments)
        rows = rank_frame(sources, self.label_column(), self.getIdCol(), self.getSeed())
        return self._train(rows, choice, labels, started)

    @abstractmethod
    def choose_network(self, dataset: DataFrame) -> NetworkChoice:
        """Return the network and the features, or refuse them; no job runs."""

    def _encoded(self, choice: NetworkChoice, sources: list[RowSource]) -> tuple[NetworkChoice, list[RowSource]]:
        """Return choice and rows once an encoder is fitted on these, for features that need one; here as they are."""
        return choice, sources

    def _choices(self) -> dict[str, Any]:
        """Return what the summary says of the Params' choice, beside `sparkwater.ml.reports.choices.resolve`."""
        return {}

    def check_fit(self, dataset: DataFrame) -> NetworkChoice:
        """Refuse everything that can be known to be wrong before a Spark job runs."""
        self.check_training_params()
        for sentence in self.idle_settings():
            logger.warning(sentence)
        self.check_network_params()
        self.getHandleInvalid()
        choice = self.choose_network(dataset)
        self.check_moves(choice.features.spec, choice.network.arguments)
        self.check_labels(dataset.schema)
        self._check_task_type(dataset.schema, choice)
        self.row_columns().check(dataset.schema)
        self.check_offset_kind(self.task_type(dataset.schema))
        check_cluster(
            dataset.sparkSession,
            self.getNumWorkers(),
            self.choose_collective(dataset.sparkSession, self.getNumWorkers()),
            self.getDevice(),
            self.getStartTimeout(),
            self.getAllowPlaintext(),
        )
        return choice

    def _train(
        self,
        frame: DataFrame,
        choice: NetworkChoice,
        labels: LabelColumn,
        started: float,
        store: Store | None = None,
    ) -> M:
        network, spec, task = choice.network, choice.features.spec, self.task_for(choice, labels)
        self._check_stopping(task)
        self.check_offsets(task)
        check_network(network, network_shape(spec), task.outputs, zero_inputs(spec))
        collective = self.choose_collective(frame.sparkSession, self.getNumWorkers())
        job = self._rank_job(choice, task, labels.rows, store, collective)
        logger.info(
            "training %s on %d rows, %s of %d outputs, %d workers (%s)",
            network.name,
            labels.rows,
            task.kind,
            task.outputs,
            self.getNumWorkers(),
            job.collective,
        )
        with self.tracking() as tracking:
            outcomes, restarts = run_with_restarts(
                frame, job, self.getNumWorkers(), self.getMaxRestarts(), self.getStartTimeout(), tracking.observer
            )
            summary = TrainingSummary.of(job, outcomes, restarts, time.monotonic() - started, self._choices())
            tracking.log_summary(summary)
        first = outcomes[0]
        assert first.scaling is not None  # every rank that didn't fail has one
        trained = TrainedNetwork(
            entry=network,
            shape=network_shape(spec),
            task=first.calibration.of(task) if first.calibration else task,
            scaling=first.scaling,
            weights=first.weights,
            weights_digest=first.weights_digest,
        )
        return self._model(FittedNetwork(trained, spec, summary, choice.features.encoder))

    def _check_task_type(self, schema: StructType, choice: NetworkChoice) -> None:
        """Refuse metrics that the task doesn't have, and a warm start from another one."""
        task, name = self.task_type(schema), self.label_column()
        if name is not None and self.getStoppingMetric() not in task.METRICS:
            raise ConfigurationError(
                f"stoppingMetric={self.getStoppingMetric()!r}; accepted for labelCol={name!r}, which is "
                f"{schema[name].dataType.simpleString()}: {', '.join(task.METRICS)}"
            )
        if choice.warm_start is not None:
            check_kind(choice.warm_start.identity.task, task.kind, choice.warm_start.source)

    def _check_stopping(self, task: Task) -> None:
        """Refuse a metric that says nothing for the task."""
        reason = task.unfit(self.getStoppingMetric())
        if reason:
            raise ConfigurationError(f"stoppingMetric={self.getStoppingMetric()!r}: {reason}")

    def _rank_job(self, choice: NetworkChoice, task: Task, rows: int, store: Store | None, collective: str) -> RankJob:
        """Return what each rank is to do."""
        return RankJob(
            network=choice.network,
            spec=choice.features.spec,
            task=task,
            expected_rows=rows,
            config=self.train_config(),
            handle_invalid=self.getHandleInvalid(),
            collective=collective,
            device=self.getDevice(),
            stall_timeout=self.getStallTimeout(),
            max_memory_mb=self.getMaxMemoryInMB(),
            checkpoint_dir=self.getCheckpointDir(),
            checkpoint_interval=self.getCheckpointInterval(),
            store=store,
            beginning=choice.beginning,
            scalings=choice.scalings,
            callbacks=tuple(self.getCallbacks()),
            allow_shared_gpu=self.getAllowSharedGpu(),
        )

    def _model(self, fitted: FittedNetwork) -> M:
        model: Any = self.model_type()
        model.fitted = fitted
        self._copyValues(model._resetUid(self.uid))
        if fitted.encoder is not None:
            model._set(inputCols=columns_of(fitted.encoder))
        entry = fitted.trained.entry
        given: M = model if entry.kind == "instance" else model._set(network=entry.name)
        return given

    def fitPetastorm(self, url: str) -> M:
        """Train on a petastorm dataset that the workers stream: for data larger than their memory and disks.

        Each worker reads its share from storage in every epoch, and shuffles it within windows of
        about 128 MiB. Rows that can't be used are errors. `write_petastorm` writes such datasets.

        Parameters
        ----------
        url : str
            The dataset's folder, on a filesystem that both Spark and the workers reach.
            ``featuresCol`` is a field of pictures, channels first; ``labelCol`` a scalar.

        Raises
        ------
        ConfigurationError, DataError, SchemaError, RankFailure
            As ``fit``.
        """
        started = time.monotonic()
        if self.row_columns() != RowColumns() or self.weighs_rows():
            raise ConfigurationError(
                "rows that are streamed take no weightCol, offsetCol, classWeight, validationIndicatorCol, "
                "validationDataFrame or validationFraction"
            )
        spark = SparkSession.active()
        if len(self.getFeaturesCols()) > 1:
            raise ConfigurationError(
                f"featuresCols={self.getFeaturesCols()}: a petastorm dataset is streamed with one features column; use "
                "fit on its DataFrame for several (read_petastorm)"
            )
        label = self.label_column()
        columns = [*self.getFeaturesCols(), *([] if label is None else [label])]
        frame = read_petastorm(spark, url, columns)
        choice = self.check_fit(frame)
        if choice.features.kind != "tensor":
            raise SchemaError(f"featuresCol={columns[0]!r} of {url!r} holds no tensors")
        labels = self.find_labels([(frame, self.row_columns())])
        workers = self.getNumWorkers()
        store = Store(describe_petastorm(url, columns), columns[0], label)
        return self._train(spark.range(0, workers, 1, workers), choice, labels, started, store)

    @abstractmethod
    def describeNetwork(self) -> NetworkDescription:
        """Return the layers of the network, as far as Params say its shape; runs no job."""

    def _repr_html_(self) -> str:
        try:
            return f"{html.escape(repr(self))}{self.describeNetwork()._repr_html_()}"
        except ConfigurationError as error:
            return html.escape(f"{self!r}: {error}")

    def write(self) -> Any:
        """Return a writer.

        Raises
        ------
        ConfigurationError
            If ``network`` is an instance, ``warmStart`` or ``pretrainedAutoencoder`` a model, or there are a
            ``validationDataFrame`` or ``callbacks``: an estimator is saved as its Params, which hold neither weights,
            nor rows, nor functions.
        """
        network = self.getNetwork()
        if not isinstance(network, str):
            raise ConfigurationError(
                f"network is a {type(network).__name__}: Params are saved as JSON, which holds no network; save with "
                "network='package.module:factory'"
            )
        for name in ("warmStart", "pretrainedAutoencoder"):
            if self.isSet(name) and not isinstance(self.getOrDefault(name), str):
                raise ConfigurationError(
                    f"{name} is a model: Params are saved as JSON, which holds no weights; save the model, and set "
                    f"{name} to its path"
                )
        if self.getValidationDataFrame() is not None:
            raise ConfigurationError(
                "validationDataFrame is set: Params are saved as JSON, which holds no rows; save after "
                "estimator.clear(estimator.validationDataFrame), or mark such rows by validationIndicatorCol"
            )
        self.check_saved_without_callbacks()
        return super().write()

    def _load_more(self, folder: SavedFolder) -> None:
        folder.check_network(self.getNetwork())  # fit would run its code


class NetworkLearner(RowLearner[M], PredictorParams):
    """Base of the estimators that train a network to give the label of a row."""

    def label_column(self) -> str | None:
        """Return the label column."""
        name: str = self.getLabelCol()
        return name
