"""A network for digits that halves pictures by strided convolutions."""

from __future__ import annotations

from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import named


@register_network("stridednet", image_shape=(28, 28, 1), smallest=25)
def stridednet(shape: tuple[int, ...], classes: int, filters: int = 32) -> nn.Module:
    """Seven convolutions, two of them of stride 2; 325,994 weights for 28 x 28 grey pictures and ten classes.

    After Deotte, How to Choose CNN Architecture MNIST, 2018: two groups of 3 x 3, 3 x 3 and 5 x 5 filters, of which the
    last halves the picture, and 4 x 4 filters for what is left. Batches are normalised before each rectifier, and no
    unit is dropped. ``filters`` are those of a layer of the first group; the second has twice, the last layer four
    times as many.
    """
    if filters < 1:
        raise ConfigurationError(f"stridednet has filters={filters}; accepted: integers from 1 up")
    return named(
        conv1=_unit(shape[0], filters, 3),
        conv2=_unit(filters, filters, 3),
        conv3=_unit(filters, filters, 5, halve=True),
        conv4=_unit(filters, 2 * filters, 3),
        conv5=_unit(2 * filters, 2 * filters, 3),
        conv6=_unit(2 * filters, 2 * filters, 5, halve=True),
        conv7=_unit(2 * filters, 4 * filters, 4),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(4 * filters, classes),
    )


def _unit(channels: int, filters: int, size: int, *, halve: bool = False) -> nn.Sequential:
    stride, padding = (2, size // 2) if halve else (1, 0)
    return named(
        conv=nn.Conv2d(channels, filters, size, stride, padding, bias=False),
        bn=nn.BatchNorm2d(filters),
        relu=nn.ReLU(),
    )
