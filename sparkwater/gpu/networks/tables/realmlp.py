"""RealMLP: a multi-layer perceptron with defaults that were tuned on many tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.tables.embeddings import PeriodicEmbedding
from sparkwater.gpu.networks.tables.inputs import TableInput
from sparkwater.gpu.networks.tables.layers import FeatureScale, LearnedActivation, ScheduledDropout, TangentLinear

#: Random rows by which the first weights are scaled.
_SAMPLE = 512


@register_network("realmlp")
def realmlp(
    shape: tuple[int, ...],
    outputs: int,
    *,
    numbers: int | None = None,
    categories: Sequence[int] = (),
    hidden: Sequence[int] = (256, 256, 256),
    activation: str = "selu",
    dropout: float = 0.15,
    dropout_curve: str = "flatCosine",
    frequencies: int = 16,
    frequency_deviation: float = 0.1,
    number_width: int = 4,
    one_hot: int = 9,
    category_width: int = 8,
) -> nn.Module:
    """RealMLP-TD: three hidden layers of 256 on periodic embeddings, in the neural tangent parametrisation.

    Holzmüller, Grinsztajn and Steinwart, Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data,
    2024. Numbers should be scaled robustly, with smooth clipping. The paper takes ``activation="selu"`` for classes
    and ``"mish"`` for numbers. It scales first weights by training rows; here random rows take their place, so that
    they follow from the seed alone.
    """
    embed = partial(PeriodicEmbedding, width=number_width, frequencies=frequencies, deviation=frequency_deviation)
    table = TableInput(shape, numbers, categories, one_hot=one_hot, width=category_width, embed=embed)
    network = nn.Sequential()
    network.add_module("table", table)
    network.add_module("scale", FeatureScale(table.features))
    for place, (inputs, units) in enumerate(pairwise([table.features, *hidden]), start=1):
        network.add_module(f"fc{place}", TangentLinear(inputs, units))
        network.add_module(f"activation{place}", LearnedActivation(activation, units))
        network.add_module(f"dropout{place}", ScheduledDropout(dropout, dropout_curve))
    sizes = [table.features, *hidden]
    network.add_module(f"fc{len(sizes)}", TangentLinear(sizes[-1], outputs))
    _scale_first_weights(network, table)
    return network


def _scale_first_weights(network: nn.Sequential, table: TableInput) -> None:
    rows = table.sample(_SAMPLE)
    with torch.no_grad():
        for layer in network.eval():
            if isinstance(layer, TangentLinear):
                if layer is network.get_submodule("fc1"):
                    table.blank_spares(layer.weight)
                layer.fit(rows)
            rows = layer(rows)
    network.train()
