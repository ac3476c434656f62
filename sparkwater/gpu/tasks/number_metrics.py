"""Metrics of predicted numbers, from sums that ranks add up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from sparkwater.gpu.tasks.task import Metrics, Sums, row_counts

#: Metrics of numbers by name, and whether larger values are better; see `NumberSums`.
NUMBER_METRICS = {"rmse": False, "mae": False, "r2": True, "meanDeviance": False, "rmsle": False}

#: Sums of `number_parts`.
NUMBER_PARTS = 8

#: Share of the squares around the center that rounding leaves as a variance where all labels are equal.
_NOISE = 1e-12


class NumberSums(Sums):
    """Sums over scored rows, each counted by its weight.

    The metrics that follow from them:

    - ``rmse``: root of the mean squared error, in units of the label.
    - ``mae``: mean absolute error, in units of the label.
    - ``r2``: share of the labels' variance that is explained; None where all labels are equal.
    - ``meanDeviance``: mean of the deviances.
    - ``rmsle``: root of the mean square of ``log(1 + label) - log(1 + prediction)``, where predictions below 0 count
      as 0; None where a label is below 0.

    Parameters
    ----------
    center : float
        A number near the labels' mean.
    measure : callable
        From raw predictions ``(rows,)``, float64, and labels to predictions and deviances.
    device : torch.device
        Device of the outputs.
    """

    def __init__(
        self,
        center: float,
        measure: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
        device: torch.device,
    ) -> None:
        self._center, self._measure = center, measure
        self.values = torch.zeros(NUMBER_PARTS, dtype=torch.float64, device=device)

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows."""
        predictions, deviances = self._measure(raw[:, 0].double(), targets)
        parts = number_parts(predictions, deviances, targets, self._center)
        self.values += torch.stack(parts) @ row_counts(targets, weights)

    def metrics(self) -> Metrics:
        """Return the metrics."""
        return number_metrics(self.values.tolist())


def number_parts(
    predictions: torch.Tensor, deviances: torch.Tensor, targets: torch.Tensor, center: float
) -> tuple[torch.Tensor, ...]:
    """Return the numbers of each row whose weighted sums `number_metrics` takes, float64.

    Parameters
    ----------
    predictions, deviances, targets : torch.Tensor
        ``(rows,)``, float64.
    center : float
        A number near the labels' mean.
    """
    residuals = targets - predictions
    # Around the center: sums of squares of labels far from 0 would lose their digits.
    apart = targets - center
    ratios = torch.log1p(targets.clamp(min=0)) - torch.log1p(predictions.clamp(min=0))
    return (
        torch.ones_like(targets),
        apart,
        apart**2,
        residuals**2,
        residuals.abs(),
        deviances,
        ratios**2,
        (targets < 0).double(),
    )


def number_metrics(sums: Sequence[float]) -> Metrics:
    """Return the metrics from the weighted sums of `number_parts`; there must be a row."""
    weight, apart, squares, errors, sizes, deviances, ratios, below = sums
    spread = squares - apart**2 / weight
    return Metrics(
        rmse=math.sqrt(errors / weight),
        mae=sizes / weight,
        # What is left of equal labels is their rounding.
        r2=1 - errors / spread if spread > _NOISE * squares else None,
        meanDeviance=deviances / weight,
        rmsle=math.sqrt(ratios / weight) if not below else None,
    )
