"""Penalty on the mean activations of hidden units, for sparse autoencoders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.training.validation import evaluating

#: Activations that have a lower and an upper bound, which the divergence needs; and the bounds.
BOUNDED: dict[type[nn.Module], tuple[float, float]] = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0)}

#: Least share of the bounds' distance between a mean and a bound: at a bound the divergence has no slope.
_LEAST = 1e-4


class Sparsity:
    """Kullback-Leibler divergence of each hidden unit's mean activation from the mean that is asked for.

    With both means brought to (0, 1) by the bounds of the activation, ``rho`` the one asked for and ``r`` the
    unit's, the penalty is ``beta`` times the sum over units of
    ``rho log(rho / r) + (1 - rho) log((1 - rho) / (1 - r))`` (Ng, Sparse Autoencoder, lecture notes of Stanford's
    CS294A, 2011, section 3). H2O has the same Params and a running mean of one unit at a time.

    Means are those of the global batch, by the rows' weights: one sum over the ranks in each step, before the
    backward pass. So what is learned doesn't depend on the number of ranks. A unit of a map is a channel, whose mean
    goes over positions as well.

    Parameters
    ----------
    compute : Compute
        The network in training; its layers of a type in `BOUNDED` are penalised.
    mean : float
        The mean activation to aim for, within the bounds of each such layer.
    beta : float
        Weight of the penalty.
    blocks : iterable of torch.Tensor
        This rank's rows, of which the first is tried; there may be none.
    communicator : Communicator
        Open; every rank makes one of these at the same time.

    Raises
    ------
    ConfigurationError
        If the network has no such layer, or the mean is out of its bounds.
    """

    def __init__(
        self, compute: Compute, mean: float, beta: float, blocks: Iterable[torch.Tensor], communicator: Communicator
    ) -> None:
        self._layers = bounded_layers(compute.network, mean)
        self._beta, self._communicator, self._device = beta, communicator, compute.device
        self._found: dict[nn.Module, torch.Tensor] = {}
        self._hooks = [layer.register_forward_hook(self._keep) for layer in self._layers]
        self._units = self._measure(compute, blocks)
        self._asked = torch.cat(
            [torch.full((units,), _share(layer, mean)) for layer, units in zip(self._layers, self._units, strict=True)]
        ).to(self._device, torch.float64)

    def penalties(self, weights: torch.Tensor | None) -> torch.Tensor:
        """Return numbers to add to the losses of the rows that went through the network last, ``(rows,)``.

        They are 0, and have the gradient of the penalty where rows are summed by weight and divided by the weight of
        the global batch.

        Parameters
        ----------
        weights : torch.Tensor or None
            Weights of the rows; 1 each by default.
        """
        activations = torch.cat([_of_units(layer, self._found.pop(layer)) for layer in self._layers], dim=1)
        with torch.no_grad():
            counts = activations.new_ones(len(activations)) if weights is None else weights
            means = self._global_means(counts.double() @ activations.double(), counts.double().sum())
            slopes = self._beta * ((1 - self._asked) / (1 - means) - self._asked / means)
        linear = activations @ slopes.to(activations.dtype)
        return linear - linear.detach()

    def add_nothing(self) -> None:
        """Take part in a step for which this rank has no rows."""
        self._global_means(torch.zeros_like(self._asked), torch.zeros((), dtype=torch.float64, device=self._device))

    def close(self) -> None:
        """Let go of the network: it keeps no activations any more."""
        for hook in self._hooks:
            hook.remove()
        self._found.clear()

    def _global_means(self, sums: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        message = torch.cat([sums, count[None]])
        self._communicator.all_reduce_(message)
        return (message[:-1] / message[-1]).clamp(_LEAST, 1 - _LEAST)

    def _keep(self, layer: nn.Module, inputs: Any, outputs: torch.Tensor) -> None:
        del inputs
        if layer.training:
            self._found[layer] = outputs

    def _measure(self, compute: Compute, blocks: Iterable[torch.Tensor]) -> list[int]:
        """Return the units of each layer: ranks without rows are told by the others."""
        widths: dict[nn.Module, int] = {}

        def note(layer: nn.Module, inputs: Any, outputs: torch.Tensor) -> None:
            del inputs
            widths[layer] = outputs.shape[1]

        hooks = [layer.register_forward_hook(note) for layer in self._layers]
        for block in blocks:
            with evaluating(compute.network), torch.no_grad():
                compute.outputs(block[:1])
            break
        for hook in hooks:
            hook.remove()
        message = torch.tensor([*(widths.get(layer, 0) for layer in self._layers), bool(widths)], dtype=torch.float64)
        message = message.to(self._device)
        self._communicator.all_reduce_(message)
        *sums, ranks = message.tolist()
        return [round(total / ranks) for total in sums]


def bounded_layers(network: nn.Module, mean: float) -> list[nn.Module]:
    """Return a network's layers whose activations have bounds.

    Raises
    ------
    ConfigurationError
        If there is none, or a mean isn't between the bounds of one.
    """
    layers = [layer for layer in network.modules() if type(layer) in BOUNDED]
    if not layers:
        raise ConfigurationError(
            "sparsityBeta needs hidden layers of bounded activations, torch.nn.Sigmoid or torch.nn.Tanh, and the "
            "network has none: set activation='sigmoid' or 'tanh'"
        )
    for lowest, highest in (BOUNDED[type(layer)] for layer in layers):
        if not lowest < mean < highest:
            raise ConfigurationError(
                f"averageActivation={mean!r} with sparsityBeta; accepted for this activation: numbers above "
                f"{lowest:g} and below {highest:g}"
            )
    return layers


def _share(layer: nn.Module, value: Any) -> Any:
    """Return values of a layer, brought to (0, 1)."""
    lowest, highest = BOUNDED[type(layer)]
    return (value - lowest) / (highest - lowest)


def _of_units(layer: nn.Module, outputs: torch.Tensor) -> torch.Tensor:
    """Return a layer's activations by unit, ``(rows, units)``, brought to (0, 1)."""
    units = outputs if outputs.dim() == 2 else outputs.flatten(2).mean(dim=2)
    shares: torch.Tensor = _share(layer, units.float())
    return shares
