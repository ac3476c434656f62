"""``ImageClassifier``: a network that tells pictures apart, trained inside Spark."""

from __future__ import annotations

import html
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator
from pyspark.sql import SparkSession

from sparkwater.conversions.petastorm.frames import read_petastorm
from sparkwater.conversions.petastorm.rows import describe_petastorm
from sparkwater.conversions.stages.loading import StageReadable, StageWritable
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.networks import check_network
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.gpu.networks.inputs import network_shape, zero_inputs
from sparkwater.gpu.rows.streamed import Store
from sparkwater.ml.columns.labels import LabelColumn, check_label_type, find_labels
from sparkwater.ml.columns.rank_frame import RowSource, rank_frame, row_sources
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.fitted.consent import NetworkStageReader
from sparkwater.ml.fitted.network import FittedNetwork
from sparkwater.ml.image_classifier_model import ImageClassifierModel
from sparkwater.ml.launch.launcher import run_with_restarts
from sparkwater.ml.launch.preflight import check_cluster
from sparkwater.ml.network_choice import NetworkChoice, choose_network, describe_before_fit
from sparkwater.ml.params.classifier import ClassifierColumns, ClassifierParams
from sparkwater.ml.params.learner import PredictorParams
from sparkwater.ml.params.network import NetworkParams
from sparkwater.ml.reports.summary import TrainingSummary

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.gpu.inspection.describe import NetworkDescription

logger = logging.getLogger(__name__)


class ImageClassifier(
    Estimator["ImageClassifierModel"],
    PredictorParams,
    ClassifierColumns,
    NetworkParams,
    ClassifierParams,
    StageReadable,
    StageWritable,
):
    """Train a network to classify pictures, on ``numWorkers`` Spark tasks at once.

    ``fit`` runs two Spark jobs: one counts the labels, the other decodes the pictures where that is
    needed, spreads the rows over the workers by a hash of their content, and trains in a barrier
    stage. Every row is trained once an epoch. The same rows, seed and number of workers give the
    same weights on CPUs, bit for bit, however the DataFrame is ordered or partitioned.

    Inputs are scaled to mean 0 and deviation 1 by channel, the first dimension; the model keeps both.
    Whole numbers other than uint8 in tensors of one or two dimensions are ids, such as tokens: the network
    gets them unscaled, as int64.
    """

    @classmethod
    def read(cls) -> NetworkStageReader:
        """Return a reader; ``read().allowing("package.module:factory")`` lets it load that network."""
        return NetworkStageReader(cls)

    def write(self) -> Any:
        """Return a writer.

        Raises
        ------
        ConfigurationError
            If ``network`` is an instance, ``warmStart`` a model, or there are a ``validationDataFrame`` or
            ``callbacks``: an estimator is saved as its Params, which hold neither weights, nor rows, nor functions.
        """
        network = self.getNetwork()
        if not isinstance(network, str):
            raise ConfigurationError(
                f"network is a {type(network).__name__}: Params are saved as JSON, which holds no network; save with "
                "network='package.module:factory'"
            )
        if not isinstance(self.getWarmStart(), (str, type(None))):
            raise ConfigurationError(
                "warmStart is a model: Params are saved as JSON, which holds no weights; save the model, and set "
                "warmStart to its path"
            )
        if self.getValidationDataFrame() is not None:
            raise ConfigurationError(
                "validationDataFrame is set: Params are saved as JSON, which holds no rows; save after "
                "estimator.clear(estimator.validationDataFrame), or mark such rows by validationIndicatorCol"
            )
        self.check_saved_without_callbacks()
        return super().write()

    def _fit(self, dataset: DataFrame) -> ImageClassifierModel:
        started = time.monotonic()
        choice = self._refuse(dataset)
        training = RowSource(dataset, choice.features, self.row_columns())
        sources = row_sources(training, self.getValidationDataFrame(), self.getFeaturesCols(), self.getLabelCol())
        rows = rank_frame(sources, self, self.getSeed())
        for source in sources:
            source.check_schemes()
        labels = find_labels([(source.frame, source.columns) for source in sources], self.getLabelCol())
        return self._train(rows, choice, labels, started)

    def fitPetastorm(self, url: str) -> ImageClassifierModel:
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
        if self.row_columns() != RowColumns() or self.getClassWeight() != "none":
            raise ConfigurationError(
                "rows that are streamed take no weightCol, classWeight, validationIndicatorCol or validationDataFrame"
            )
        spark = SparkSession.active()
        if len(self.getFeaturesCols()) > 1:
            raise ConfigurationError(
                f"featuresCols={self.getFeaturesCols()}: a petastorm dataset is streamed with one features column; use "
                "fit on its DataFrame for several (read_petastorm)"
            )
        columns = [*self.getFeaturesCols(), self.getLabelCol()]
        frame = read_petastorm(spark, url, columns)
        choice = self._refuse(frame)
        if choice.features.kind != "tensor":
            raise SchemaError(f"featuresCol={columns[0]!r} of {url!r} holds no tensors")
        labels = find_labels([(frame, self.row_columns())], self.getLabelCol())
        workers = self.getNumWorkers()
        store = Store(describe_petastorm(url, columns), *columns)
        return self._train(spark.range(0, workers, 1, workers), choice, labels, started, store)

    def _train(
        self,
        frame: DataFrame,
        choice: NetworkChoice,
        labels: LabelColumn,
        started: float,
        store: Store | None = None,
    ) -> ImageClassifierModel:
        network, spec, labels = choice.network, choice.features.spec, choice.labels(labels)
        check_network(network, network_shape(spec), len(labels.classes), zero_inputs(spec))
        job = self._rank_job(choice, labels, store, self.choose_collective(frame.sparkSession, self.getNumWorkers()))
        logger.info(
            "training %s on %d rows, %d classes, %d workers (%s)",
            network.name,
            labels.rows,
            len(labels.classes),
            self.getNumWorkers(),
            job.collective,
        )
        with self.tracking() as tracking:
            outcomes, restarts = run_with_restarts(
                frame, job, self.getNumWorkers(), self.getMaxRestarts(), self.getStartTimeout(), tracking.observer
            )
            summary = TrainingSummary.of(job, outcomes, restarts, time.monotonic() - started)
            tracking.log_summary(summary)
        first = outcomes[0]
        assert first.scaling is not None  # every rank that didn't fail has one
        trained = TrainedNetwork(
            network,
            network_shape(spec),
            len(labels.classes),
            first.scaling,
            first.weights,
            first.weights_digest,
            job.config.class_weights,
        )
        model = ImageClassifierModel()
        model.fitted = FittedNetwork(trained, spec, labels.classes, summary)
        self._copyValues(model._resetUid(self.uid))
        return model if network.kind == "instance" else model._set(network=network.name)

    def _rank_job(self, choice: NetworkChoice, labels: LabelColumn, store: Store | None, collective: str) -> RankJob:
        """Return what each rank is to do."""
        return RankJob(
            network=choice.network,
            spec=choice.features.spec,
            classes=labels.classes,
            expected_rows=labels.rows,
            config=replace(self.train_config(labels), head_multiplier=self.getHeadLearningRateMultiplier()),
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

    def describeNetwork(self, numClasses: int = 10) -> NetworkDescription:
        """Return the layers of the network for pictures of ``imageShape``, or of its own shape; runs no job.

        Parameters
        ----------
        numClasses : int
            How many classes there will be.

        Raises
        ------
        ConfigurationError
            If the shape of the pictures isn't known before ``fit``, or the network doesn't take it.
        """
        return describe_before_fit(self, self.getImageShape(), numClasses)

    def _repr_html_(self) -> str:
        try:
            return f"{html.escape(repr(self))}{self.describeNetwork()._repr_html_()}"
        except ConfigurationError as error:
            return html.escape(f"{self!r}: {error}")

    def _refuse(self, dataset: DataFrame) -> NetworkChoice:
        """Refuse everything that can be known to be wrong before a Spark job runs."""
        self.check_training_params()
        self.check_network_params()
        self.check_output_columns()
        self.getHandleInvalid()
        choice = choose_network(dataset, self.getFeaturesCols(), self.getImageShape(), self)
        spec = choice.features.spec
        if self.getAugmentation() and len(spec.shape) != 3:
            raise ConfigurationError(f"augmentation is for one column of pictures; the features are {spec}")
        check_label_type(dataset.schema, self.getLabelCol())
        self.row_columns().check(dataset.schema)
        check_cluster(
            dataset.sparkSession,
            self.getNumWorkers(),
            self.choose_collective(dataset.sparkSession, self.getNumWorkers()),
            self.getDevice(),
            self.getStartTimeout(),
            self.getAllowPlaintext(),
        )
        return choice
