"""Divergences between predictions of rows, most of them Kullback-Leibler's, as pure functions of raw outputs."""

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
    return class_divergence(functional.log_softmax(outputs, dim=1), functional.log_softmax(others, dim=1))


def class_divergence(logs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return ``KL(p || q)`` of each row, in nats.

    Parameters
    ----------
    logs, others : torch.Tensor
        Logarithms of ``p`` and of ``q``, ``(rows, classes)``.
    """
    return (logs.exp() * (logs - others)).sum(dim=1)


def sigmoid_divergence(outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return ``KL(p || q)`` of each row in nats, the mean over its labels, each with a probability of its own.

    Parameters
    ----------
    outputs, others : torch.Tensor
        Log-odds of ``p`` and of ``q``, ``(rows, labels)``.
    """
    return flag_divergences(outputs, others).mean(dim=1)


def flag_divergences(outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return ``KL(p || q)`` of each label of each row in nats, of log-odds of ``p`` and of ``q``; one shape for all."""
    present = functional.logsigmoid(outputs) - functional.logsigmoid(others)
    absent = functional.logsigmoid(-outputs) - functional.logsigmoid(-others)
    return torch.lerp(absent, present, torch.sigmoid(outputs))
