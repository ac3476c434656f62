"""Batch-normalisation statistics over several ranks: each rank normalises its own rows, buffers are averaged."""

from __future__ import annotations

from collections.abc import Iterator
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
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    if buffers:
        weight = torch.ones(1, dtype=torch.float64, device=buffers[0].device)
        message = torch.cat([*(buffer.reshape(-1).double() for buffer in buffers), weight])
        # Not times 0: masks hold infinities.
        message = message * rows if rows else torch.zeros_like(message)
        communicator.all_reduce_(message)
        means = torch.split(message[:-1] / message[-1], [buffer.numel() for buffer in buffers])
        for buffer, mean in zip(buffers, means, strict=True):
            buffer.copy_(mean.view_as(buffer))
    for buffer in network.buffers():
        if not buffer.is_floating_point():
            numbers = buffer.to(torch.int64)  # masks are bool, which not every collective takes
            communicator.broadcast_(numbers)
            buffer.copy_(numbers)


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
