"""Trained networks as Spark ML models, whatever their task."""

from __future__ import annotations

import html
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.ml import Model

from sparkwater.conversions.stages.exported import Exported
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.gpu.inspection.cuts import PENULTIMATE
from sparkwater.gpu.inspection.describe import describe_entry
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.deep_features import DeepFeatures
from sparkwater.ml.fitted.files import read_network, write_network
from sparkwater.ml.fitted.network import FittedNetwork, fitted_features
from sparkwater.ml.params.learner import NetworkColumns, PredictorParams
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.ml.scoring.prediction import PredictionColumns, add_predictions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder
    from sparkwater.gpu.inspection.describe import NetworkDescription


class RowModel(Model, NetworkColumns, SavedStage, Exported):
    """Base of the models of trained networks, whether their rows had labels or not.

    Attributes
    ----------
    kind : str
        Kind of its predictions, for stacking: ``classification`` (probabilities) or ``regression`` (a number); no
        other kind is stacked.
    fitted : FittedNetwork
        The network with all that scoring needs.
    """

    kind: ClassVar[str]
    fitted: FittedNetwork
    #: The description says which network it is; the Param may hold an instance.
    _unsaved_params = ("network",)

    def __init__(self) -> None:
        super().__init__()

    @property
    def hasSummary(self) -> bool:
        """True: every model has a training summary."""
        return True

    @property
    def summary(self) -> TrainingSummary:
        """The training summary, which is saved and loaded with the model."""
        return self.fitted.summary

    @property
    def weights(self) -> bytes:
        """The network's weights as safetensors."""
        return self.fitted.trained.weights

    def describeNetwork(self) -> NetworkDescription:
        """Return the network's layers, with shapes, parameters and multiply-adds: a table and a drawing."""
        trained = self.fitted.trained
        return describe_entry(trained.entry, self.fitted.spec, trained.task.outputs)

    def _repr_html_(self) -> str:
        return f"{html.escape(repr(self))}{self.describeNetwork()._repr_html_()}"

    def deepFeatures(self, layer: str | int | list[str | int] = PENULTIMATE, **params: Any) -> DeepFeatures:
        """Return a stage that gives what layers of the network give.

        Parameters
        ----------
        layer : str, int or list of these
            Which layers; see `DeepFeatures`.
        **params
            Its other Params, such as ``outputCol`` and ``pooling``.
        """
        return DeepFeatures(model=self, layer=layer, **params)

    def _save_more(self, folder: NewFolder) -> None:
        write_network(folder, self.fitted)

    def _load_more(self, folder: SavedFolder) -> None:
        self.fitted = read_network(folder)
        self._set(network=self.fitted.trained.entry.name)


class NetworkModel(RowModel, PredictorParams):
    """Base of the models of networks that learned labels.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds the
    prediction columns. It scores Arrow batches on the executors; a Python worker builds the network
    once.
    """

    @abstractmethod
    def prediction_columns(self) -> PredictionColumns:
        """Return the columns that ``transform`` adds, as `sparkwater.ml.scoring.prediction` makes them."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        features = fitted_features(dataset.schema, self.getFeaturesCols(), self.fitted)
        columns = RowColumns(offset=self.getOffsetCol())
        columns.check(dataset.schema)
        self.check_offsets(self.fitted.trained.task)
        return add_predictions(dataset, features, self.fitted, self.prediction_columns(), self, columns)
