"""Autoencoders: networks whose outputs are their own inputs again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.tables.inputs import TableInput
from sparkwater.gpu.networks.zoo.blocks import named

#: Activations of hidden layers, by H2O's names where H2O has them.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"rectifier": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class GaussianNoise(nn.Module):
    """Normal noise on inputs, in training only (Bishop, Training with Noise Is Equivalent to Tikhonov, 1995).

    Parameters
    ----------
    deviation : float
        Standard deviation of the noise.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the inputs, with noise in training."""
        return inputs + self.deviation * torch.randn_like(inputs) if self.training else inputs


@register_network("autoencoder", image_shape=(28, 28, 1))
def autoencoder(
    shape: tuple[int, ...],
    classes: int,
    hidden: Sequence[int] = (256, 8, 256),
    activation: str = "rectifier",
    input_dropout: float = 0.0,
    noise: float = 0.0,
    numbers: int | None = None,
    categories: Sequence[int] = (),
) -> nn.Module:
    """Dense layers with a narrow one in the middle; 410,136 weights for 28 x 28 grey pictures that it gives back.

    After Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006, trained at once
    and not layer by layer. ``hidden`` are the sizes of all layers between input and output, as in H2O's. They have
    the ``activation``: ``rectifier``, ``tanh`` or ``sigmoid``. Of rectifiers the narrowest of several layers has none:
    half of its few numbers would be 0. In training a share of
    ``input_dropout`` of the inputs is set to 0 and normal noise of the deviation ``noise`` added, and the clean inputs
    stay the target (Vincent, Larochelle, Bengio and Manzagol, Extracting and Composing Robust Features with
    Denoising Autoencoders, 2008). Layers are named as those of `mlp`, which takes their weights. Rows of tables have
    so many ``numbers``, and then an id of each of the ``categories``: see `TableInput`.
    """
    if activation not in ACTIVATIONS:
        raise ConfigurationError(f"activation={activation!r}; accepted: {', '.join(ACTIVATIONS)}")
    table = TableInput(shape, numbers, categories) if categories else None
    first: dict[str, nn.Module] = {"flatten": nn.Flatten()} if table is None else {"input": table}
    layers = {**first, **_corruption(input_dropout, noise)}
    sizes = [math.prod(shape) if table is None else table.features, *hidden]
    for place, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        layers[f"fc{place}"] = nn.Linear(inputs, outputs)
        if not (activation == "rectifier" and len(hidden) > 1 and list(hidden).index(min(hidden)) == place - 1):
            layers[f"{activation}{place}"] = ACTIVATIONS[activation]()
    layers[f"fc{len(sizes)}"] = nn.Linear(sizes[-1], classes)
    return initialize(named(**layers), "xavier")


def _corruption(input_dropout: float, noise: float) -> dict[str, nn.Module]:
    """Return layers that corrupt inputs in training."""
    layers: dict[str, nn.Module] = {"input_dropout": nn.Dropout(input_dropout), "input_noise": GaussianNoise(noise)}
    return {name: layers[name] for name, asked in zip(layers, (input_dropout, noise), strict=True) if asked}


@register_network("conv_autoencoder", image_shape=(28, 28, 1))
def conv_autoencoder(
    shape: tuple[int, ...],
    classes: int,
    code: int = 32,
    filters: int = 16,
    input_dropout: float = 0.0,
    noise: float = 0.0,
) -> nn.Module:
    """Two convolutions that halve a picture, ``code`` numbers, and the way back; 118,641 weights for 28 x 28 grey ones.

    After Masci, Meier, Ciresan and Schmidhuber, Stacked Convolutional Auto-Encoders for Hierarchical Feature
    Extraction, 2011, with strides in place of pooling. The first layer has ``filters`` filters, the second twice as
    many. ``input_dropout`` and ``noise`` are those of `autoencoder`. Pictures have any size and number of channels.
    Asked for another number of outputs than a picture has values, it is its encoder with a linear layer on top: a
    classifier that takes the weights of a trained autoencoder.
    """
    channels, height, width = shape
    sizes = [(height, width)]
    for _ in range(2):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    (rows, columns), flat = sizes[-1], 2 * filters * math.prod(sizes[-1])
    encoder: dict[str, nn.Module] = {
        **_corruption(input_dropout, noise),
        "conv1": nn.Conv2d(channels, filters, 3, stride=2, padding=1),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1),
        "relu2": nn.ReLU(),
        "flatten": nn.Flatten(),
        "code": nn.Linear(flat, code),
    }
    if classes != math.prod(shape):
        return initialize(named(**encoder, relu3=nn.ReLU(), fc=nn.Linear(code, classes)), "xavier")
    decoder = {
        "fc3": nn.Linear(code, flat),
        "relu3": nn.ReLU(),
        "unflatten": nn.Unflatten(1, (2 * filters, rows, columns)),
        "deconv2": _doubling(2 * filters, filters, sizes[1]),
        "relu4": nn.ReLU(),
        "deconv1": _doubling(filters, channels, sizes[0]),
        "values": nn.Flatten(),
    }
    return initialize(named(**encoder, **decoder), "xavier")


def _doubling(inputs: int, outputs: int, size: tuple[int, int]) -> nn.Module:
    """Return the way back to a size from half of it, rounded up."""
    added = (1 - size[0] % 2, 1 - size[1] % 2)
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=added)
