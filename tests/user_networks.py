"""Networks as users bring them: tests name them by import path, and give this file to the executors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

not_callable = 3


def small(shape: tuple[int, ...], classes: int, width: int = 4) -> nn.Module:
    """A factory that follows the convention."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width), nn.ReLU(), nn.Linear(width, classes))


def maps_summed(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Each class is a sum over the last maps, so what Grad-CAM shows is what the network computes."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )  # fmt: skip


class Net(nn.Module):
    """A class that asks for the classes as torchvision's do, and for nothing else."""

    def __init__(self, num_classes: int, slope: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.LazyLinear(8) if slope < 0 else nn.Linear(256, 8)
        self.fc2 = nn.Linear(8, num_classes)
        self.slope = slope

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.fc2(nn.functional.leaky_relu(self.fc1(pictures.flatten(1)), self.slope))

    @classmethod
    def of(cls, num_classes: int) -> Net:
        return cls(num_classes)


def fixed(outputs: int = 5) -> nn.Module:
    """A factory that asks for nothing."""
    return nn.Sequential(nn.Flatten(), nn.Linear(256, outputs))


def no_module(**_: Any) -> str:
    return "a network"


def broken(classes: int) -> nn.Module:
    raise OSError("no such architecture")


def pair() -> nn.Module:
    class Pair(nn.Module):
        def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return pictures, pictures

    return Pair()


class Gru(nn.Module):
    """Classes of token sequences: its shape is ``(length,)``, its input int64."""

    def __init__(self, classes: int, vocabulary: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 8)
        self.gru = nn.GRU(8, 16, batch_first=True)
        self.fc = nn.Linear(16, classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.gru(self.embedding(tokens))
        return self.fc(states.mean(dim=1))


class PictureAndTable(nn.Module):
    """Classes of a picture beside a row of numbers."""

    def __init__(self, shape: tuple[tuple[int, ...], ...], classes: int) -> None:
        super().__init__()
        (channels, height, width), (numbers,) = shape
        self.picture = nn.Linear(channels * height * width, 16)
        self.table = nn.Linear(numbers, 16)
        self.fc = nn.Linear(32, classes)

    def forward(self, picture: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.picture(picture.flatten(1)), self.table(numbers)], dim=1)
        return self.fc(both.relu())


class Winding(nn.Module):
    """A layer that is called twice and works in place, a join, one that gives a tuple, one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pair = nn.GRU(28, 3)
        self.unused = nn.Linear(1, 1)
        self.fc = nn.Linear(2 * 28 * 28, 3)
        self.finished = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        first = self.relu(self.conv(inputs))
        second = self.relu(self.conv(inputs + 1) - 1)
        self.pair(inputs[:, 0])
        scores = self.fc((first + second).view(len(inputs), -1))
        self.finished += 1
        return scores
