"""Moving average of a network's weights over the steps of its training.

The averaged network predicts better than the last one, whose weights still wander by the noise of its batches: Polyak
and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; with a decay Tarvainen and Valpola, Mean
Teachers Are Better Role Models, 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

#: Inverse of the part of a training so far that an average is of, at most.
_REACH = 10


class WeightAverage:
    """Averages of weights, and of the statistics that belong to them.

    After step ``t`` the values of step ``s`` have weights in proportion to ``decay ** (t - s)``. A training has to be
    long for that: in its first steps, where ``decay`` would reach back over most of them, a step takes the share
    ``10 / (t + 9)``, so that an average is of about the last tenth of the steps so far. The first weights have no part
    in it. Buffers of floating point, such as the statistics of batch normalisation, are averaged in the same way, for
    they are those of the weights of their steps; others, and those with infinities, stay as they are.

    Parameters
    ----------
    network : torch.nn.Module
        At the beginning of its training.
    weights : torch.Tensor
        Its `sparkwater.gpu.training.flat_parameters.FlatParameters.values`.
    decay : float
        In (0, 1).

    Attributes
    ----------
    weights : torch.Tensor
        The averages of the weights.
    buffers : dict of str to torch.Tensor
        The averages of buffers by their names, this rank's own.
    """

    def __init__(self, network: nn.Module, weights: torch.Tensor, decay: float) -> None:
        self._decay = decay
        self.weights = weights.clone()
        self.buffers = {
            name: buffer.clone()
            for name, buffer in network.named_buffers()
            if buffer.is_floating_point() and bool(buffer.isfinite().all())
        }

    def add(self, network: nn.Module, weights: torch.Tensor, steps: int) -> None:
        """Add the weights and buffers after a step.

        Parameters
        ----------
        network : torch.nn.Module
            The network.
        weights : torch.Tensor
            Its weights.
        steps : int
            Steps so far, this one included.
        """
        share = max(1 - self._decay, _REACH / (steps + _REACH - 1))
        self.weights.lerp_(weights, share)
        for mean, value in self._pairs(network):
            mean.lerp_(value, share)

    @contextmanager
    def applied(self, network: nn.Module, weights: torch.Tensor) -> Iterator[None]:
        """Give a network the averages inside the ``with`` block, and its own values back after it."""
        pairs = [(self.weights, weights), *self._pairs(network)]
        own = [value.clone() for _, value in pairs]
        for mean, value in pairs:
            value.copy_(mean)
        try:
            yield
        finally:
            for (_, value), kept in zip(pairs, own, strict=True):
                value.copy_(kept)

    def restore(self, network: nn.Module, weights: torch.Tensor) -> None:
        """Give a network the averages."""
        for mean, value in [(self.weights, weights), *self._pairs(network)]:
            value.copy_(mean)

    def _pairs(self, network: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return each average of a buffer, and the buffer; looked up anew, for a network may replace it."""
        if not self.buffers:
            return []
        own = dict(network.named_buffers())
        return [(mean, own[name]) for name, mean in self.buffers.items()]
