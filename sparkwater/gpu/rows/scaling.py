"""Scaling of rows' tensors to a network's inputs: mean 0 and deviation 1 by channel.

Pictures, and numbers of the dtypes float and uint8, are scaled: each channel, the first dimension,
gets mean 0 and standard deviation 1 by what the training rows are. Whole numbers of other dtypes in
tensors of up to two dimensions are ids, such as tokens: they come as they are, as int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch

from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec, parts_of
from sparkwater.gpu.collective.communicator import Communicator

#: Some hundred times float64's precision.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each channel over all training rows of all ranks.

    A constant channel has the deviation 1. Without channels, tensors stay as they are.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def apply(self, batch: torch.Tensor, layout: torch.memory_format = torch.contiguous_format) -> torch.Tensor:
        """Return a batch, ``(rows, channels, ...)`` of any dtype, as scaled float32 on its device.

        Ids become int64, and booleans stay what they are. Pictures get the memory layout that is asked for.
        """
        if not self.mean:
            return batch.to(batch.dtype if batch.dtype == torch.bool else torch.int64, copy=True)
        shape = (1, -1, *(1,) * (batch.dim() - 2))[: batch.dim()]
        mean, factor = _constants(self, batch.device)
        # A copy, also of float32: the batch may be a view of memory that belongs to Arrow. It is made for its
        # layout, which the strides of a single channel don't tell.
        kept = layout if batch.dim() == 4 else torch.contiguous_format
        scaled = torch.empty(batch.shape, dtype=torch.float32, device=batch.device, memory_format=kept)
        return scaled.copy_(batch).sub_(mean.view(shape)).mul_(factor.view(shape))

    def undo(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scaled float32 inputs, ``(rows, channels, ...)``, in the units of the tensors; a copy."""
        shape = (1, -1, *(1,) * (inputs.dim() - 2))[: inputs.dim()]
        mean, factor = _constants(self, inputs.device)
        return (inputs / factor.view(shape)).add_(mean.view(shape))


@lru_cache(maxsize=16)
def _constants(scaling: Scaling, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a scaling subtracts and multiplies by, copied to a device once: its host waits for each copy."""
    factors = [1 / value for value in scaling.deviation]
    of_device = partial(torch.tensor, dtype=torch.float32, device=device)
    return of_device(scaling.mean), of_device(factors)


@dataclass(frozen=True)
class PackedScaling:
    """The scaling of several tensors a row.

    Attributes
    ----------
    spec : PackedSpec
        Spec of a row.
    parts : tuple of Scaling
        One a tensor.
    """

    spec: PackedSpec
    parts: tuple[Scaling, ...]

    def apply(
        self, batch: torch.Tensor, layout: torch.memory_format = torch.contiguous_format
    ) -> tuple[torch.Tensor, ...]:
        """Return packed rows, ``(rows, bytes)``, as the scaled batches of their tensors."""
        tensors = unpack(batch, self.spec)
        return tuple(scaling.apply(tensor, layout) for scaling, tensor in zip(self.parts, tensors, strict=True))


#: How the rows of a network are scaled, whether they hold one tensor or several.
AnyScaling = Scaling | PackedScaling


def unpack(batch: torch.Tensor, spec: PackedSpec) -> list[torch.Tensor]:
    """Return the tensors of packed rows on their device, each ``(rows, *part.shape)``."""
    return [
        # Cloned: a part's bytes may begin anywhere, where its numbers may not.
        batch[:, start:stop]
        .clone(memory_format=torch.contiguous_format)
        .view(getattr(torch, part.dtype))
        .reshape(len(batch), *part.shape)
        for part, (start, stop) in zip(spec.parts, spec.bounds, strict=True)
    ]


def is_scaled(spec: TensorSpec) -> bool:
    """Return whether a tensor is scaled; otherwise it holds ids."""
    return len(spec.shape) > 2 or spec.dtype == "uint8" or spec.dtype.startswith("float")


def scaling_of(scalings: Sequence[Scaling], spec: TensorSpec) -> AnyScaling:
    """Return the scaling of a row from those of its tensors."""
    return PackedScaling(spec, tuple(scalings)) if isinstance(spec, PackedSpec) else scalings[0]


def scalings_in(scaling: AnyScaling) -> tuple[Scaling, ...]:
    """Return the scalings of a row's tensors."""
    return scaling.parts if isinstance(scaling, PackedScaling) else (scaling,)


def measure_rows(
    blocks: Callable[[], Iterable[torch.Tensor]],
    spec: TensorSpec,
    communicator: Communicator,
    device: torch.device,
    given: Sequence[Scaling | None] = (),
) -> AnyScaling:
    """Return the scaling of the rows of all ranks, whether they hold one tensor or several.

    Parameters
    ----------
    blocks : callable
        Iterates over this rank's rows; called once a tensor.
    spec : TensorSpec
        Spec of a row.
    communicator : Communicator
        Open.
    device : torch.device
        The device of the communicator's tensors.
    given : sequence of Scaling or None
        One a tensor: a known scaling; None to measure it.
    """
    scalings = []
    for place, part in enumerate(parts_of(spec)):
        known = given[place] if given else None
        if known is not None:
            scalings.append(known)
        elif is_scaled(part):
            tensors = (_part(block, spec, place) for block in blocks())
            scalings.append(measure_scaling(tensors, part.shape[0] if part.shape else 1, communicator, device))
        else:
            scalings.append(Scaling((), ()))
    return scaling_of(scalings, spec)


def _part(block: torch.Tensor, spec: TensorSpec, place: int) -> torch.Tensor:
    return unpack(block, spec)[place] if isinstance(spec, PackedSpec) else block


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
        Number of channels.
    communicator : Communicator
        Open.
    device : torch.device
        The device of the communicator's tensors.
    """
    sums = torch.zeros(2 * channels + 1, dtype=torch.float64)
    for block in blocks:
        by_channel = block[:, None] if block.dim() == 1 else block
        values = by_channel.cpu().double().transpose(0, 1).reshape(channels, -1)
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
