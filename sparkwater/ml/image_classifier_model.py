"""``ImageClassifierModel``: a trained network as a Spark ML model."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from pyspark.ml import Model
from pyspark.ml.util import MLReadable, MLWritable

from sparkwater.conversions.stages.params import with_setters
from sparkwater.gpu.inspection.cuts import PENULTIMATE
from sparkwater.gpu.inspection.describe import describe_entry
from sparkwater.ml.columns.features import trained_features
from sparkwater.ml.deep_features import DeepFeatures
from sparkwater.ml.fitted.files import ModelReader, ModelWriter
from sparkwater.ml.fitted.network import FittedNetwork
from sparkwater.ml.params.learner import PredictorParams
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.ml.scoring.prediction import add_predictions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.gpu.inspection.describe import NetworkDescription


@with_setters
class ImageClassifierModel(Model, PredictorParams, MLReadable["ImageClassifierModel"], MLWritable):
    """A trained `ImageClassifier`.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds the
    prediction columns. It scores Arrow batches on the executors; a Python worker builds the network
    once.
    """

    fitted: FittedNetwork

    def __init__(self) -> None:
        super().__init__()

    @property
    def classes(self) -> list[float] | list[str]:
        """The labels, sorted; the network's output ``i`` is for ``classes[i]``."""
        return list(self.fitted.classes)  # type: ignore[return-value]

    @property
    def numClasses(self) -> int:
        """The number of classes."""
        return len(self.fitted.classes)

    @property
    def hasSummary(self) -> bool:
        """True: there is always a training summary."""
        return True

    @property
    def summary(self) -> TrainingSummary:
        """Summary of the training; saved and loaded with the model."""
        return self.fitted.summary

    @property
    def weights(self) -> bytes:
        """The network's weights as safetensors."""
        return self.fitted.trained.weights

    def write(self) -> ModelWriter:
        """Return a writer."""
        return ModelWriter(self, self.fitted)

    @classmethod
    def read(cls) -> ModelReader:
        """Return a reader; ``read().allowing("package.module:factory")`` lets it load that network."""
        return ModelReader(cls)

    def describeNetwork(self) -> NetworkDescription:
        """Return the network's layers, with shapes, parameters and multiply-adds: a table and a drawing."""
        trained = self.fitted.trained
        return describe_entry(trained.entry, self.fitted.spec, trained.classes)

    def _repr_html_(self) -> str:
        return f"{html.escape(repr(self))}{self.describeNetwork()._repr_html_()}"

    def deepFeatures(self, layer: str | int | list[str | int] = PENULTIMATE, **params: Any) -> DeepFeatures:
        """Return a stage that adds the outputs of the network's layers.

        Parameters
        ----------
        layer : str, int or list of these
            The layers; see `DeepFeatures`.
        **params
            Further Params of the stage, such as ``outputCol`` and ``pooling``.
        """
        return DeepFeatures(model=self, layer=layer, **params)

    def copy(self, extra: dict | None = None) -> ImageClassifierModel:  # type: ignore[type-arg]
        """Return a copy with other Params; the network is shared."""
        copied: ImageClassifierModel = super().copy(extra)
        copied.fitted = self.fitted
        return copied

    def _transform(self, dataset: DataFrame) -> DataFrame:
        features = trained_features(dataset.schema, self.getFeaturesCols(), self.fitted.spec)
        return add_predictions(dataset, features, self.fitted, self)
