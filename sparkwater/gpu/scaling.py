"""Channels brought to mean 0 and standard deviation 1, by what the training rows are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from sparkwater.gpu.collectives import Communicator

#: Some hundred times float64's precision.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each channel over all training rows of all ranks.

    A constant channel has the deviation 1.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """Return a batch, ``(rows, channels, ...)`` of any dtype, as scaled float32 on its device."""
        shape = (1, -1) + (1,) * (batch.dim() - 2)
        mean = torch.tensor(self.mean, device=batch.device).view(shape)
        factor = torch.tensor([1 / value for value in self.deviation], device=batch.device).view(shape)
        # A copy, also of float32: the batch may be a view of memory that belongs to Arrow.
        return batch.to(torch.float32, copy=True).sub_(mean).mul_(factor)


def measure_scaling(
    blocks: Iterable[torch.Tensor], channels: int, communicator: Communicator, device: torch.device
) -> Scaling:
    """Return the scaling of the rows of all ranks.

    Whole numbers are added up exactly, so the ranks' split of the rows can't be seen.

    Parameters
    ----------
    blocks : iterable of torch.Tensor
        This rank's rows, each block ``(rows, channels, ...)``; there may be none.
    channels : int
        How many channels there are.
    communicator : Communicator
        Open.
    device : torch.device
        Where the communicator adds.
    """
    sums = torch.zeros(2 * channels + 1, dtype=torch.float64)
    for block in blocks:
        values = block.cpu().double().transpose(0, 1).reshape(channels, -1)
        sums[:channels] += values.sum(dim=1)
        sums[channels:-1] += values.square().sum(dim=1)
        sums[-1] += values.shape[1]
    total = sums.to(device)
    communicator.all_reduce_(total)
    sums = total.cpu()
    mean = sums[:channels] / sums[-1]
    square = sums[channels:-1] / sums[-1]
    variance = square - mean.square()
    # What rounding leaves of a constant channel's variance is relative to its square.
    deviation = torch.where(variance > _ROUNDING * square, variance, 1.0).sqrt()
    return Scaling(tuple(mean.tolist()), tuple(deviation.tolist()))
