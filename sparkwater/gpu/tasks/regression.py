"""Regression: one number a row, by the distribution that its loss assumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.tasks.losses import (
    half_gamma_deviance,
    half_poisson_deviance,
    half_squared,
    half_tweedie_deviance,
    huber,
    pinball,
)
from sparkwater.gpu.tasks.number_metrics import NUMBER_METRICS, NumberSums
from sparkwater.gpu.tasks.task import Sums, Targets, Task

#: Distributions of labels around what is predicted, with H2O's names.
DISTRIBUTIONS = ("gaussian", "laplace", "huber", "poisson", "gamma", "tweedie", "quantile")

#: Those with a logarithmic link.
LOGARITHMIC = ("poisson", "gamma", "tweedie")

#: The lowest number above 0.
_ABOVE_ZERO = math.ulp(0.0)


def encode_numbers(labels: pa.Array, least: float = -math.inf) -> Targets:
    """Return labels as float64; nulls, NaN, infinities and labels below the least one are invalid."""
    values = np.asarray(pc.fill_null(labels.cast(pa.float64()), math.nan).to_numpy(zero_copy_only=False))
    return Targets(values, np.isfinite(values) & (values >= least))


def refuse_number(label: Any, accepted: str) -> str:
    """Return the reason why a label isn't valid."""
    return f"the label is {'null' if label is None else label}; accepted: {accepted}"


@dataclass(frozen=True)
class RegressionTask(Task):
    """A number for each row.

    Outputs are in units in which labels have the mean 0 and the deviation 1, so that learning rates mean the
    same for labels of any size: the prediction is ``center + scale * output``. For `LOGARITHMIC` distributions it is
    ``exp(center + output)``.

    Attributes
    ----------
    distribution : str
        One of `DISTRIBUTIONS`: the mean by half the squared error (``gaussian``) or by half the deviance of counts
        (``poisson``), of sizes above 0 (``gamma``), or of sizes of which some are 0 (``tweedie``); the median by the
        absolute error (``laplace``); a mean that outliers move less (``huber``); or a quantile by the pinball loss
        (``quantile``).
    center, scale : float
        Mean and deviation of the labels; for `LOGARITHMIC` distributions the logarithm of their mean, and 1.
    quantile : float
        Of ``quantile``, in (0, 1).
    delta : float
        Of ``huber``, above 0: the error, in deviations of the labels, from which on it counts linearly.
    alpha : float or None
        Of ``huber``, in (0, 1): share of the rows whose errors count as squares. The losses of each epoch then have
        that quantile of the absolute errors at its beginning in place of `delta`, as H2O's; deviances keep `delta`.
    power : float
        Of ``tweedie``, in (1, 2): the variance grows with this power of the mean.
    """

    kind: ClassVar[str] = "regression"
    METRICS: ClassVar[Mapping[str, bool]] = NUMBER_METRICS
    TAKES_OFFSETS: ClassVar[bool] = True

    distribution: str
    center: float = 0.0
    scale: float = 1.0
    quantile: float = 0.5
    delta: float = 1.0
    power: float = 1.5
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(f"distribution {self.distribution!r} is none of {', '.join(DISTRIBUTIONS)}")
        if not (math.isfinite(self.center) and 0 < self.scale < math.inf):
            raise ValueError(f"center {self.center!r} and scale {self.scale!r} are no mean and deviation")
        if not (0 < self.quantile < 1 and 0 < self.delta < math.inf):
            raise ValueError(f"quantile {self.quantile!r} or delta {self.delta!r} is out of range")
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise ValueError(f"alpha {self.alpha!r} is not between 0 and 1")
        if not 1 < self.power < 2:
            raise ValueError(f"power {self.power!r} is not between 1 and 2")

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
        if self.distribution == "gamma":
            return _ABOVE_ZERO
        return 0.0 if self.is_logarithmic else -math.inf

    @property
    def accepted(self) -> str:
        """The labels that the distribution admits, in words."""
        if not self.is_logarithmic:
            return "finite numbers"
        bound = "above 0" if self.distribution == "gamma" else "from 0 up"
        return f"numbers {bound}, for distribution={self.distribution!r}"

    @property
    def is_logarithmic(self) -> bool:
        """True where raw predictions are logarithms."""
        return self.distribution in LOGARITHMIC

    def encode(self, labels: pa.Array) -> Targets:
        """Return labels as float64; nulls, NaN, infinities and labels below `least` are invalid."""
        return encode_numbers(labels, self.least)

    def refusal(self, label: Any) -> str:
        """Return the reason why a label isn't valid."""
        return refuse_number(label, self.accepted)

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row, in units of the labels' deviation or, where it is logarithmic, of their mean."""
        output = outputs[:, 0]
        if self.is_logarithmic:
            return self._half_deviances(output, (targets / math.exp(self.center)).to(output.dtype))
        residuals = ((targets - self.center) / self.scale).to(output.dtype) - output
        if self.distribution == "gaussian":
            return half_squared(residuals)
        if self.distribution == "huber":
            return huber(residuals, self.delta)
        return pinball(residuals, self.quantile) if self.distribution == "quantile" else residuals.abs()

    @property
    def adapts(self) -> bool:
        """True for ``huber`` with `alpha`."""
        return self.distribution == "huber" and self.alpha is not None

    def adapted(self, quantile: Callable[[float, Task], float]) -> Task:
        """Return the task with a quantile of the absolute errors as `delta`, where there is an `alpha`."""
        if not self.adapts or self.alpha is None:
            return self
        # The losses of laplace are absolute errors, in deviations of the labels.
        found = quantile(self.alpha, replace(self, distribution="laplace"))
        return replace(self, delta=found) if found > 0 else self

    def divergences(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Return the distance of each row's prediction from the other one.

        Half the squared difference, in deviations of the labels. For `LOGARITHMIC` distributions it is half the
        deviance of the one mean from the other, in units of the labels' mean: the Kullback-Leibler divergence of two
        distributions of dispersion 1.
        """
        if not self.is_logarithmic:
            return super().divergences(outputs, others)
        return self._half_deviances(others[:, 0], outputs[:, 0].exp())

    def add_offsets(self, outputs: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Return outputs with offsets added, in double precision: it keeps the digits of labels near large offsets."""
        return outputs.double() + (offsets / self.scale)[:, None]

    def adjust(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return predictions on the scale of the link: of labels, or of their logarithms."""
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
            return 2 * self._half_deviances(raw, targets)
        residuals = targets - raw
        if self.distribution == "huber":
            return 2 * huber(residuals, self.delta * self.scale)
        if self.distribution == "gaussian":
            return residuals**2
        return pinball(residuals, self.quantile) if self.distribution == "quantile" else residuals.abs()

    def _half_deviances(self, log_means: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.distribution == "gamma":
            return half_gamma_deviance(log_means, targets)
        if self.distribution == "tweedie":
            return half_tweedie_deviance(log_means, targets, self.power)
        return half_poisson_deviance(log_means, targets)

    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""
        return NumberSums(self.center, self._measure, device)

    def _measure(self, raw: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (raw.exp() if self.is_logarithmic else raw), self.deviances(raw, targets)

    def choices(self) -> dict[str, Any]:
        """Return the distribution, and the units of the outputs."""
        return {"distribution": self.distribution, "labelCenter": self.center, "labelScale": self.scale}
