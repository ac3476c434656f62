"""Layers of ONNX graphs as torch modules: those that torch has no module for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

#: Sizes of a tensor, in place of the integer tensor that ONNX has for them.
Sizes = tuple[Any, ...]


class Function(nn.Module):
    """A function of tensors as a module, for layers to have names.

    Parameters
    ----------
    name : str
        The operator.
    function : callable
        From the operator's tensors to its output.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__()
        self._name, self._function = name, function

    def forward(self, *values: Any) -> Any:
        """Return the operator's output."""
        return self._function(*values)

    def extra_repr(self) -> str:
        """Return the operator's name."""
        return self._name


class WithOperand(nn.Module):
    """An operator of two operands, one of which is learned.

    Parameters
    ----------
    function : callable
        Of the operands, in their order.
    operand : torch.Tensor
        The learned one.
    first : bool
        Whether it is the first one.
    """

    def __init__(self, function: Callable[..., torch.Tensor], operand: torch.Tensor, first: bool) -> None:
        super().__init__()
        self._function, self._first = function, first
        self.operand = nn.Parameter(operand)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the operator's output."""
        return self._function(self.operand, values) if self._first else self._function(values, self.operand)


class BatchNormalization(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation of rows of any number of axes."""

    def _check_input_dim(self, input: torch.Tensor) -> None:  # noqa: A002
        pass


class Padded(nn.Module):
    """A convolution or a pooling of padded maps.

    Parameters
    ----------
    layer : torch.nn.Module
        The layer, which pads nothing itself.
    padding : callable
        From the sizes of the maps to the pads before and after them, as `torch.nn.functional.pad` takes them.
    fill : float
        The value of the pads.
    counts : bool
        Whether pads count as values of a mean.
    """

    def __init__(
        self, layer: nn.Module, padding: Callable[[Sequence[int]], list[int]], fill: float = 0.0, counts: bool = True
    ) -> None:
        super().__init__()
        self.layer = layer
        self._padding, self._fill, self._counts = padding, fill, counts

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the layer's output."""
        pads = self._padding(values.shape[2:])
        outputs: torch.Tensor = self.layer(F.pad(values, pads, value=self._fill))
        if self._counts:
            return outputs
        return outputs / self.layer(F.pad(torch.ones_like(values[:1, :1]), pads))


def same_padding(
    kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], upper: bool
) -> Callable[[Sequence[int]], list[int]]:
    """Return pads with which a layer gives a map for each ``stride`` pixels, as ``SAME_UPPER`` and ``SAME_LOWER``."""

    def pads(sizes: Sequence[int]) -> list[int]:
        found: list[int] = []
        for size, own, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + (own - 1) * dilation + 1 - size, 0)
            less, more = total // 2, total - total // 2
            found = [*((less, more) if upper else (more, less)), *found]
        return found

    return pads


def reshape(values: torch.Tensor, sizes: Any, copies: bool = True) -> torch.Tensor:
    """Return values in another shape; a size of 0 is that of the values, unless it is meant."""
    given = list(sizes.tolist() if isinstance(sizes, torch.Tensor) else sizes)
    return values.reshape(
        [values.shape[place] if copies and size_is(size, 0) else size for place, size in enumerate(given)]
    )


def size_is(size: Any, number: int) -> bool:
    """Return whether a size is a plain number of this value."""
    return isinstance(size, int) and size == number


def gather(values: Any, places: Any, axis: int) -> Any:
    """Return entries at fixed places of an axis, or a size at a place."""
    if isinstance(values, tuple):
        return values[int(places)] if not isinstance(places, list) else tuple(values[place] for place in places)
    if not isinstance(places, list):
        return values.select(axis, int(places))
    return values.index_select(axis, torch.tensor(places, device=values.device))


def unsqueeze(values: Any, axes: Sequence[int]) -> Any:
    """Return values with axes of size 1 more; a size as a tuple of it."""
    if not isinstance(values, torch.Tensor):
        return (values,)
    rank = values.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        values = values.unsqueeze(axis)
    return values


def squeeze(values: Any, axes: Sequence[int] | None) -> Any:
    """Return values without axes of size 1; the only one of some sizes as such."""
    if isinstance(values, tuple):
        return values[0]
    if axes is None:
        axes = [axis for axis in range(1, values.dim()) if values.shape[axis] == 1]
    return values.squeeze(tuple(axis % values.dim() for axis in axes))


def concatenate(parts: Sequence[Any], axis: int) -> Any:
    """Return parts one after the other; sizes as a tuple."""
    if isinstance(parts[0], torch.Tensor):
        return torch.cat(list(parts), dim=axis)
    return tuple(size for part in parts for size in part)


def cut(values: Any, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]) -> Any:
    """Return a part of each of some axes, or of sizes."""
    if isinstance(values, tuple):
        return values[starts[0] : ends[0] : steps[0]]
    places = [slice(None)] * values.dim()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places[axis] = slice(start, end, step)
    return values[tuple(places)]
