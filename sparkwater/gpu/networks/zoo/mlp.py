"""A multi-layer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import named


@register_network("mlp", image_shape=(28, 28, 1))
def mlp(
    shape: tuple[int, ...],
    classes: int,
    hidden: Sequence[int] = (200, 200),
    dropout: float = 0.0,
    input_dropout: float = 0.0,
) -> nn.Module:
    """Two hidden layers of 200 rectified units; 199,210 weights for 28 x 28 grey pictures and ten classes.

    The default of H2O's Deep Learning (Candel, Parmar, LeDell and Arora, Deep Learning with H2O, 2016),
    with the initial weights that it calls uniform adaptive: Glorot and Bengio's. It takes inputs of
    any shape, which needn't be pictures. ``hidden`` gives the layers other sizes, or another number; in
    training a share of ``dropout`` of each hidden layer's units, and of ``input_dropout`` of the inputs, is
    left out: H2O's ``hidden_dropout_ratios`` and ``input_dropout_ratio``.
    """
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    if input_dropout:
        layers["input_dropout"] = nn.Dropout(input_dropout)
    sizes = [math.prod(shape), *hidden]
    for place, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        layers[f"fc{place}"] = nn.Linear(inputs, outputs)
        layers[f"relu{place}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{place}"] = nn.Dropout(dropout)
    layers[f"fc{len(sizes)}"] = nn.Linear(sizes[-1], classes)
    return initialize(named(**layers), "xavier")
