"""Loss functions: cross entropy of each row."""

from __future__ import annotations

import torch
from torch.nn import functional


def row_losses(outputs: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Return the cross entropy of each row, in nats.

    With smoothing the target is ``1 - label_smoothing`` for the row's class plus
    ``label_smoothing / classes`` for every class, as torch and Keras define it.

    Parameters
    ----------
    outputs : torch.Tensor
        Log-odds, ``(rows, classes)``.
    labels : torch.Tensor
        int64, positions in the list of classes.
    label_smoothing : float
        In [0, 1).
    """
    return functional.cross_entropy(outputs, labels, reduction="none", label_smoothing=label_smoothing)
