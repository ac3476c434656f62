"""Building blocks shared by several networks."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

#: Below this height or width, networks made for ImageNet begin without the layers that would shrink the picture.
FULL_SIZE = 64


def is_small(shape: tuple[int, ...]) -> bool:
    """Return True for pictures, ``(channels, height, width)``, too small for a stem made for 224 x 224 pixels."""
    return min(shape[1:]) < FULL_SIZE


class Residual(nn.Sequential):
    """Layers one after the other, with their input added to their output."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the sum; the layers keep the shape."""
        return inputs + super().forward(inputs)  # type: ignore[no-untyped-call]


class Concatenation(nn.Module):
    """Parallel layers, whose output channels are joined in their order."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the joined channels; the layers give the same height and width."""
        return torch.cat([branch(inputs) for branch in self.children()], dim=1)


def named(kind: type[nn.Sequential] = nn.Sequential, /, **layers: nn.Module) -> nn.Sequential:
    """Return layers one after the other under their names."""
    return kind(OrderedDict(layers))
