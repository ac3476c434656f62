"""Residual networks with 18, 34 and 50 layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import is_small, named


@register_network("resnet18", image_shape=(224, 224, 3), smallest=8)
def resnet18(shape: tuple[int, ...], classes: int) -> nn.Module:
    """ResNet with 18 layers; 11,689,512 weights for 224 x 224 colour pictures and 1000 classes.

    After He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016, table 1, with
    projections where the shape changes (option B) and He's initial weights. Names of weights are
    torchvision's, so that its weights fit. Below 64 pixels the first convolution is 3 x 3 with stride 1, and
    no pooling follows it, as in the paper's networks for CIFAR-10: the network shrinks a picture by
    8 and not by 32.
    """
    return _resnet(shape, classes, _basic, (2, 2, 2, 2))


@register_network("resnet34", image_shape=(224, 224, 3), smallest=8)
def resnet34(shape: tuple[int, ...], classes: int) -> nn.Module:
    """ResNet with 34 layers; 21,797,672 weights for 224 x 224 colour pictures and 1000 classes.

    The same as `resnet18` in everything but the number of blocks.
    """
    return _resnet(shape, classes, _basic, (3, 4, 6, 3))


@register_network("resnet50", image_shape=(224, 224, 3), smallest=8)
def resnet50(shape: tuple[int, ...], classes: int) -> nn.Module:
    """ResNet with 50 layers; 25,557,032 weights for 224 x 224 colour pictures and 1000 classes.

    The same as `resnet34` with bottlenecks. A block that shrinks the picture does it in its 3 x 3
    convolution (Goyal and others, Accurate, Large Minibatch SGD, 2017), not in the 1 x 1 before it.
    """
    return _resnet(shape, classes, _bottleneck, (3, 4, 6, 3))


class Block(nn.Module):
    """Layers with their input added to their output, projected where shapes differ; then a rectifier."""

    def __init__(self, layers: dict[str, nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.downsample = downsample
        self.relu = nn.ReLU()
        self._path = tuple(layers)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the rectified sum."""
        outputs = inputs
        for name in self._path:
            outputs = self.get_submodule(name)(outputs)
        return self.relu(outputs + (inputs if self.downsample is None else self.downsample(inputs)))


_BlockFactory = Callable[[int, int, int], tuple[Block, int]]


def _resnet(shape: tuple[int, ...], classes: int, block: _BlockFactory, blocks: tuple[int, ...]) -> nn.Module:
    small = is_small(shape)
    channels, stages = 64, {}
    for stage, count in enumerate(blocks):
        stages[f"layer{stage + 1}"], channels = _stage(block, channels, 64 << stage, count, stride=2 if stage else 1)
    network = named(
        conv1=_conv(shape[0], 64, 3) if small else _conv(shape[0], 64, 7, 2),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        **({} if small else {"maxpool": nn.MaxPool2d(3, 2, 1)}),
        **stages,
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(channels, classes),
    )
    return initialize(network, "he")


def _stage(block: _BlockFactory, channels: int, width: int, count: int, stride: int) -> tuple[nn.Sequential, int]:
    """Return the blocks of one picture size, and the channels that come out."""
    stage = nn.Sequential()
    for number in range(count):
        layers, channels = block(channels, width, stride if number == 0 else 1)
        stage.append(layers)
    return stage, channels


def _basic(channels: int, width: int, stride: int) -> tuple[Block, int]:
    layers = {
        "conv1": _conv(channels, width, 3, stride),
        "bn1": nn.BatchNorm2d(width),
        "relu1": nn.ReLU(),
        "conv2": _conv(width, width, 3),
        "bn2": nn.BatchNorm2d(width),
    }
    return Block(layers, _projection(channels, width, stride)), width


def _bottleneck(channels: int, width: int, stride: int) -> tuple[Block, int]:
    layers = {
        "conv1": _conv(channels, width, 1),
        "bn1": nn.BatchNorm2d(width),
        "relu1": nn.ReLU(),
        "conv2": _conv(width, width, 3, stride),
        "bn2": nn.BatchNorm2d(width),
        "relu2": nn.ReLU(),
        "conv3": _conv(width, 4 * width, 1),
        "bn3": nn.BatchNorm2d(4 * width),
    }
    return Block(layers, _projection(channels, 4 * width, stride)), 4 * width


def _projection(channels: int, filters: int, stride: int) -> nn.Module | None:
    if stride == 1 and channels == filters:
        return None
    return nn.Sequential(_conv(channels, filters, 1, stride), nn.BatchNorm2d(filters))


def _conv(channels: int, filters: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, size, stride, size // 2, bias=False)
