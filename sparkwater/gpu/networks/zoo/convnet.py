"""A small residual network for small pictures."""

from __future__ import annotations

from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import Residual, named


@register_network("convnet", image_shape=(32, 32, 3), smallest=8)
def convnet(shape: tuple[int, ...], classes: int, filters: int = 32) -> nn.Module:
    """ResNet-9 at half its width; 1,646,122 weights for 32 x 32 colour pictures and ten classes.

    After Page, How to Train Your ResNet, 2018, once the fastest entry for CIFAR-10 in Stanford's
    DAWNBench: nine layers with weights, here with half the filters so that CPUs train it too, and with
    He's initial weights. It ends in means over positions where Page's has scaled maxima: they train
    at larger learning rates. The number of weights is the same for pictures of all sizes. ``filters``
    are those of the first layer; the last has eight times as many. Page's has 64.
    """
    if filters < 1:
        raise ConfigurationError(f"convnet has filters={filters}; accepted: integers from 1 up")
    network = named(
        conv1=_unit(shape[0], filters),
        layer1=_halving(filters, 2 * filters),
        residual1=named(Residual, conv1=_unit(2 * filters, 2 * filters), conv2=_unit(2 * filters, 2 * filters)),
        layer2=_halving(2 * filters, 4 * filters),
        layer3=_halving(4 * filters, 8 * filters),
        residual3=named(Residual, conv1=_unit(8 * filters, 8 * filters), conv2=_unit(8 * filters, 8 * filters)),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(8 * filters, classes),
    )
    return initialize(network, "he")


def _unit(channels: int, filters: int) -> nn.Sequential:
    return named(
        conv=nn.Conv2d(channels, filters, 3, padding=1, bias=False), bn=nn.BatchNorm2d(filters), relu=nn.ReLU()
    )


def _halving(channels: int, filters: int) -> nn.Sequential:
    return named(conv=_unit(channels, filters), pool=nn.MaxPool2d(2))
