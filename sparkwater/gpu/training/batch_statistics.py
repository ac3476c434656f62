"""Batch-normalisation statistics over several ranks: each rank normalises its own rows, buffers are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from sparkwater.gpu.collective.communicator import Communicator


def average_buffers(network: nn.Module, rows: int, communicator: Communicator) -> None:
    """Bring all ranks to the same buffers: the mean over the ranks, each weighted by its rows.

    A mean of running variances leaves out how the ranks' own means differ, which is little where
    rows are spread by their hash. Buffers of whole numbers, such as counts of batches, become rank
    0's.

    Parameters
    ----------
    network : torch.nn.Module
        The network on this rank; its buffers are changed in place.
    rows : int
        The rows of this rank.
    communicator : Communicator
        Open; every rank calls this at the same time.
    """
    average_tensors([buffer for buffer in network.buffers() if buffer.is_floating_point()], rows, communicator)
    for buffer in network.buffers():
        if not buffer.is_floating_point():
            numbers = buffer.to(torch.int64)  # masks are bool, which not every collective takes
            communicator.broadcast_(numbers)
            buffer.copy_(numbers)


def average_tensors(tensors: Sequence[torch.Tensor], rows: int, communicator: Communicator) -> None:
    """Replace tensors of floating point by their means over the ranks, each weighted by its rows.

    Parameters
    ----------
    tensors : sequence of torch.Tensor
        The same shapes on all ranks; they are changed in place.
    rows : int
        The rows of this rank.
    communicator : Communicator
        Open; every rank calls this at the same time.
    """
    if not tensors:
        return
    weight = torch.ones(1, dtype=torch.float64, device=tensors[0].device)
    message = torch.cat([*(tensor.reshape(-1).double() for tensor in tensors), weight])
    # Not times 0: masks hold infinities.
    message = message * rows if rows else torch.zeros_like(message)
    communicator.all_reduce_(message)
    means = torch.split(message[:-1] / message[-1], [tensor.numel() for tensor in tensors])
    for tensor, mean in zip(tensors, means, strict=True):
        tensor.copy_(mean.view_as(tensor))


@contextmanager
def copied_buffers(network: nn.Module) -> Iterator[None]:
    """Let the network change copies of its buffers inside the ``with`` block, and have its own ones back after it.

    Not the values but the tensors are exchanged: a backward pass that is still to come may need them unchanged.
    """
    own = [(module, name, buffer) for module in network.modules() for name, buffer in module._buffers.items()]
    copies = {id(buffer): buffer.clone() for _, _, buffer in own if buffer is not None}
    for module, name, buffer in own:
        module._buffers[name] = copies.get(id(buffer))
    try:
        yield
    finally:
        for module, name, buffer in own:
            module._buffers[name] = buffer


@contextmanager
def stored_statistics(network: nn.Module, use: bool) -> Iterator[None]:
    """Normalise by the running statistics inside the ``with`` block, if asked to.

    A single row has no deviation to normalise by: torch refuses it where a map has one value.
    """
    layers = [
        layer
        for layer in network.modules()
        if use and isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training
    ]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
