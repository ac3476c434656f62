"""Requests of a network's modules to its training: rates and decay of their weights, and the share that is done.

A module asks by having the method of `Treated` or of `Progressing`; a network of the user's may as well.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn


class Treatment(NamedTuple):
    """Factors of the learning rate and of the weight decay, for a parameter."""

    rate: float = 1.0
    decay: float = 1.0


#: The treatment of parameters for which nothing is asked.
PLAIN = Treatment()


@runtime_checkable
class Treated(Protocol):
    """Module that says how its parameters are trained."""

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatments of the module's own parameters, by their names in it; the others are plain."""


@runtime_checkable
class Progressing(Protocol):
    """Module that changes in the course of a training."""

    def set_progress(self, share: float) -> None:
        """Take over the share of all steps that is done, from 0 to below 1; called before each step."""


def treatments_of(network: nn.Module) -> dict[int, Treatment]:
    """Return the treatments that a network's modules ask for, by the ids of the parameters."""
    return {
        id(getattr(module, name)): treatment
        for module in network.modules()
        if isinstance(module, Treated)
        for name, treatment in module.treatments().items()
    }


def progressing_in(network: nn.Module) -> list[Progressing]:
    """Return the modules of a network that change in the course of a training."""
    return [module for module in network.modules() if isinstance(module, Progressing)]
