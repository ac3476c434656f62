"""Several quantiles of a number at once, which never cross: prediction intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.nn import functional

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.tasks.losses import pinball
from sparkwater.gpu.tasks.number_metrics import NUMBER_METRICS, NUMBER_PARTS, number_metrics, number_parts
from sparkwater.gpu.tasks.regression import encode_numbers, refuse_number
from sparkwater.gpu.tasks.task import Metrics, Sums, Targets, Task, row_counts

#: Name and columns of the table by quantile.
QUANTILES = "quantiles"
QUANTILE_COLUMNS = ("quantile", "pinballLoss", "shareBelow")


@dataclass(frozen=True)
class QuantilesTask(Task):
    """Quantiles of a number for each row.

    With outputs of 0 they are those of a normal distribution with the labels' mean and deviation. The first output
    moves all of them, in deviations; each further one sets the distance of its quantile to the one before, by its
    softplus, so they never cross.

    Attributes
    ----------
    quantiles : tuple of float
        Two or more, in (0, 1), ascending.
    center, scale : float
        Mean and deviation of the labels.
    """

    kind: ClassVar[str] = "quantiles"
    METRICS: ClassVar[Mapping[str, bool]] = {**NUMBER_METRICS, "coverage": True, "width": False}

    quantiles: tuple[float, ...]
    center: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_quantiles(self.quantiles)
        if not (math.isfinite(self.center) and 0 < self.scale < math.inf):
            raise ValueError(f"center {self.center!r} and scale {self.scale!r} are no mean and deviation")

    @property
    def outputs(self) -> int:
        """One a quantile."""
        return len(self.quantiles)

    @property
    def names(self) -> tuple[str, ...]:
        """The quantiles."""
        return tuple(f"{quantile:g}" for quantile in self.quantiles)

    @property
    def target(self) -> TensorSpec:
        """The label, in its own unit."""
        return TensorSpec("float64", ())

    @property
    def middle(self) -> int:
        """Position of the quantile nearest to the median; of two as near the lower one."""
        return min(range(self.outputs), key=lambda place: round(abs(self.quantiles[place] - 0.5), 9))

    def encode(self, labels: pa.Array) -> Targets:
        """Return labels as float64; nulls, NaN and infinities are invalid."""
        return encode_numbers(labels)

    def refusal(self, label: Any) -> str:
        """Return the reason why a label isn't valid."""
        return refuse_number(label, "finite numbers")

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the pinball loss of each row, the mean over the quantiles, in deviations of the labels."""
        levels = self.levels(outputs)
        units = ((targets - self.center) / self.scale).to(outputs.dtype)
        return self.pinballs(units[:, None] - levels).mean(dim=1)

    def divergences(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Return half the mean squared difference of each row's quantiles from the other ones, in deviations."""
        return (self.levels(outputs) - self.levels(others)).square().mean(dim=1) / 2

    def pinballs(self, residuals: torch.Tensor) -> torch.Tensor:
        """Return pinball losses of residuals, ``(rows, quantiles)`` both."""
        each = [pinball(residuals[:, place], quantile) for place, quantile in enumerate(self.quantiles)]
        return torch.stack(each, dim=1)

    def adjust(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the quantiles of each row, float64, in units of the labels, ascending."""
        # Sums in parallel, as a GPU's, may round a later one below an earlier one.
        levels = self.levels(outputs.double()).cummax(dim=1).values
        return levels * self.scale + self.center

    def levels(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the quantiles in deviations of the labels."""
        begun = outputs + _beginning(self.quantiles, outputs.dtype, outputs.device)
        rises = functional.softplus(begun[:, 1:])
        return torch.cat([begun[:, :1], begun[:, :1] + rises.cumsum(dim=1)], dim=1)

    def respond(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the quantiles as they are."""
        return raw

    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""
        return QuantileSums(self, device)

    def choices(self) -> dict[str, Any]:
        """Return the quantile that is predicted, and the units of the outputs."""
        return {
            "distribution": "quantile",
            "predictedQuantile": self.quantiles[self.middle],
            "labelCenter": self.center,
            "labelScale": self.scale,
        }


class QuantileSums(Sums):
    """Sums over scored rows, each counted by its weight.

    The metrics that follow from them are those of `sparkwater.gpu.tasks.number_metrics.NumberSums` for the quantile
    nearest to the median, with the mean of the quantiles' pinball losses as ``meanDeviance``, and of the interval
    between the first and the last quantile:

    - ``coverage``: share of the rows whose label is in it, borders included.
    - ``width``: its mean width, in units of the label.
    """

    def __init__(self, task: QuantilesTask, device: torch.device) -> None:
        self._task = task
        self.values = torch.zeros(NUMBER_PARTS + 2 + 2 * task.outputs, dtype=torch.float64, device=device)

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows."""
        levels, task = raw.double(), self._task
        residuals = targets[:, None] - levels
        losses = task.pinballs(residuals)
        first, last = levels[:, 0], levels[:, -1]
        parts = (
            *number_parts(levels[:, task.middle], losses.mean(dim=1), targets, task.center),
            ((targets >= first) & (targets <= last)).double(),
            last - first,
            *losses.unbind(dim=1),
            *(residuals <= 0).double().unbind(dim=1),
        )
        self.values += torch.stack(parts) @ row_counts(targets, weights)

    def metrics(self) -> Metrics:
        """Return the metrics."""
        sums = self.values.tolist()
        weight, (covered, width) = sums[0], sums[NUMBER_PARTS : NUMBER_PARTS + 2]
        return Metrics(**number_metrics(sums[:NUMBER_PARTS]), coverage=covered / weight, width=width / weight)

    def details(self) -> dict[str, torch.Tensor]:
        """Return the table by quantile, ``(quantiles, len(QUANTILE_COLUMNS))``.

        It has each quantile's mean pinball loss, and the share of the labels at or below it, which is the quantile
        itself where predictions are right.
        """
        values = self.values.cpu()
        losses, below = (values[NUMBER_PARTS + 2 :] / values[0]).view(2, -1)
        quantiles = torch.tensor(self._task.quantiles, dtype=torch.float64)
        return {QUANTILES: torch.stack([quantiles, losses, below], dim=1)}


def check_quantiles(quantiles: tuple[float, ...]) -> None:
    """Refuse quantiles that aren't two or more in (0, 1), ascending.

    Raises
    ------
    ValueError
        With the quantiles.
    """
    if not isinstance(quantiles, tuple) or len(quantiles) < 2:
        raise ValueError(f"{quantiles!r} are not two or more quantiles")
    if not all(isinstance(quantile, float) and 0 < quantile < 1 for quantile in quantiles):
        raise ValueError(f"quantiles {quantiles!r} are not above 0 and below 1")
    if not all(first < second for first, second in pairwise(quantiles)):
        raise ValueError(f"quantiles {quantiles!r} are not ascending, each there once")


@lru_cache(maxsize=8)
def _beginning(quantiles: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the outputs that give the quantiles of the standard normal distribution."""
    from scipy.special import ndtri  # ranks of other tasks, which import this module, don't need it

    levels = ndtri(np.array(quantiles))
    # The inverse of the softplus.
    rises = np.log(np.expm1(np.diff(levels)))
    # Autograd takes no tensor that was made while a model scored.
    with torch.inference_mode(False):
        return torch.tensor([levels[0], *rises], dtype=dtype, device=device)
