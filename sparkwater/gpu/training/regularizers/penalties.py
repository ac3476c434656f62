"""Penalties and limits on gradients and weights, applied between the gradients' sum and the step.

All ranks apply them to the same sums, so they stay in step. They concern *kernels*, parameters of
two or more dimensions: biases and the scales of normalisations stay free.
"""

from __future__ import annotations

import torch
from torch import nn

from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.training.flat_parameters import FlatParameters


def shape_gradients(flat: FlatParameters, config: TrainConfig) -> None:
    """Add the gradient of the penalties, then clip: the norm of all gradients together, or each value.

    The penalties are ``l1`` times the sum of the kernels' absolute values, and ``l2`` times half the sum of their
    squares, as in H2O. An adaptive optimizer scales the penalties' gradients with the others; decoupled weight decay it
    doesn't.
    """
    for kernel in flat.kernels if config.l1 or config.l2 else ():
        assert kernel.grad is not None  # a view of the message
        if config.l1:
            kernel.grad.add_(kernel.data.sign(), alpha=config.l1)
        if config.l2:
            kernel.grad.add_(kernel.data, alpha=config.l2)
    if config.clip_norm:
        nn.utils.clip_grad_norm_([flat.values], config.clip_norm)
    if config.clip_value:
        nn.utils.clip_grad_value_([flat.values], config.clip_value)


def limit_norms(flat: FlatParameters, config: TrainConfig) -> None:
    """Shrink the incoming weights of each unit to the Euclidean norm ``max_norm`` where they have a larger one.

    The square of ``max_norm`` is what H2O calls ``max_w2``. A unit is an output of a kernel: its
    first dimension.
    """
    if config.max_norm:
        for kernel in flat.kernels:
            torch.renorm(kernel.data, 2, 0, config.max_norm, out=kernel.data)
