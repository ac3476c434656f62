"""MobileNetV3-Small."""

from __future__ import annotations

import torch
from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import Residual, is_small, named

#: Table 2 of the paper: kernel, expanded channels, channels out, squeeze and excite, activation, stride.
_BLOCKS = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)


@register_network("mobilenet_v3_small", image_shape=(224, 224, 3), smallest=8)
def mobilenet_v3_small(shape: tuple[int, ...], classes: int) -> nn.Module:
    """MobileNetV3-Small; 2,542,856 weights for 224 x 224 colour pictures and 1000 classes.

    After Howard and others, Searching for MobileNetV3, 2019, table 2, with He's initial weights.
    Batch statistics have torch's momentum: with the paper's 0.01, made for very many steps, they
    would still be a third what they began with after a hundred. Below 64 pixels the first convolution
    and the first block have stride 1: the network shrinks a picture by 8 and not by 32.
    """
    small = is_small(shape)
    channels, blocks = 16, {}
    for number, (kernel, expanded, filters, squeezed, activation, stride) in enumerate(_BLOCKS, start=1):
        stride = 1 if small and number == 1 else stride
        blocks[f"block{number}"] = _block(channels, kernel, expanded, filters, squeezed, activation, stride)
        channels = filters
    network = named(
        conv1=_unit(shape[0], 16, 3, nn.Hardswish, stride=1 if small else 2),
        **blocks,
        conv2=_unit(channels, 576, 1, nn.Hardswish),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc1=nn.Linear(576, 1024),
        hardswish=nn.Hardswish(),
        dropout=nn.Dropout(0.2),
        fc2=nn.Linear(1024, classes),
    )
    return initialize(network, "he")


class SqueezeExcitation(nn.Module):
    """Channels weighted by factors computed from their means over all positions.

    After Hu, Shen and Sun, Squeeze-and-Excitation Networks, 2018, with MobileNetV3's hard sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = _rounded(channels / 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, narrow, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(narrow, channels, 1)
        self.hardsigmoid = nn.Hardsigmoid()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the inputs, each channel times a factor from 0 to 1."""
        return inputs * self.hardsigmoid(self.fc2(self.relu(self.fc1(self.pool(inputs)))))


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8 that is not more than a tenth below, as the authors' code does."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block(
    channels: int,
    kernel: int,
    expanded: int,
    filters: int,
    squeezed: bool,
    activation: type[nn.Module],
    stride: int,
) -> nn.Module:
    return named(
        Residual if stride == 1 and channels == filters else nn.Sequential,
        **({} if expanded == channels else {"expand": _unit(channels, expanded, 1, activation)}),
        depthwise=_unit(expanded, expanded, kernel, activation, stride, groups=expanded),
        **({"squeeze": SqueezeExcitation(expanded)} if squeezed else {}),
        project=_unit(expanded, filters, 1),
    )


def _unit(
    channels: int,
    filters: int,
    size: int,
    activation: type[nn.Module] | None = None,
    stride: int = 1,
    groups: int = 1,
) -> nn.Module:
    return named(
        conv=nn.Conv2d(channels, filters, size, stride, size // 2, groups=groups, bias=False),
        bn=nn.BatchNorm2d(filters, eps=0.001),
        **({} if activation is None else {"activation": activation()}),
    )
