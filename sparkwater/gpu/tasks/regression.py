"""Regression: one number a row, by the distribution that its loss assumes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.tasks.losses import half_poisson_deviance, half_squared, huber, pinball
from sparkwater.gpu.tasks.task import Metrics, Sums, Targets, Task, row_counts

#: Distributions of labels around what is predicted, with H2O's names.
DISTRIBUTIONS = ("gaussian", "laplace", "huber", "poisson", "quantile")

#: Share of the squares around the center that rounding leaves as a variance where all labels are equal.
_NOISE = 1e-12


@dataclass(frozen=True)
class RegressionTask(Task):
    """A number for each row.

    Outputs are in units in which labels have the mean 0 and the deviation 1, so that learning rates mean the
    same for labels of any size: the prediction is ``center + scale * output``. For ``poisson`` it is
    ``exp(center + output)``.

    Attributes
    ----------
    distribution : str
        One of `DISTRIBUTIONS`: the mean by half the squared error (``gaussian``) or by Poisson's deviance
        (``poisson``), the median by the absolute error (``laplace``), a mean that outliers move less (``huber``),
        or a quantile by the pinball loss (``quantile``).
    center, scale : float
        Mean and deviation of the labels; for ``poisson`` the logarithm of their mean, and 1.
    quantile : float
        Of ``quantile``, in (0, 1).
    delta : float
        Of ``huber``, above 0: the error, in deviations of the labels, from which on it counts linearly.
    """

    kind: ClassVar[str] = "regression"
    METRICS: ClassVar[Mapping[str, bool]] = {"rmse": False, "mae": False, "r2": True, "meanDeviance": False}

    distribution: str
    center: float = 0.0
    scale: float = 1.0
    quantile: float = 0.5
    delta: float = 1.0

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(f"distribution {self.distribution!r} is none of {', '.join(DISTRIBUTIONS)}")
        if not (math.isfinite(self.center) and 0 < self.scale < math.inf):
            raise ValueError(f"center {self.center!r} and scale {self.scale!r} are no mean and deviation")
        if not (0 < self.quantile < 1 and 0 < self.delta < math.inf):
            raise ValueError(f"quantile {self.quantile!r} or delta {self.delta!r} is out of range")

    @property
    def outputs(self) -> int:
        """1: one number a row."""
        return 1

    @property
    def target(self) -> TensorSpec:
        """The label, in its own unit."""
        return TensorSpec("float64", ())

    @property
    def least(self) -> float:
        """The lowest label that the distribution admits."""
        return 0.0 if self.is_logarithmic else -math.inf

    @property
    def accepted(self) -> str:
        """The labels that the distribution admits, in words."""
        return f"numbers from 0 up, for distribution={self.distribution!r}" if self.is_logarithmic else "finite numbers"

    @property
    def is_logarithmic(self) -> bool:
        """True where raw predictions are logarithms."""
        return self.distribution == "poisson"

    def encode(self, labels: pa.Array) -> Targets:
        """Return labels as float64; nulls, NaN, infinities and labels below `least` are invalid."""
        values = np.asarray(pc.fill_null(labels.cast(pa.float64()), math.nan).to_numpy(zero_copy_only=False))
        return Targets(values, np.isfinite(values) & (values >= self.least))

    def refusal(self, label: Any) -> str:
        """Return the reason why a label isn't valid."""
        return f"the label is {'null' if label is None else label}; accepted: {self.accepted}"

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row, in units of the labels' deviation or, for poisson, of their mean."""
        output = outputs[:, 0]
        if self.is_logarithmic:
            return half_poisson_deviance(output, (targets / math.exp(self.center)).to(output.dtype))
        residuals = ((targets - self.center) / self.scale).to(output.dtype) - output
        if self.distribution == "gaussian":
            return half_squared(residuals)
        if self.distribution == "huber":
            return huber(residuals, self.delta)
        return pinball(residuals, self.quantile) if self.distribution == "quantile" else residuals.abs()

    def unfit_offsets(self) -> str | None:
        """Return None: rows can have offsets."""
        return None

    def add_offsets(self, outputs: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Return outputs with offsets added, in double precision: it keeps the digits of labels near large offsets."""
        return outputs.double() + (offsets / self.scale)[:, None]

    def adjust(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return predictions on the scale of the link: of labels, or of their logarithms for ``poisson``."""
        return outputs.double() * self.scale + self.center

    def respond(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return predicted labels."""
        return np.exp(raw) if self.is_logarithmic else raw

    def deviances(self, raw: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the unit deviance of each row, in units of the labels, as H2O defines it.

        Parameters
        ----------
        raw : torch.Tensor
            Raw predictions ``(rows,)``, as `adjust` gives them.
        targets : torch.Tensor
            Labels.
        """
        if self.is_logarithmic:
            return 2 * half_poisson_deviance(raw, targets)
        residuals = targets - raw
        if self.distribution == "huber":
            return 2 * huber(residuals, self.delta * self.scale)
        if self.distribution == "gaussian":
            return residuals**2
        return pinball(residuals, self.quantile) if self.distribution == "quantile" else residuals.abs()

    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""
        return NumberSums(self, device)

    def choices(self) -> dict[str, Any]:
        """Return the distribution, and the units of the outputs."""
        return {"distribution": self.distribution, "labelCenter": self.center, "labelScale": self.scale}


class NumberSums(Sums):
    """Sums over scored rows, each counted by its weight.

    The metrics that follow from them:

    - ``rmse``: root of the mean squared error, in units of the label.
    - ``mae``: mean absolute error, in units of the label.
    - ``r2``: share of the labels' variance that is explained; None where all labels are equal.
    - ``meanDeviance``: mean of `RegressionTask.deviances`.
    """

    def __init__(self, task: RegressionTask, device: torch.device) -> None:
        self._task = task
        self.values = torch.zeros(6, dtype=torch.float64, device=device)

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows."""
        task, counts = self._task, row_counts(targets, weights)
        links = raw[:, 0].double()
        residuals = targets - (links.exp() if task.is_logarithmic else links)
        # Around the center: sums of squares of labels far from 0 would lose their digits.
        apart = targets - task.center
        parts = (
            torch.ones_like(targets),
            apart,
            apart**2,
            residuals**2,
            residuals.abs(),
            task.deviances(links, targets),
        )
        self.values += torch.stack(parts) @ counts

    def metrics(self) -> Metrics:
        """Return the metrics."""
        weight, apart, squares, errors, sizes, deviances = self.values.tolist()
        spread = squares - apart**2 / weight
        return Metrics(
            rmse=math.sqrt(errors / weight),
            mae=sizes / weight,
            # What is left of equal labels is their rounding.
            r2=1 - errors / spread if spread > _NOISE * squares else None,
            meanDeviance=deviances / weight,
        )
