"""Quantile of the training rows' losses, the same whichever rank holds which rows."""

from __future__ import annotations

from contextlib import closing

import torch
from torch import nn

from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.rows.feeding import feed
from sparkwater.gpu.rows.held import Batch, RankData
from sparkwater.gpu.rows.plan import plan_epoch
from sparkwater.gpu.tasks import Task
from sparkwater.gpu.tasks.task import row_counts
from sparkwater.gpu.training.validation import evaluating

#: Name of the quantile among a rank's choices.
LOSS_QUANTILE = "lossQuantile"

#: Bits of a double that one sum over the ranks decides on.
_BITS = 16

#: Rows of one rank that are scored together.
_ROWS = 256


def loss_quantile(
    share: float, compute: Compute, data: RankData, task: Task, place: Place, communicator: Communicator
) -> float:
    """Return a quantile of the losses of all ranks' training rows by the network as it scores; rows count by weight.

    Parameters
    ----------
    share : float
        In (0, 1]; see `quantile`.
    compute : Compute
        The network.
    data : RankData
        The rows of this rank; there may be none.
    task : Task
        The one whose losses are meant; they are 0 or more.
    place : Place
        This rank, and the rows that each rank trains on.
    communicator : Communicator
        Open; every rank calls this at the same time.
    """
    losses, weights = _losses(compute, compute.network, data, task, place)
    return quantile(losses, share, communicator, weights)


def _losses(
    compute: Compute, network: nn.Module, data: RankData, task: Task, place: Place
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the losses of this rank's rows and their weights, float64."""
    plan = plan_epoch(place.rows, _ROWS * len(place.rows), 0, 0)
    with closing(data.batches(plan, place.rank)) as planned, evaluating(network), torch.no_grad():
        found = [
            torch.stack([_losses_of(batch, compute, task), row_counts(batch.targets, batch.weights)])
            for batch in feed(planned, compute.device)
            if len(batch)
        ]
    losses, weights = torch.cat([torch.empty(2, 0, dtype=torch.float64, device=compute.device), *found], dim=1)
    return losses, weights


def _losses_of(batch: Batch, compute: Compute, task: Task) -> torch.Tensor:
    outputs, targets = compute.compared(task, batch.features, batch.targets)
    if batch.offsets is not None:
        outputs = task.add_offsets(outputs, batch.offsets)
    return task.losses(outputs, targets).double()


def quantile(values: torch.Tensor, share: float, communicator: Communicator, weights: torch.Tensor) -> float:
    """Return the smallest of all ranks' values that a share of their weight doesn't exceed.

    That is the inverse of the empirical distribution function, type 1 of Hyndman and Fan (Sample Quantiles in
    Statistical Packages, 1996), in which a value of weight 2 counts as two. Doubles from 0 up are in the order of their
    bits, so four sums of weights over the ranks find it, 16 bits each; no values travel.

    Parameters
    ----------
    values : torch.Tensor
        float64 ``(rows,)``, 0 or more, of this rank; there may be none.
    share : float
        In (0, 1].
    communicator : Communicator
        Open; every rank calls this at the same time.
    weights : torch.Tensor
        float64 ``(rows,)``, 0 or more.
    """
    # Counted on the processor: a GPU adds weights up in no order.
    bits, weights, found, below = values.abs().cpu().view(torch.int64), weights.cpu(), 0, 0.0
    for shift in range(64 - _BITS, -1, -_BITS):
        # A shift of all 64 bits is none in most processors.
        inside = slice(None) if shift + _BITS == 64 else bits >> (shift + _BITS) == found
        digits = (bits[inside] >> shift) & (2**_BITS - 1)
        # Of no rows they are whole numbers.
        sums = torch.bincount(digits, weights[inside], minlength=2**_BITS).to(values)
        communicator.all_reduce_(sums)
        cumulated = sums.cumsum(0).cpu()
        if shift == 64 - _BITS:
            below = share * float(cumulated[-1])
        # Sums of fractions differ in their last digits from one pass to the next.
        below = min(below, float(cumulated[-1]))
        digit = int(torch.searchsorted(cumulated, torch.tensor(below, dtype=torch.float64)))
        below -= float(cumulated[digit - 1]) if digit else 0.0
        found = (found << _BITS) | digit
    return float(torch.tensor([found]).view(torch.float64))
