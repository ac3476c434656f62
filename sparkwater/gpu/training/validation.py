"""Scoring of held-out rows between epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.rows.feeding import feed
from sparkwater.gpu.rows.held import RankRows
from sparkwater.gpu.tasks import Sums, Task


def score_rows(
    network: nn.Module,
    rows: RankRows,
    compute: Compute,
    task: Task,
    sums: Sums,
) -> None:
    """Add a rank's held-out rows to sums: as they are, by the network as it scores.

    Parameters
    ----------
    network : torch.nn.Module
        The network; its modules get their modes back.
    rows : RankRows
        The held-out rows; there may be none.
    compute : Compute
        How it is called, as in training.
    task : Task
        What the network learns.
    sums : Sums
        What the rows are added to.
    """
    with evaluating(network), torch.no_grad():
        for batch in feed(rows.scan(), compute.device):
            outputs, targets = compute.compared(task, batch.features, batch.targets)
            if batch.offsets is not None:
                outputs = task.add_offsets(outputs, batch.offsets)
            sums.add(task.adjust(outputs), targets, batch.weights)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode inside the ``with`` block; its modules get their modes back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
