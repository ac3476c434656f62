"""A multi-layer perceptron."""

from __future__ import annotations

import math

from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.layers import named
from sparkwater.gpu.networks.registry import register_network


@register_network("mlp", image_shape=(28, 28, 1))
def mlp(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Two hidden layers of 200 rectified units; 199,210 weights for 28 x 28 grey pictures and ten classes.

    The default of H2O's Deep Learning (Candel, Parmar, LeDell and Arora, Deep Learning with H2O, 2016),
    with the initial weights that it calls uniform adaptive: Glorot and Bengio's. It takes inputs of
    any shape, which needn't be pictures.
    """
    network = named(
        flatten=nn.Flatten(),
        fc1=nn.Linear(math.prod(shape), 200),
        relu1=nn.ReLU(),
        fc2=nn.Linear(200, 200),
        relu2=nn.ReLU(),
        fc3=nn.Linear(200, classes),
    )
    return initialize(network, "xavier")
