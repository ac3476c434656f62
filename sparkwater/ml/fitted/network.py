"""What a fit gives: a network with all that scoring needs, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.ml.reports.summary import TrainingSummary


@dataclass(frozen=True)
class FittedNetwork:
    """What a model holds beside its Params.

    Attributes
    ----------
    trained : TrainedNetwork
        What scores.
    spec : TensorSpec
        The tensor of one row.
    summary : TrainingSummary
        What the training did.
    """

    trained: TrainedNetwork
    spec: TensorSpec
    summary: TrainingSummary
