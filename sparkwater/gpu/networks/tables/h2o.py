"""The network of H2O's Deep Learning."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.tables.inputs import TableInput

ACTIVATIONS = ("rectifier", "tanh", "maxout")
DISTRIBUTIONS = ("uniform_adaptive", "uniform", "normal")


class Maxout(nn.Module):
    """The larger of two values for each unit: ``(rows, 2 * units)`` to ``(rows, units)``."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the maxima."""
        return torch.maximum(*rows.chunk(2, dim=1))


@register_network("h2o")
def h2o_mlp(
    shape: tuple[int, ...],
    outputs: int,
    *,
    numbers: int | None = None,
    categories: Sequence[int] = (),
    hidden: Sequence[int] = (200, 200),
    activation: str = "rectifier",
    input_dropout: float = 0.0,
    hidden_dropouts: Sequence[float] = (),
    initial_weights: str = "uniform_adaptive",
    initial_scale: float = 1.0,
    classes: bool = False,
) -> nn.Module:
    """H2O's perceptron: rectified, tanh or maxout units, all categories as flags, and H2O's first weights.

    Candel, Parmar, LeDell and Arora, Deep Learning with H2O, 2016. ``input_dropout`` and ``hidden_dropouts``, one a
    layer, are H2O's ``input_dropout_ratio`` and ``hidden_dropout_ratios``; ``initial_weights`` and ``initial_scale``
    its ``initial_weight_distribution`` and ``initial_weight_scale``. Hidden biases begin at 0.5 in the first layer and
    1 in the others, with tanh at 0; for ``classes`` the weights of the outputs begin four times as large.
    """
    _check(activation, hidden, hidden_dropouts, initial_weights)
    table = TableInput(shape, numbers, categories, one_hot=2**24)
    network = nn.Sequential()
    network.add_module("table", table)
    if input_dropout:
        network.add_module("input_dropout", nn.Dropout(input_dropout))
    for place, (inputs, units) in enumerate(pairwise([table.features, *hidden])):
        layer = nn.Linear(inputs, units * (1 + (activation == "maxout")))
        _draw(layer, units, initial_weights, initial_scale)
        if place == 0:
            table.blank_spares(layer.weight)
        if activation != "tanh":
            nn.init.constant_(layer.bias, 1.0 if place else 0.5)
        network.add_module(f"fc{place + 1}", layer)
        network.add_module(f"{activation}{place + 1}", _activation(activation))
        if hidden_dropouts and hidden_dropouts[place]:
            network.add_module(f"dropout{place + 1}", nn.Dropout(hidden_dropouts[place]))
    last = nn.Linear([table.features, *hidden][-1], outputs)
    _draw(last, outputs, initial_weights, initial_scale)
    if classes and initial_weights == "uniform_adaptive":
        with torch.no_grad():
            last.weight.mul_(4)
    network.add_module(f"fc{len(hidden) + 1}", last)
    return network


def _check(activation: str, hidden: Sequence[int], dropouts: Sequence[float], distribution: str) -> None:
    if activation not in ACTIVATIONS:
        raise ConfigurationError(f"activation={activation!r} is unknown; accepted: {', '.join(ACTIVATIONS)}")
    if distribution not in DISTRIBUTIONS:
        raise ConfigurationError(f"initial_weights={distribution!r} is unknown; accepted: {', '.join(DISTRIBUTIONS)}")
    if dropouts and len(dropouts) != len(hidden):
        raise ConfigurationError(
            f"hidden_dropouts={list(dropouts)!r} for {len(hidden)} hidden layers; give one a layer"
        )


def _activation(name: str) -> nn.Module:
    return {"rectifier": nn.ReLU, "tanh": nn.Tanh, "maxout": Maxout}[name]()


def _draw(layer: nn.Linear, units: int, distribution: str, scale: float) -> None:
    nn.init.zeros_(layer.bias)
    if distribution == "normal":
        nn.init.normal_(layer.weight, std=scale)
    else:
        bound = (6 / (layer.in_features + units)) ** 0.5 if distribution == "uniform_adaptive" else scale
        nn.init.uniform_(layer.weight, -bound, bound)
