"""Flat views of a network: all weights as one vector, all gradients as another.

A few collective calls a step move everything, and one optimizer kernel updates everything. Both
vectors are plain contiguous memory, whatever layout the weights have.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn


class Bucket(NamedTuple):
    """Some parameters that follow each other, and where their gradients are in `FlatParameters.message`."""

    start: int
    stop: int
    parameters: list[nn.Parameter]


class FlatParameters:
    """Views of a network's parameters in two contiguous vectors.

    Parameters
    ----------
    network : torch.nn.Module
        Its parameters are moved into the vector: they stay parameters, and their values stay too.
    extra : int
        Slots after the gradients, for sums that travel with the last of them.
    head : str, optional
        A layer whose parameters come last, so that they can have a learning rate of their own.

    Attributes
    ----------
    values : torch.nn.Parameter
        Float32, one element a weight; its ``grad`` is the first part of `message`.
    message : torch.Tensor
        The gradients and then the extra slots, for the ranks' sum.
    gradients, extra : torch.Tensor
        The gradients and the extra slots, views of `message`.
    kernels : list of torch.nn.Parameter
        The network's own parameters of two or more dimensions, views of the vector.
    """

    def __init__(self, network: nn.Module, extra: int, head: str = "") -> None:
        own = list(network.get_submodule(head).parameters()) if head else []
        apart = {id(parameter) for parameter in own}
        parameters = [
            parameter for parameter in network.parameters() if parameter.requires_grad and id(parameter) not in apart
        ]
        self._backbone = sum(parameter.numel() for parameter in parameters)
        parameters += [parameter for parameter in own if parameter.requires_grad]
        self._parameters = parameters
        sizes = [parameter.numel() for parameter in parameters]
        device = parameters[0].device
        self.values = nn.Parameter(torch.empty(sum(sizes), device=device))
        self.message = torch.zeros(sum(sizes) + extra, device=device)
        self.gradients = self.message[: sum(sizes)]
        self.extra = self.message[sum(sizes) :]
        for parameter, value, gradient in zip(
            parameters, torch.split(self.values.data, sizes), torch.split(self.gradients, sizes), strict=True
        ):
            parameter.data = _view_as(value, parameter).copy_(parameter.data)
            parameter.grad = _view_as(gradient, parameter)
        self.values.grad = self.gradients
        self.kernels = [parameter for parameter in parameters if parameter.dim() > 1]

    def clear(self) -> None:
        """Set the gradients and the extra slots to zero; backward passes add to them."""
        self.message.zero_()

    def buckets(self, full: int) -> list[Bucket]:
        """Return the message in pieces, from its end: as backward passes give the gradients.

        Parameters
        ----------
        full : int
            Bytes from which on a bucket takes no further parameter. The first one has the extra slots too.
        """
        buckets, held = [], list[nn.Parameter]()
        start, stop = len(self.gradients), len(self.message)
        for parameter in reversed(self._parameters):
            held.append(parameter)
            start -= parameter.numel()
            if start == 0 or (stop - start) * self.message.element_size() >= full:
                buckets.append(Bucket(start, stop, held))
                held, stop = [], start
        return buckets

    def places(self, network: nn.Module) -> dict[str, tuple[list[int], list[int], int]]:
        """Return where each weight of the network is in `values`: shape, strides and offset, by its names."""
        vector = self.values.untyped_storage().data_ptr()
        return {
            name: (list(parameter.shape), list(parameter.stride()), int(parameter.storage_offset()))
            for name, parameter in network.named_parameters(remove_duplicate=False)
            if parameter.untyped_storage().data_ptr() == vector
        }

    def groups(self, head_multiplier: float) -> list[dict[str, Any]]:
        """Return the vector as an optimizer takes it: in two parts where the head has a rate of its own."""
        if head_multiplier == 1 or not 0 < self._backbone < len(self.values):
            return [{"params": [self.values], "multiplier": 1.0 if self._backbone else head_multiplier}]
        parts = []
        for part, multiplier in ((slice(self._backbone), 1.0), (slice(self._backbone, None), head_multiplier)):
            values = nn.Parameter(self.values.data[part])
            assert self.values.grad is not None  # a view of the message
            values.grad = self.values.grad[part]
            parts.append({"params": [values], "multiplier": multiplier})
        return parts


def _view_as(values: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
    """Return a part of a vector as a tensor of a parameter's shape and memory layout."""
    if parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
        return values.as_strided(parameter.shape, parameter.stride(), values.storage_offset())
    return values.view(parameter.shape)
