"""A plain perceptron for tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.tables.inputs import TableInput


@register_network("table_mlp")
def table_mlp(
    shape: tuple[int, ...],
    outputs: int,
    *,
    numbers: int | None = None,
    categories: Sequence[int] = (),
    hidden: Sequence[int] = (256, 256, 256),
    dropout: float = 0.1,
    one_hot: int = 9,
    category_width: int = 8,
) -> nn.Module:
    """Three hidden layers of 256 with layer normalisation, SiLU and dropout.

    Layer normalisation (Ba, Kiros and Hinton, 2016) is the same on any number of workers, as that of batches is not.
    """
    table = TableInput(shape, numbers, categories, one_hot=one_hot, width=category_width)
    network = nn.Sequential()
    network.add_module("table", table)
    for place, (inputs, units) in enumerate(pairwise([table.features, *hidden]), start=1):
        layer = nn.Linear(inputs, units)
        if place == 1:
            table.blank_spares(layer.weight)
        network.add_module(f"fc{place}", layer)
        network.add_module(f"norm{place}", nn.LayerNorm(units))
        network.add_module(f"silu{place}", nn.SiLU())
        network.add_module(f"dropout{place}", nn.Dropout(dropout))
    network.add_module(f"fc{len(hidden) + 1}", nn.Linear([table.features, *hidden][-1], outputs))
    return network
