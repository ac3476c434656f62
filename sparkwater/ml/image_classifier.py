"""``ImageClassifier``: a network that tells pictures apart, trained inside Spark."""

from __future__ import annotations

import html
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.sql import SparkSession

from sparkwater.conversions.petastorm.frames import read_petastorm
from sparkwater.conversions.petastorm.rows import describe_petastorm
from sparkwater.conversions.stages.loading import StageReadable, StageWritable
from sparkwater.conversions.stages.params import with_setters
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
from sparkwater.ml.params.learner import PredictorParams, TrainingParams
from sparkwater.ml.params.network import NetworkParams
from sparkwater.ml.reports.summary import TrainingSummary

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from torch import nn

    from sparkwater.gpu.callbacks import Callback
    from sparkwater.gpu.inspection.describe import NetworkDescription

logger = logging.getLogger(__name__)


@with_setters
class ImageClassifier(
    Estimator["ImageClassifierModel"], PredictorParams, NetworkParams, TrainingParams, StageReadable, StageWritable
):
    """Train a network to classify pictures, on ``numWorkers`` Spark tasks at once.

    ``fit`` runs two Spark jobs: one counts the labels, the other decodes the pictures where that is
    needed, spreads the rows over the workers by a hash of their content, and trains in a barrier
    stage. Every row is trained once an epoch. The same rows, seed and number of workers give the
    same weights on CPUs, bit for bit, however the DataFrame is ordered or partitioned.

    Inputs are scaled to mean 0 and deviation 1 by channel, the first dimension; the model keeps both.
    Whole numbers other than uint8 in tensors of one or two dimensions are ids, such as tokens: the network
    gets them unscaled, as int64.

    Parameters
    ----------
    featuresCol : str
        A tensor column (channels first); pictures as URIs, encoded bytes or image structs, which are
        decoded and resized; or vectors and arrays of numbers with ``imageShape``. Default ``features``.
        Tensors that are no pictures are for networks that take them, such as ``mlp``.
    featuresCols : list of str, optional
        In place of ``featuresCol``, several such columns: the arguments of your network's ``forward``, in
        this order. Its factory's ``shape`` is then the tuple of their shapes. Vectors need a known size, as
        VectorAssembler gives them, or `VectorToTensor`.
    labelCol : str
        Strings, booleans, or numbers 0, 1, 2, ... Default ``label``.
    predictionCol, probabilityCol, rawPredictionCol : str
        Columns that the model adds: a double, and two vectors. For string labels ``prediction`` is
        the position in ``model.classes``; for numeric ones it is the label, and its probability
        stands at that index of the vector.
    predictedLabelCol : str
        Column that the model adds for string labels. Default ``predictedLabel``.
    imageShape : list of int, optional
        ``[height, width, channels]``. Pictures are resized to it (default: the network's own shape);
        vectors are read as pixels row by row, channels last.
    network : str or torch.nn.Module
        Name of a registered network, ``auto`` for one that suits the pictures; an import path
        ``package.module:factory`` (see `sparkwater.gpu.networks.sources.ImportedFactory` for how it is called);
        or a network, of which a copy is trained from its present weights on. Default ``lenet``.
    networkArguments : dict, optional
        Keyword arguments for the network's factory; values that JSON holds. For a network that is an
        instance: with what its class is called, so that the model can be saved.
    initialization : {"paper", "he", "xavier"}
        How the first weights are drawn; ``paper`` is the network's own way. Default ``paper``.
    weights : str, optional
        File of weights to begin with, on any filesystem that Spark reaches: safetensors, or a state dict by
        ``torch.save``. All names and shapes must be the network's (prefixes of wrappers, such as ``module.``,
        are dropped), but for the layer that gives the classes: one of another size is made anew.
    warmStart : ImageClassifierModel or str, optional
        What to go on from: a model, the path of a saved one, or the folder of checkpoints that a training left
        behind. ``epochs`` are trained on top, with its weights and input scaling; the rate's schedule and the
        optimizer begin anew. Network, shape and classes stay; docs/warm_start.md says what may change. A path
        is saved with the estimator, a model isn't.
    freeze : str
        ``none``; ``backbone`` for all but the layer that gives the classes; or the name of a layer, for
        all up to it and it. Frozen batch normalisation keeps its statistics. Default ``none``.
    headLearningRateMultiplier : float
        The learning rate of the layer that gives the classes, relative to the others'. Default 1.
    inputMean, inputStd : list of float, optional
        By channel, what the network's inputs were scaled by, in place of measuring it: of pixels from 0 to 1,
        as torchvision states them. Pictures of uint8 are divided by 255 first, other dtypes are taken as they are.
    weightCol : str, optional
        Weights of the rows, from 0 up, in loss and metrics; a row of weight 0 is as good as absent.
    classWeight : {"none", "balanced"}, dict or list of float
        What rows of a class count in the loss beside that: ``balanced`` lets all classes weigh the
        same; a dict has weights by label, 1 where it has none; a list has them in the order of
        ``model.classes``. Probabilities are divided by these weights, so that they fit the rows as
        they are; metrics and ``prediction`` follow from the corrected ones. Default ``none``.
    validationIndicatorCol : str, optional
        True for rows to validate on: they are scored after each epoch, as they are, and have no part in
        weights or scaling.
    validationDataFrame : pyspark.sql.DataFrame, optional
        In its place, the rows to validate on as a DataFrame of their own, with the same features, label and
        weight columns. It isn't saved with the estimator.
    epochs : float
        Passes over the rows. The last may be a fraction of one; 0 gives the network as it begins.
        Default 10.
    batchSize : int
        Rows of a global batch, all workers together. Default 128.
    optimizer : {"sgd", "adam", "adamw", "adadelta", "rmsprop"}
        torch's. Default ``sgd``.
    learningRate : float
        Never scaled by the number of workers. Default 0.05.
    learningRateSchedule : {"constant", "step", "cosine", "oneCycle", "annealing"}
        How it goes from step to step; see `sparkwater.gpu.training.schedules.learning_rate`. Default ``cosine``.
    warmupEpochs : float
        Epochs in which it rises linearly, before the schedule begins. Default 0.
    learningRateAnnealing : float
        Of ``annealing``: rate / (1 + learningRateAnnealing * rows visited). Default 1e-6.
    decayEpochs, decayFactor : float
        Of ``step``: after so many epochs the rate is multiplied by the factor. Default 10 and 0.1.
    momentum, momentumStart, momentumRamp : float
        Of sgd: ``momentum``, or from ``momentumStart`` up to it over ``momentumRamp`` rows, where
        that isn't 0. Default 0.9, 0 and 0.
    nesterov : bool
        Nesterov's momentum, for sgd. Default False.
    weightDecay : float
        Of all parameters. Default 0.0005.
    l1 : float
        L1 penalty on weights, not on biases. Default 0.
    maxNorm : float
        Largest Euclidean norm of a unit's incoming weights; H2O's ``max_w2`` is its square.
        Default 0: no limit.
    clipNorm, clipValue : float
        Largest norm of all gradients together, largest absolute value of each. Default 0: no limit.
    labelSmoothing : float
        Share of each target that is spread over all classes. Default 0.
    augmentation : list of dict, or its JSON
        Random changes of the training pictures, never of others. Each step has a ``name`` and
        arguments: ``shift`` (pixels), ``rotation`` (degrees), ``scale`` (factor), ``crop`` (area),
        ``flip`` (axis, probability), ``colour`` (brightness, contrast, saturation), ``erase`` (area,
        probability); see `sparkwater.gpu.rows.augmentation`. Default none.
    stoppingMetric : {"logloss", "error", "meanPerClassError", "auc", "topKError"}
        What decides on stopping and on the best epoch: of the validation rows where there are any,
        else of the training rows. Default ``logloss``.
    stoppingRounds : int
        As H2O: stop when the metric's moving average over so many epochs hasn't improved for as
        many. Default 0: never.
    stoppingTolerance : float
        Relative improvement that isn't enough. Default 0.
    overwriteWithBestModel : bool, optional
        Give the network as it was after its best epoch. Without a value it is done where there are
        validation rows or ``stoppingRounds``.
    maxRuntimeSecs : float
        Seconds of training, reading of rows not counted, after which it ends with the step under way, or the
        next one. Default 0: no limit.
    topK : int
        Of ``topKError``: share of rows whose class isn't among so many most probable ones. Default 5.
    seed : int
        What initial weights, order and everything else random follow from. Default 42.
    numWorkers : int
        Ranks. Default 1, which needs no Horovod.
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where each worker has one to itself. Default ``auto``.
    precision : {"float32", "bfloat16", "float16"}
        What convolutions and matrix products compute in while training; weights and sums stay float32, and
        the model scores in float32. ``bfloat16`` gains on GPUs and on processors that have it; ``float16``
        keeps small gradients by scaling the loss, and is for GPUs: on processors it works and is slow.
        Default ``float32``.
    compileNetwork : bool
        Let ``torch.compile`` compile the network, on each worker: it needs a C++ compiler there, and a minute
        before the first step. Default False.
    collective : {"auto", "horovod", "torch", "memory"}
        What adds up gradients between workers: Horovod, torch.distributed, or the memory of a machine that all of
        them share, which is the fastest for CPUs and needs no Horovod. ``auto`` is ``memory`` on a local master
        (``local[N]``, ``local-cluster``) without GPUs, and ``horovod`` elsewhere. With three workers and more the
        last bits of sums depend on it. Default ``auto``; ``summary.collective`` tells what it became.
    gradientCompression : {"none", "float16", "bfloat16"}
        What gradients are rounded to on their way between workers: half the bytes, at the price of exact
        sums. Horovod doesn't take ``bfloat16``. Default ``none``.
    handleInvalid : {"error", "skip", "keep"}
        For rows that can't be used. ``fit`` skips and counts them under ``skip`` and ``keep``; the
        model drops them under ``skip`` and gives nulls under ``keep``. Default ``error``.
    idCol : str, optional
        Column that names a row in errors and in the summary.
    startTimeout : int
        Seconds to wait for executors that are still starting. Default 60.
    stallTimeout : int
        Seconds that one worker may keep the others waiting in training. Default 120.
    checkpointDir : str, optional
        Folder for checkpoints that the driver and all executors reach, by a path or any URL that
        pyarrow or fsspec reads. Each training has a folder of its own in it, found by what it is:
        its rows, settings, network, workers, and the versions of torch and sparkwater. A ``fit`` of
        a training that broke off goes on at its last checkpoint, bit for bit as if nothing had
        happened; one of a training that is done trains nothing. Checkpoints stay until you delete them.
    checkpointInterval : int
        Steps between checkpoints within an epoch; 0, the default, for one after each epoch only.
        The newest two are kept.
    maxRestarts : int
        How often the training starts again when an executor or worker is lost or stands still: from
        the last checkpoint, or from the beginning without ``checkpointDir``. Errors of the network
        or the rows are not tried again. Default 0.
    maxMemoryInMB : float
        MiB of tensors that a worker holds in memory; more of them go to a mapped file on the
        executor's local disk, which is gone after the fit. Default 0: half of the memory that is
        free, shared by the workers of a host.
    callbacks : list of callable, optional
        Functions that are called with the `sparkwater.gpu.records.EpochRecord` after each epoch, by the task of
        rank 0, on its executor; one that returns True ends the training there. They travel as Spark's own
        closures do, so what they change stays on the executor. What one raises fails the fit, and so does one
        that takes longer than ``stallTimeout``, where there are other workers. For ``checkpointDir``, a training
        that one of them ended is done. For example ``callbacks=[lambda record: record.accuracy > 0.99]``.
    trackers : list of str, optional
        What keeps the metrics of each epoch, while the fit runs, and its summary; on the driver.
        ``mlflow`` logs to the MLflow run that is active, or to one of its own; ``tensorboard:FOLDER`` writes to a
        folder within FOLDER that has the estimator's uid and the time as its name.
    allowSharedGpu : bool
        Let several workers compute on the same GPU; without it they are refused, by the GPU's UUID. For a
        collective over Gloo: NCCL can't. Default False.
    allowPlaintext : bool
        Train although Spark's own traffic is protected and the workers' isn't; ``collective="memory"`` has none.
        Default False.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        featuresCols: list[str] | None = None,
        labelCol: str = "label",
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        rawPredictionCol: str = "rawPrediction",
        predictedLabelCol: str = "predictedLabel",
        imageShape: list[int] | None = None,
        network: str | nn.Module = "lenet",
        networkArguments: dict[str, Any] | None = None,
        initialization: str = "paper",
        weights: str | None = None,
        warmStart: ImageClassifierModel | str | None = None,
        freeze: str = "none",
        headLearningRateMultiplier: float = 1.0,
        inputMean: list[float] | None = None,
        inputStd: list[float] | None = None,
        weightCol: str | None = None,
        classWeight: str | dict[Any, float] | list[float] = "none",
        validationIndicatorCol: str | None = None,
        validationDataFrame: DataFrame | None = None,
        epochs: float = 10.0,
        batchSize: int = 128,
        optimizer: str = "sgd",
        learningRate: float = 0.05,
        learningRateSchedule: str = "cosine",
        warmupEpochs: float = 0.0,
        learningRateAnnealing: float = 1e-6,
        decayEpochs: float = 10.0,
        decayFactor: float = 0.1,
        momentum: float = 0.9,
        momentumStart: float = 0.0,
        momentumRamp: float = 0.0,
        nesterov: bool = False,
        weightDecay: float = 0.0005,
        l1: float = 0.0,
        maxNorm: float = 0.0,
        clipNorm: float = 0.0,
        clipValue: float = 0.0,
        labelSmoothing: float = 0.0,
        augmentation: list[dict[str, Any]] | str = "[]",
        stoppingMetric: str = "logloss",
        stoppingRounds: int = 0,
        stoppingTolerance: float = 0.0,
        overwriteWithBestModel: bool | None = None,
        maxRuntimeSecs: float = 0.0,
        topK: int = 5,
        seed: int = 42,
        numWorkers: int = 1,
        device: str = "auto",
        precision: str = "float32",
        compileNetwork: bool = False,
        collective: str = "auto",
        gradientCompression: str = "none",
        handleInvalid: str = "error",
        idCol: str | None = None,
        startTimeout: int = 60,
        stallTimeout: int = 120,
        checkpointDir: str | None = None,
        checkpointInterval: int = 0,
        maxRestarts: int = 0,
        maxMemoryInMB: float = 0.0,
        callbacks: list[Callback] | None = None,
        trackers: list[str] | None = None,
        allowSharedGpu: bool = False,
        allowPlaintext: bool = False,
    ) -> None:
        super().__init__()
        self._setDefault(
            featuresCol="features",
            labelCol="label",
            predictionCol="prediction",
            probabilityCol="probability",
            rawPredictionCol="rawPrediction",
            predictedLabelCol="predictedLabel",
            network="lenet",
            initialization="paper",
            freeze="none",
            headLearningRateMultiplier=1.0,
            classWeight="none",
            epochs=10.0,
            batchSize=128,
            optimizer="sgd",
            learningRate=0.05,
            learningRateSchedule="cosine",
            warmupEpochs=0.0,
            learningRateAnnealing=1e-6,
            decayEpochs=10.0,
            decayFactor=0.1,
            momentum=0.9,
            momentumStart=0.0,
            momentumRamp=0.0,
            nesterov=False,
            weightDecay=0.0005,
            l1=0.0,
            maxNorm=0.0,
            clipNorm=0.0,
            clipValue=0.0,
            labelSmoothing=0.0,
            augmentation=[],
            stoppingMetric="logloss",
            stoppingRounds=0,
            stoppingTolerance=0.0,
            maxRuntimeSecs=0.0,
            topK=5,
            seed=42,
            numWorkers=1,
            device="auto",
            precision="float32",
            compileNetwork=False,
            collective="auto",
            gradientCompression="none",
            handleInvalid="error",
            startTimeout=60,
            stallTimeout=120,
            checkpointInterval=0,
            maxRestarts=0,
            maxMemoryInMB=0.0,
            allowSharedGpu=False,
            allowPlaintext=False,
        )
        self._set(**self._input_kwargs)

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
        rows = rank_frame(sources, self.getLabelCol(), self.getIdCol(), self.getSeed())
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
