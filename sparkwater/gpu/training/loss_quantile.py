"""Quantile of the training rows' losses, the same whichever rank holds which rows."""

from __future__ import annotations

import math
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
    """Return a quantile of the losses of all ranks' training rows, as they are, by the network as it scores.

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
    return quantile(_losses(compute, compute.network, data, task, place), share, communicator)


def _losses(compute: Compute, network: nn.Module, data: RankData, task: Task, place: Place) -> torch.Tensor:
    """Return the losses of this rank's rows, float64."""
    plan = plan_epoch(place.rows, _ROWS * len(place.rows), 0, 0)
    with closing(data.batches(plan, place.rank)) as planned, evaluating(network), torch.no_grad():
        losses = [_losses_of(batch, compute, task) for batch in feed(planned, compute.device) if len(batch)]
    return torch.cat([torch.empty(0, dtype=torch.float64, device=compute.device), *losses])


def _losses_of(batch: Batch, compute: Compute, task: Task) -> torch.Tensor:
    outputs, targets = compute.compared(task, batch.features, batch.targets)
    if batch.offsets is not None:
        outputs = task.add_offsets(outputs, batch.offsets)
    return task.losses(outputs, targets).double()


def quantile(values: torch.Tensor, share: float, communicator: Communicator) -> float:
    """Return the smallest of all ranks' values that a share of them doesn't exceed.

    That is the inverse of the empirical distribution function, type 1 of Hyndman and Fan (Sample Quantiles in
    Statistical Packages, 1996). Doubles from 0 up are in the order of their bits, so four sums of counts over the
    ranks find it, 16 bits each; no values travel.

    Parameters
    ----------
    values : torch.Tensor
        float64 ``(rows,)``, 0 or more, of this rank; there may be none.
    share : float
        In (0, 1].
    communicator : Communicator
        Open; every rank calls this at the same time.
    """
    bits, found, place = values.abs().view(torch.int64), 0, 0
    for shift in range(64 - _BITS, -1, -_BITS):
        # A shift of all 64 bits is none in most processors.
        inside = bits if shift + _BITS == 64 else bits[bits >> (shift + _BITS) == found]
        digits = (inside >> shift) & (2**_BITS - 1)
        counts = torch.bincount(digits, minlength=2**_BITS).double()
        communicator.all_reduce_(counts)
        cumulated = counts.cumsum(0).cpu()
        if shift == 64 - _BITS:
            place = max(1, math.ceil(share * round(float(cumulated[-1]))))
        digit = int(torch.searchsorted(cumulated, torch.tensor(float(place), dtype=torch.float64)))
        place -= round(float(cumulated[digit - 1])) if digit else 0
        found = (found << _BITS) | digit
    return float(torch.tensor([found]).view(torch.float64))
