"""GoogLeNet, the first Inception network."""

from __future__ import annotations

from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import Concatenation, is_small, named


@register_network("googlenet", image_shape=(224, 224, 3), smallest=8)
def googlenet(shape: tuple[int, ...], classes: int) -> nn.Module:
    """GoogLeNet as published; 6,998,552 weights for 224 x 224 colour pictures and 1000 classes.

    After Szegedy and others, Going Deeper with Convolutions, 2015: 5 x 5 filters, local response
    normalisation and no batch normalisation (`inception_bn` has it), without the auxiliary classifiers.
    The number of weights is that of Caffe's replication. The paper doesn't say how it draws weights;
    these are He's. Below 64 pixels the first convolution is 3 x 3 with stride 1, and no pooling follows
    it: the network shrinks a picture by 8 and not by 32.
    """
    small = is_small(shape)
    network = named(
        conv1=nn.Conv2d(shape[0], 64, 3, 1, 1) if small else nn.Conv2d(shape[0], 64, 7, 2, 3),
        relu1=nn.ReLU(),
        **({} if small else {"pool1": _halved()}),
        norm1=nn.LocalResponseNorm(5),
        conv2_reduce=nn.Conv2d(64, 64, 1),
        relu2_reduce=nn.ReLU(),
        conv2=nn.Conv2d(64, 192, 3, padding=1),
        relu2=nn.ReLU(),
        norm2=nn.LocalResponseNorm(5),
        pool2=_halved(),
        inception3a=_inception(192, 64, (96, 128), (16, 32), 32),
        inception3b=_inception(256, 128, (128, 192), (32, 96), 64),
        pool3=_halved(),
        inception4a=_inception(480, 192, (96, 208), (16, 48), 64),
        inception4b=_inception(512, 160, (112, 224), (24, 64), 64),
        inception4c=_inception(512, 128, (128, 256), (24, 64), 64),
        inception4d=_inception(512, 112, (144, 288), (32, 64), 64),
        inception4e=_inception(528, 256, (160, 320), (32, 128), 128),
        pool4=_halved(),
        inception5a=_inception(832, 256, (160, 320), (32, 128), 128),
        inception5b=_inception(832, 384, (192, 384), (48, 128), 128),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout=nn.Dropout(0.4),
        fc=nn.Linear(1024, classes),
    )
    return initialize(network, "he")


def _halved() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _inception(channels: int, single: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> nn.Module:
    """Return one row of the paper's table 1; pairs are the filters of a reduction and of what follows it."""
    return Concatenation(
        branch1x1=named(conv=nn.Conv2d(channels, single, 1), relu=nn.ReLU()),
        branch3x3=_reduced(channels, *three, size=3),
        branch5x5=_reduced(channels, *five, size=5),
        branch_pool=named(pool=nn.MaxPool2d(3, 1, 1), conv=nn.Conv2d(channels, pooled, 1), relu=nn.ReLU()),
    )


def _reduced(channels: int, narrow: int, filters: int, size: int) -> nn.Module:
    return named(
        reduce=nn.Conv2d(channels, narrow, 1),
        relu_reduce=nn.ReLU(),
        conv=nn.Conv2d(narrow, filters, size, padding=size // 2),
        relu=nn.ReLU(),
    )
