"""Channels brought to mean 0 and standard deviation 1, by what the training rows are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparkwater.gpu.collectives import Communicator

#: Rows that are looked at together; bounds the float64 copy.
_BLOCK = 1024

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


def measure_scaling(features: torch.Tensor, communicator: Communicator, device: torch.device) -> Scaling:
    """Return the scaling of the rows of all ranks.

    Whole numbers are added up exactly, so the ranks' split of the rows can't be seen.
    """
    channels = features.shape[1]
    sums = torch.zeros(2 * channels + 1, dtype=torch.float64)
    for start in range(0, len(features), _BLOCK):
        block = features[start : start + _BLOCK].double().transpose(0, 1).reshape(channels, -1)
        sums[:channels] += block.sum(dim=1)
        sums[channels:-1] += block.square().sum(dim=1)
        sums[-1] += block.shape[1]
    total = sums.to(device)
    communicator.all_reduce_(total)
    sums = total.cpu()
    mean = sums[:channels] / sums[-1]
    square = sums[channels:-1] / sums[-1]
    variance = square - mean.square()
    # What rounding leaves of a constant channel's variance is relative to its square.
    deviation = torch.where(variance > _ROUNDING * square, variance, 1.0).sqrt()
    return Scaling(tuple(mean.tolist()), tuple(deviation.tolist()))
