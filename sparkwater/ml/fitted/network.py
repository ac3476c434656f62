"""The result of a fit: a trained network, its inputs, and the training's summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.ml.reports.summary import TrainingSummary


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
    """

    trained: TrainedNetwork
    spec: TensorSpec
    summary: TrainingSummary


class HasFittedNetwork(Protocol):
    """A model with a fitted network."""

    fitted: FittedNetwork

    def getFeaturesCols(self) -> list[str]:
        """Return the features columns."""
