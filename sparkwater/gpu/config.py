"""What to train and how, as plain values that travel to the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class TrainConfig:
    """Hyperparameters of one training; the estimator's Params explain each.

    Parameters
    ----------
    epochs : int
        Passes over the rows.
    batch_size : int
        Rows of a global batch, all ranks together.
    optimizer : {"sgd", "adam", "adamw"}
        As torch defines them.
    learning_rate, momentum, weight_decay : float
        Momentum is SGD's only.
    schedule : {"constant", "cosine"}
        How the learning rate goes from step to step.
    seed : int
        What initial weights, order and everything else random follow from.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: str
    seed: int


def make_optimizer(config: TrainConfig, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Return the torch optimizer that a configuration names."""
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": partial(torch.optim.SGD, momentum=config.momentum),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return makers[config.optimizer](parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def make_schedule(
    config: TrainConfig, optimizer: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return torch's schedule over a number of steps.

    ``cosine`` goes from the learning rate to zero along half a cosine (Loshchilov and Hutter,
    SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, without restarts).
    """
    if config.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
