"""Class weights, and the correction of probabilities for them.

A network that was trained with class weights gives the probabilities of a world in which a class is
as frequent as its weight makes it. By Bayes' rule dividing them by the weights gives those of the
world that the rows came from, as H2O corrects probabilities after it has balanced classes.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def prior_shift(class_weights: Sequence[float], device: torch.device) -> torch.Tensor:
    """Return the correction to subtract from log-odds for class weights; zero without weights."""
    return torch.tensor(class_weights or [1.0], device=device).log()
