"""Losses of rows, as pure functions of raw outputs and targets."""

from __future__ import annotations

import torch
from torch.nn import functional


def cross_entropy(outputs: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
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


def binary_cross_entropy(outputs: torch.Tensor, present: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Return the binary cross entropy of each row, in nats: the mean over its labels.

    With smoothing a target is ``label_smoothing / 2`` away from 0 and 1, as Keras defines it.

    Parameters
    ----------
    outputs : torch.Tensor
        Log-odds, ``(rows, labels)``.
    present : torch.Tensor
        bool, ``(rows, labels)``: the labels that a row has.
    label_smoothing : float
        In [0, 1).
    """
    targets = present.to(outputs.dtype) * (1 - label_smoothing) + label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(dim=1)


def half_squared(residuals: torch.Tensor) -> torch.Tensor:
    """Return half the squares: the loss of a gaussian."""
    return residuals**2 / 2


def huber(residuals: torch.Tensor, delta: float) -> torch.Tensor:
    """Return half the squares up to ``delta``, a line of the same slope beyond it (Huber 1964)."""
    sizes = residuals.abs()
    return torch.where(sizes <= delta, residuals**2 / 2, delta * (sizes - delta / 2))


def pinball(residuals: torch.Tensor, quantile: float) -> torch.Tensor:
    """Return the pinball loss, whose minimum is a quantile (Koenker and Bassett 1978).

    Parameters
    ----------
    residuals : torch.Tensor
        Targets less predictions.
    quantile : float
        In (0, 1).
    """
    return torch.maximum(quantile * residuals, (quantile - 1) * residuals)


def half_poisson_deviance(log_means: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return half the unit deviance of Poisson counts: ``y log(y / mean) - y + mean``.

    Parameters
    ----------
    log_means : torch.Tensor
        Logarithms of the predicted means.
    targets : torch.Tensor
        From 0 up.
    """
    return torch.exp(log_means) - targets * log_means + torch.xlogy(targets, targets) - targets
