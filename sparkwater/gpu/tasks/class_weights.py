"""Class weights, and the correction of probabilities for them.

A network that was trained with class weights gives the probabilities of a world in which a class is
as frequent as its weight makes it. By Bayes' rule dividing them by the weights gives those of the
world that the rows came from, as H2O corrects probabilities after it has balanced classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch


def balanced_weights(totals: Sequence[float]) -> tuple[float, ...]:
    """Return the weights under which all classes weigh the same, with a mean of 1 over the rows, as scikit-learn.

    Parameters
    ----------
    totals : sequence of float
        Total weight of each class's training rows; a class without any gets the weight 1.
    """
    present = sum(total > 0 for total in totals)
    return tuple(sum(totals) / (present * total) if total > 0 else 1.0 for total in totals)


@lru_cache(maxsize=8)
def weights_on(class_weights: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return the class weights as a float32 tensor on a device; copied there once."""
    # Autograd takes no tensor that was made while a model scored.
    with torch.inference_mode(False):
        return torch.tensor(class_weights, device=device)


@lru_cache(maxsize=8)
def prior_shift(class_weights: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return the logarithms of the class weights, which corrected log-odds lose; computed once."""
    with torch.inference_mode(False):
        return weights_on(class_weights, device).log()
