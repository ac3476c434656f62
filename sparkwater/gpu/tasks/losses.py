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


def half_gamma_deviance(log_means: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return half the unit deviance of a gamma distribution: ``log(mean / y) + y / mean - 1``.

    Parameters
    ----------
    log_means : torch.Tensor
        Logarithms of the predicted means.
    targets : torch.Tensor
        Above 0.
    """
    differences = targets.log() - log_means
    return torch.expm1(differences) - differences


def half_tweedie_deviance(log_means: torch.Tensor, targets: torch.Tensor, power: float) -> torch.Tensor:
    """Return half the unit deviance of Tweedie's distribution of a power between 1 and 2 (Jørgensen 1987).

    It is ``y**(2 - p) / ((1 - p) * (2 - p)) - y * mean**(1 - p) / (1 - p) + mean**(2 - p) / (2 - p)``.

    Parameters
    ----------
    log_means : torch.Tensor
        Logarithms of the predicted means.
    targets : torch.Tensor
        From 0 up.
    power : float
        The variance grows with this power of the mean; in (1, 2).
    """
    first, second = 1 - power, 2 - power
    return (
        targets**second / (first * second)
        - targets * torch.exp(first * log_means) / first
        + torch.exp(second * log_means) / second
    )


def ordinal_logits(outputs: torch.Tensor) -> torch.Tensor:
    """Return log-odds of being above each class but the last, which never rise from class to class.

    The first output is that of the first class; each further one takes its softplus away.

    Parameters
    ----------
    outputs : torch.Tensor
        ``(rows, classes - 1)``.
    """
    falls = functional.softplus(outputs[:, 1:])
    return torch.cat([outputs[:, :1], outputs[:, :1] - falls.cumsum(dim=1)], dim=1)


def ordinal_logarithms(outputs: torch.Tensor) -> torch.Tensor:
    """Return logarithms of the probabilities of classes in an order, by cumulative logits (McCullagh 1980).

    With log-odds ``a`` and ``b`` of being above the class before and above this one, and ``a - b = softplus(o)``, the
    probability is ``sigmoid(a) - sigmoid(b) = sigmoid(a) * sigmoid(-b) * sigmoid(o)``: no digits are lost.

    Parameters
    ----------
    outputs : torch.Tensor
        ``(rows, classes - 1)``, as `ordinal_logits` takes them.

    Returns
    -------
    torch.Tensor
        ``(rows, classes)``.
    """
    above = ordinal_logits(outputs)
    beyond_last = functional.logsigmoid(-above)
    from_first = functional.logsigmoid(above)
    between = from_first[:, :-1] + beyond_last[:, 1:] + functional.logsigmoid(outputs[:, 1:])
    return torch.cat([beyond_last[:, :1], between, from_first[:, -1:]], dim=1)
