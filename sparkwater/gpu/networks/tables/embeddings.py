"""Embeddings of numbers: periodic and piecewise linear ones."""

from __future__ import annotations

import math

import torch
from torch import nn

from sparkwater.gpu.networks.treatment import Treatment


class PeriodicEmbedding(nn.Module):
    """PBLD embeddings: a number, beside a linear layer of cosines of it, each number with weights of its own.

    Holzmüller, Grinsztajn and Steinwart, Better by Default, 2024, section 3 (PBLD: periodic, bias, linear, DenseNet),
    after Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning, 2022.

    Parameters
    ----------
    numbers : int
        Number of numbers.
    width : int
        Features of a number, itself among them.
    frequencies : int
        Cosines of a number.
    deviation : float
        Of the first frequencies, in periods a unit.

    Attributes
    ----------
    features : int
        ``numbers * width``.
    """

    def __init__(self, numbers: int, width: int = 4, frequencies: int = 16, deviation: float = 0.1) -> None:
        super().__init__()
        self.features = numbers * width
        bound = frequencies**-0.5
        self.frequencies = nn.Parameter(torch.randn(numbers, frequencies) * deviation)
        self.phases = nn.Parameter(torch.empty(numbers, frequencies).uniform_(-math.pi, math.pi))
        self.weight = nn.Parameter(torch.empty(numbers, frequencies, width - 1).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(numbers, 1, width - 1).uniform_(-bound, bound))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return ``(rows, features)`` of ``(rows, numbers)``."""
        columns = numbers.t().unsqueeze(2)
        waves = torch.cos(
            torch.addcmul(self.phases.unsqueeze(1), columns, (2 * math.pi * self.frequencies).unsqueeze(1))
        )
        embedded = torch.baddbmm(self.bias, waves, self.weight)
        return torch.cat([embedded, columns], dim=2).transpose(0, 1).flatten(1)

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatments of the weights, which learn slowly."""
        return dict.fromkeys(("frequencies", "phases", "weight", "bias"), Treatment(rate=0.1))


class PiecewiseLinearEmbedding(nn.Module):
    """Piecewise linear embeddings: functions of a number, linear within each of some bins of the same width.

    Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning, 2022, section 3.2,
    with a line beside it as in Gorishniy, Kotelnikov and Babenko, TabM, 2024. Bins of the same width are quantiles
    where numbers are scaled by their quantiles. Beyond the outer bins the functions go on as lines.

    Parameters
    ----------
    numbers : int
        Number of numbers.
    width : int
        Functions of a number.
    bins : int
        Bins of a number.
    start, stop : float
        The first bin's lower end and the last one's upper end.

    Attributes
    ----------
    features : int
        ``numbers * width``.
    """

    edges: torch.Tensor

    def __init__(self, numbers: int, width: int = 16, bins: int = 48, start: float = -1.0, stop: float = 1.0) -> None:
        super().__init__()
        self.features = numbers * width
        self.start, self.bin = start, (stop - start) / bins
        bound = width**-0.5
        self.line = nn.Parameter(torch.empty(numbers, 1, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(numbers, 1, width).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.zeros(numbers, bins, width))
        self.register_buffer("edges", torch.arange(bins, dtype=torch.float32), persistent=False)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return ``(rows, features)`` of ``(rows, numbers)``."""
        columns = numbers.t().unsqueeze(2)
        parts = ((columns - self.start) / self.bin) - self.edges
        inner = parts.clamp(0.0, 1.0)
        inner[..., 0], inner[..., -1] = parts[..., 0].clamp(max=1.0), parts[..., -1].clamp(min=0.0)
        embedded = torch.baddbmm(torch.addcmul(self.bias, columns, self.line), inner, self.weight)
        return embedded.transpose(0, 1).flatten(1)

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatments of the weights."""
        return {"bias": Treatment(decay=0.0)}
