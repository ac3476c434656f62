"""Kullback-Leibler divergences between predictions of rows, as pure functions of raw outputs."""

from __future__ import annotations

import torch
from torch.nn import functional


def softmax_divergence(outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return ``KL(p || q)`` of each row, in nats.

    Parameters
    ----------
    outputs, others : torch.Tensor
        Log-odds of ``p`` and of ``q``, ``(rows, classes)``.
    """
    logs = functional.log_softmax(outputs, dim=1)
    return (logs.exp() * (logs - functional.log_softmax(others, dim=1))).sum(dim=1)


def sigmoid_divergence(outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return ``KL(p || q)`` of each row in nats, the mean over its labels, each with a probability of its own.

    Parameters
    ----------
    outputs, others : torch.Tensor
        Log-odds of ``p`` and of ``q``, ``(rows, labels)``.
    """
    present = functional.logsigmoid(outputs) - functional.logsigmoid(others)
    absent = functional.logsigmoid(-outputs) - functional.logsigmoid(-others)
    return torch.lerp(absent, present, torch.sigmoid(outputs)).mean(dim=1)
