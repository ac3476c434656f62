"""Networks of several members, which learn each for itself and are averaged when scoring.

In training such a network gives ``(rows, members, outputs)``.
"""

from __future__ import annotations

import torch

from sparkwater.gpu.tasks import Task


def member_losses(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of each row: where the network has members, the mean of theirs.

    Parameters
    ----------
    task : Task
        What the network learns.
    outputs : torch.Tensor
        ``(rows, outputs)``, or ``(rows, members, outputs)``.
    targets : torch.Tensor
        As `sparkwater.gpu.tasks.Targets.values`.
    """
    if outputs.dim() == 2:
        return task.losses(outputs, targets)
    rows, members = outputs.shape[:2]
    losses = task.losses(outputs.flatten(0, 1), targets.repeat_interleave(members, dim=0))
    return losses.view(rows, members).mean(dim=1)


def mean_of_members(outputs: torch.Tensor) -> torch.Tensor:
    """Return outputs of rows, ``(rows, outputs)``: where the network has members, the mean of theirs."""
    return outputs if outputs.dim() == 2 else outputs.mean(dim=1)
