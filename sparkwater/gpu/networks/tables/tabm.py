"""TabM: many perceptrons in one, which share most of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.tables.embeddings import PiecewiseLinearEmbedding
from sparkwater.gpu.networks.tables.inputs import TableInput
from sparkwater.gpu.networks.tables.layers import ScheduledDropout
from sparkwater.gpu.networks.treatment import Treatment


class MembersLinear(nn.Module):
    """Linear layer of several members: weights shared, with factors of inputs and outputs and biases of each one's own.

    Wen, Tran and Ba, BatchEnsemble, 2020, section 3.1.

    Parameters
    ----------
    members, inputs, outputs : int
        Numbers of members, inputs and outputs.
    varied : bool
        Whether the factors of the inputs begin as normal random numbers, in place of 1.
    """

    def __init__(self, members: int, inputs: int, outputs: int, varied: bool) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        factors = torch.randn if varied else torch.ones
        self.input_factors = nn.Parameter(factors(members, inputs))
        self.output_factors = nn.Parameter(torch.ones(members, outputs))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound).repeat(members, 1))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``(rows, members, outputs)`` of ``(rows, members, inputs)``, or of ``(rows, inputs)`` for all."""
        if rows.dim() == 2:
            rows = rows.unsqueeze(1)
        products = nn.functional.linear(rows * self.input_factors, self.weight)
        return torch.addcmul(self.bias, products, self.output_factors)

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatments of the members' own weights, which don't decay."""
        return dict.fromkeys(("input_factors", "output_factors", "bias"), Treatment(decay=0.0))


class MembersOutput(nn.Module):
    """Outputs of several members, each with weights of its own: one a member in training, their mean when scoring.

    Parameters
    ----------
    members, inputs, outputs : int
        Numbers of members, inputs and outputs.
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``(rows, members, outputs)`` in training, ``(rows, outputs)`` when scoring."""
        outputs = torch.baddbmm(self.bias.unsqueeze(1), rows.transpose(0, 1), self.weight).transpose(0, 1)
        return outputs if self.training else outputs.mean(dim=1)

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatment of the biases."""
        return {"bias": Treatment(decay=0.0)}


@register_network("tabm")
def tabm(
    shape: tuple[int, ...],
    outputs: int,
    *,
    numbers: int | None = None,
    categories: Sequence[int] = (),
    hidden: Sequence[int] = (256, 256),
    members: int = 32,
    dropout: float = 0.1,
    bins: int = 48,
    number_width: int = 16,
    number_range: Sequence[float] = (-(3**0.5), 3**0.5),
    one_hot: int = 9,
    category_width: int = 16,
) -> nn.Module:
    """TabM with piecewise linear embeddings: 32 perceptrons computed together, whose mean is the prediction.

    Gorishniy, Kotelnikov and Babenko, TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling, 2024.
    In training it gives the outputs of each member, ``(rows, members, outputs)``, since each learns for itself. Numbers
    should be scaled by their quantiles to ``number_range``. Scores, and metrics of training rows, are those of the mean
    of the members' outputs, on the scale of the link.
    """
    start, stop = number_range
    embed = partial(PiecewiseLinearEmbedding, width=number_width, bins=bins, start=start, stop=stop)
    table = TableInput(shape, numbers, categories, one_hot=one_hot, width=category_width, embed=embed)
    network = nn.Sequential()
    network.add_module("table", table)
    for place, (inputs, units) in enumerate(pairwise([table.features, *hidden]), start=1):
        layer = MembersLinear(members, inputs, units, varied=place == 1)
        if place == 1:
            table.blank_spares(layer.weight)
        network.add_module(f"fc{place}", layer)
        network.add_module(f"relu{place}", nn.ReLU())
        network.add_module(f"dropout{place}", ScheduledDropout(dropout, "constant"))
    network.add_module(f"fc{len(hidden) + 1}", MembersOutput(members, hidden[-1], outputs))
    return network
