"""Early stopping, and the best epoch's weights.

Decisions follow from numbers that all ranks have, so all ranks decide alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn


def has_converged(values: Sequence[float], rounds: int, tolerance: float, larger: bool) -> bool:
    """Return whether a metric has stopped improving, by H2O's rule.

    Of the last ``2 * rounds`` values, the moving averages over ``rounds`` of them are compared: the
    best of the later ones must be better than the first by more than ``tolerance``, a share of it.

    Parameters
    ----------
    values : sequence of float
        The metric after each epoch so far.
    rounds : int
        Epochs of a moving average; 0 for never.
    tolerance : float
        H2O's ``stopping_tolerance``.
    larger : bool
        Whether larger values are better.
    """
    if not rounds or len(values) < 2 * rounds:
        return False
    last = values[-2 * rounds :]
    first, *later = (sum(last[start : start + rounds]) / rounds for start in range(rounds + 1))
    gain = max(later) - first if larger else first - min(later)
    return gain <= tolerance * abs(first)


@dataclass(frozen=True)
class Best:
    """The network as it was after its best epoch.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    value : float
        The metric.
    weights : torch.Tensor
        A copy of `sparkwater.gpu.training.flat_parameters.FlatParameters.values`.
    buffers : dict of str to torch.Tensor
        Copies of the network's buffers.
    """

    epoch: int
    value: float
    weights: torch.Tensor
    buffers: dict[str, torch.Tensor]

    @classmethod
    def of(cls, network: nn.Module, weights: torch.Tensor, epoch: int, value: float) -> Best:
        """Return a copy of a network's state."""
        return cls(epoch, value, weights.clone(), {name: buffer.clone() for name, buffer in network.named_buffers()})

    def restore(self, network: nn.Module, weights: torch.Tensor) -> None:
        """Give a network this state."""
        weights.copy_(self.weights)
        for name, buffer in network.named_buffers():
            buffer.copy_(self.buffers[name])

    def beaten_by(self, value: float, larger: bool) -> bool:
        """Return whether a value is better; of equal ones the earlier epoch stays."""
        return value > self.value if larger else value < self.value
