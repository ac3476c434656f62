"""A multi-layer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import named


class _CenteredNorm(nn.BatchNorm1d):
    """Batch normalisation with a learned shift and without a scale, which a rectified unit passes on anyway."""

    def __init__(self, units: int) -> None:
        super().__init__(units)
        self.register_parameter("weight", None)


class _NormalizedLinear(nn.Linear):
    """Linear layer of outputs that are normalised by the batch, shifted, and multiplied by one learned number."""

    def __init__(self, units: int, outputs: int) -> None:
        super().__init__(units, outputs, bias=False)
        self.norm = _CenteredNorm(outputs)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs, ``(rows, outputs)``, in float32."""
        # Around 3, numbers of bfloat16 are 1/64 apart, and the scale multiplies that: too coarse for probabilities.
        normalized: torch.Tensor = self.norm(super().forward(inputs).float())
        return normalized * self.scale


@register_network("mlp", image_shape=(28, 28, 1))
def mlp(
    shape: tuple[int, ...],
    classes: int,
    hidden: Sequence[int] = (200, 200),
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    batch_norm: bool = False,
) -> nn.Module:
    """Two hidden layers of 200 rectified units; 199,210 weights for 28 x 28 grey pictures and ten classes.

    The default of H2O's Deep Learning (Candel, Parmar, LeDell and Arora, Deep Learning with H2O, 2016),
    with the initial weights that it calls uniform adaptive: Glorot and Bengio's. It takes inputs of
    any shape, which needn't be pictures. ``hidden`` gives the layers other sizes, or another number; in
    training a share of ``dropout`` of each hidden layer's units, and of ``input_dropout`` of the inputs, is
    left out: H2O's ``hidden_dropout_ratios`` and ``input_dropout_ratio``. With ``batch_norm`` the sums of each
    hidden layer's units are normalised by the batch before they are rectified (Ioffe and Szegedy, Batch
    Normalization, 2015), and get a learned shift in place of the layer's bias; so do the outputs, which one learned
    number multiplies: the perceptrons of Rasmus, Valpola, Honkala, Berglund and Raiko, Semi-Supervised Learning with
    Ladder Networks, 2015.
    """
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    if input_dropout:
        layers["input_dropout"] = nn.Dropout(input_dropout)
    sizes = [math.prod(shape), *hidden]
    for place, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        layers[f"fc{place}"] = nn.Linear(inputs, outputs, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{place}"] = _CenteredNorm(outputs)
        layers[f"relu{place}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{place}"] = nn.Dropout(dropout)
    layers[f"fc{len(sizes)}"] = (_NormalizedLinear if batch_norm else nn.Linear)(sizes[-1], classes)
    return initialize(named(**layers), "xavier")
