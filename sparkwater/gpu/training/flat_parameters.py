"""Flat views of a network: all weights as one vector, all gradients as another.

A few collective calls a step move everything, and one optimizer kernel updates everything. Both
vectors are plain contiguous memory, whatever layout the weights have.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import torch
from torch import nn

from sparkwater.gpu.networks.treatment import PLAIN, Treatment, treatments_of


class Bucket(NamedTuple):
    """Some parameters that follow each other, and where their gradients are in `FlatParameters.message`."""

    start: int
    stop: int
    parameters: list[nn.Parameter]


class FlatParameters:
    """Views of a network's parameters in two contiguous vectors.

    Parameters of the same `Treatment` follow each other, so that an optimizer has few groups.

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
        The network's own parameters of two or more dimensions that may decay, views of the vector.
    """

    def __init__(self, network: nn.Module, extra: int, head: str = "") -> None:
        self._entries = _in_order(network, head)
        parameters = self._parameters = [entry.parameter for entry in self._entries]
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
        self.kernels = [
            entry.parameter for entry in self._entries if entry.parameter.dim() > 1 and entry.treatment.decay
        ]

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

    def groups(self, head_multiplier: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
        """Return the vector as an optimizer takes it: in parts where parameters are trained in different ways.

        Parameters
        ----------
        head_multiplier : float
            Factor of the head's learning rate.
        layer_decay : float
            Factor of the learning rate from each layer to the next one; a layer is a module with a kernel.

        Returns
        -------
        list of dict
            Each with ``params``, and the factors ``multiplier`` of the learning rate and ``decay`` of the weight decay.
        """
        stops = accumulate(entry.parameter.numel() for entry in self._entries)
        factors = [
            Treatment(
                entry.treatment.rate * (head_multiplier if entry.in_head else 1.0) * layer_decay**entry.layer,
                entry.treatment.decay,
            )
            for entry in self._entries
        ]
        runs = [
            (factor, list(run)[-1][1])
            for factor, run in groupby(zip(factors, stops, strict=True), lambda each: each[0])
        ]
        starts = [0, *(stop for _, stop in runs)]
        return [
            {"params": [self._part(start, stop)], "multiplier": factor.rate, "decay": factor.decay}
            for start, (factor, stop) in zip(starts, runs, strict=False)
        ]

    def _part(self, start: int, stop: int) -> nn.Parameter:
        if stop - start == len(self.values):
            return self.values
        part = nn.Parameter(self.values.data[start:stop])
        part.grad = self.gradients[start:stop]
        return part


def _view_as(values: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
    """Return a part of a vector as a tensor of a parameter's shape and memory layout."""
    if parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
        return values.as_strided(parameter.shape, parameter.stride(), values.storage_offset())
    return values.view(parameter.shape)


class _Entry(NamedTuple):
    """A parameter of the vector, and what decides on its learning rate and decay."""

    parameter: nn.Parameter
    in_head: bool
    treatment: Treatment
    layer: int


def _in_order(network: nn.Module, head: str) -> list[_Entry]:
    """Return the parameters that are trained: the head's last, and those of the same treatment together.

    The treatment of most weights comes last: gradients are sent from the vector's end on, and the others, biases for
    example, are only complete with the first layer's.
    """
    of_head = {id(parameter) for parameter in network.get_submodule(head).parameters()} if head else set[int]()
    treatments, layers = treatments_of(network), _layers(network)
    entries = [
        _Entry(parameter, id(parameter) in of_head, treatments.get(id(parameter), PLAIN), layers[id(parameter)])
        for parameter in network.parameters()
        if parameter.requires_grad
    ]
    weights = Counter[Treatment]()
    for entry in entries:
        weights[entry.treatment] += entry.parameter.numel()
    ranks = {treatment: rank for rank, treatment in enumerate(sorted(weights, key=lambda each: weights[each]))}
    return sorted(entries, key=lambda entry: (entry.in_head, ranks[entry.treatment]))


def _layers(network: nn.Module) -> dict[int, int]:
    """Return the number of the layer of each parameter, by its id: of the last module with a kernel up to its own."""
    layers, number = dict[int, int](), -1
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        number += any(parameter.dim() > 1 for parameter in own)
        for parameter in own:
            layers.setdefault(id(parameter), max(number, 0))
    return layers
