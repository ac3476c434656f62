"""A small residual network for small pictures."""

from __future__ import annotations

from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.layers import Residual, named
from sparkwater.gpu.networks.registry import register_network


@register_network("convnet", image_shape=(32, 32, 3), smallest=8)
def convnet(shape: tuple[int, ...], classes: int) -> nn.Module:
    """ResNet-9 at half its width; 1,646,122 weights for 32 x 32 colour pictures and ten classes.

    After Page, How to Train Your ResNet, 2018, once the fastest entry for CIFAR-10 in Stanford's
    DAWNBench: nine layers with weights, here with half the filters so that CPUs train it too, and with
    He's initial weights. It ends in means over positions where Page's has scaled maxima: they train
    at larger learning rates. The number of weights is the same for pictures of all sizes.
    """
    network = named(
        conv1=_unit(shape[0], 32),
        layer1=_halving(32, 64),
        residual1=named(Residual, conv1=_unit(64, 64), conv2=_unit(64, 64)),
        layer2=_halving(64, 128),
        layer3=_halving(128, 256),
        residual3=named(Residual, conv1=_unit(256, 256), conv2=_unit(256, 256)),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(256, classes),
    )
    return initialize(network, "he")


def _unit(channels: int, filters: int) -> nn.Sequential:
    return named(
        conv=nn.Conv2d(channels, filters, 3, padding=1, bias=False), bn=nn.BatchNorm2d(filters), relu=nn.ReLU()
    )


def _halving(channels: int, filters: int) -> nn.Sequential:
    return named(conv=_unit(channels, filters), pool=nn.MaxPool2d(2))
