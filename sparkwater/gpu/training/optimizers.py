"""torch's optimizers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch

from sparkwater.gpu.config import TrainConfig

OPTIMIZERS = ("sgd", "adam", "adamw", "adadelta", "rmsprop")


def make_optimizer(
    config: TrainConfig, parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]
) -> torch.optim.Optimizer:
    """Return the torch optimizer that a configuration names, with torch's own settings beside the configured ones.

    Groups of parameters may have a ``multiplier`` of the learning rate, and a ``decay``, that of the weight decay.
    """
    # Fused: one pass over the weights, not one for each operation.
    adam = {"betas": (config.beta1, config.beta2), "fused": True}
    makers: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
        "sgd": (torch.optim.SGD, {"momentum": config.momentum, "fused": True}),
        "adam": (torch.optim.Adam, adam),
        "adamw": (torch.optim.AdamW, adam),
        "adadelta": (torch.optim.Adadelta, {"rho": config.rho}),
        "rmsprop": (torch.optim.RMSprop, {}),
    }
    maker, settings = makers[config.optimizer]
    if config.epsilon and config.optimizer != "sgd":
        settings = {**settings, "eps": config.epsilon}
    optimizer = _eager(maker)(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, **settings)
    if config.optimizer == "sgd":
        # Afterwards: torch refuses Nesterov's step without momentum, which a ramp may begin with.
        for group in optimizer.param_groups:
            group["nesterov"] = config.nesterov
    set_step(optimizer, config.learning_rate, config.momentum, config.weight_decay)
    return optimizer


def _eager(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """Return an optimizer's class without the calls that keep torch.compile out of its methods.

    The first of them loads torch's compiler, which takes a new process as long as torch itself; nothing here is
    compiled. What is computed is the same.
    """
    methods = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in methods}
    return type(kind.__name__, (kind,), {**plain, "step": torch.no_grad()(inspect.unwrap(kind.step))})


def set_step(optimizer: torch.optim.Optimizer, rate: float, momentum: float, weight_decay: float | None = None) -> None:
    """Set the learning rate of the next step, its weight decay if it is given, and the momentum of SGD."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("multiplier", 1.0)
        if weight_decay is not None:
            group["weight_decay"] = weight_decay * group.get("decay", 1.0)
        if isinstance(optimizer, torch.optim.SGD):
            group["momentum"] = momentum
