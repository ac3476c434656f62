"""The result of a fit: a trained network, its inputs, and the training's summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.ml.columns.features import FeatureColumn, encoded_features, trained_features
from sparkwater.ml.reports.summary import TrainingSummary

if TYPE_CHECKING:
    from pyspark.sql import types as T

    from sparkwater.conversions.tables.stages import TableToTensorModel


@dataclass(frozen=True)
class FittedNetwork:
    """The network of a model, beside its Params.

    Attributes
    ----------
    trained : TrainedNetwork
        The network for scoring.
    spec : TensorSpec
        The tensor of one row.
    summary : TrainingSummary
        Summary of the training.
    encoder : TableToTensorModel or None
        What makes the tensors of raw columns; None for features columns.
    """

    trained: TrainedNetwork
    spec: TensorSpec
    summary: TrainingSummary
    encoder: TableToTensorModel | None = None


def fitted_features(schema: T.StructType, names: Sequence[str], fitted: FittedNetwork) -> FeatureColumn:
    """Return the columns that a network scores: those of its encoder, else the features columns.

    Raises
    ------
    SchemaError
        If a column is missing, or can't give such tensors as the network was trained on.
    ConfigurationError
        If other columns are asked for than those of the encoder.
    """
    if fitted.encoder is not None:
        own = [column.name for column in fitted.encoder.encoder.columns]
        if list(names) != own:
            raise ConfigurationError(
                f"the columns {list(names)!r} are set; this model reads those that it learned from, {own!r}: clear "
                "them, and train another model for others"
            )
        return encoded_features(schema, fitted.encoder)
    return trained_features(schema, names, fitted.spec)


class HasFittedNetwork(Protocol):
    """A model with a fitted network."""

    fitted: FittedNetwork

    def getFeaturesCols(self) -> list[str]:
        """Return the features columns."""
