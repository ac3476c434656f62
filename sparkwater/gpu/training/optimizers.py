"""torch's optimizers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from sparkwater.gpu.config import TrainConfig

OPTIMIZERS = ("sgd", "adam", "adamw", "adadelta", "rmsprop")


def make_optimizer(
    config: TrainConfig, parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]
) -> torch.optim.Optimizer:
    """Return the torch optimizer that a configuration names, with torch's own settings beside the configured ones.

    Groups of parameters may have a ``multiplier`` of the learning rate.
    """
    if config.optimizer == "sgd":
        # torch refuses Nesterov's step without momentum, which a ramp may begin with.
        optimizer = torch.optim.SGD(
            parameters, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
        for group in optimizer.param_groups:
            group["nesterov"] = config.nesterov
        return optimizer
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "adadelta": torch.optim.Adadelta,
        "rmsprop": torch.optim.RMSprop,
    }
    return makers[config.optimizer](parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def set_step(optimizer: torch.optim.Optimizer, rate: float, momentum: float) -> None:
    """Set the learning rate of the next step, and its momentum where the optimizer is SGD."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("multiplier", 1.0)
        if isinstance(optimizer, torch.optim.SGD):
            group["momentum"] = momentum
