"""Inception with batch normalisation."""

from __future__ import annotations

from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import Concatenation, is_small, named


@register_network("inception_bn", image_shape=(224, 224, 3), smallest=8)
def inception_bn(shape: tuple[int, ...], classes: int) -> nn.Module:
    """BN-Inception; 11,295,240 weights for 224 x 224 colour pictures and 1000 classes.

    After Ioffe and Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift, 2015, figure 5, without auxiliary classifiers. The figure's rows 4c and
    4d add up to 608 channels where it prints 576; the rows count, as in the replications for Caffe
    and MXNet. Convolutions have biases as they do there. Initial weights are He's; the paper names
    none. Below 64 pixels the first convolution is 3 x 3 with stride 1, and no pooling follows it:
    the network shrinks a picture by 8 and not by 32.
    """
    small = is_small(shape)
    network = named(
        conv1=_unit(shape[0], 64, 3) if small else _unit(shape[0], 64, 7, 2),
        **({} if small else {"pool1": _halved()}),
        conv2_reduce=_unit(64, 64, 1),
        conv2=_unit(64, 192, 3),
        pool2=_halved(),
        inception3a=_inception(192, 64, (64, 64), (64, 96), nn.AvgPool2d(3, 1, 1), 32),
        inception3b=_inception(256, 64, (64, 96), (64, 96), nn.AvgPool2d(3, 1, 1), 64),
        inception3c=_halving_inception(320, (128, 160), (64, 96)),
        inception4a=_inception(576, 224, (64, 96), (96, 128), nn.AvgPool2d(3, 1, 1), 128),
        inception4b=_inception(576, 192, (96, 128), (96, 128), nn.AvgPool2d(3, 1, 1), 128),
        inception4c=_inception(576, 160, (128, 160), (128, 160), nn.AvgPool2d(3, 1, 1), 128),
        inception4d=_inception(608, 96, (128, 192), (160, 192), nn.AvgPool2d(3, 1, 1), 128),
        inception4e=_halving_inception(608, (128, 192), (192, 256)),
        inception5a=_inception(1056, 352, (192, 320), (160, 224), nn.AvgPool2d(3, 1, 1), 128),
        inception5b=_inception(1024, 352, (192, 320), (192, 224), nn.MaxPool2d(3, 1, 1), 128),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(1024, classes),
    )
    return initialize(network, "he")


def _unit(channels: int, filters: int, size: int, stride: int = 1) -> nn.Sequential:
    return named(conv=nn.Conv2d(channels, filters, size, stride, size // 2), bn=nn.BatchNorm2d(filters), relu=nn.ReLU())


def _halved() -> nn.Module:
    return nn.MaxPool2d(3, 2, 1)


def _branch3x3(channels: int, narrow: int, filters: int, stride: int = 1) -> nn.Module:
    return named(reduce=_unit(channels, narrow, 1), conv=_unit(narrow, filters, 3, stride))


def _branch_double(channels: int, narrow: int, filters: int, stride: int = 1) -> nn.Module:
    return named(
        reduce=_unit(channels, narrow, 1), conv1=_unit(narrow, filters, 3), conv2=_unit(filters, filters, 3, stride)
    )


def _inception(
    channels: int, single: int, three: tuple[int, int], double: tuple[int, int], pool: nn.Module, pooled: int
) -> nn.Module:
    """Return a row of figure 5; pairs are the filters of a reduction and of what follows it."""
    return Concatenation(
        branch1x1=_unit(channels, single, 1),
        branch3x3=_branch3x3(channels, *three),
        branch_double=_branch_double(channels, *double),
        branch_pool=named(pool=pool, conv=_unit(channels, pooled, 1)),
    )


def _halving_inception(channels: int, three: tuple[int, int], double: tuple[int, int]) -> nn.Module:
    """Return a row of figure 5 with stride 2, whose pooled channels pass through."""
    return Concatenation(
        branch3x3=_branch3x3(channels, *three, stride=2),
        branch_double=_branch_double(channels, *double, stride=2),
        branch_pool=_halved(),
    )
