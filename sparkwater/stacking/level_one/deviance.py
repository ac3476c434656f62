"""Losses of regressions by the distribution that their learners assume: in numpy and as Spark columns."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F

from sparkwater.stacking.level_one.learners import last_stage

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sparkwater.stacking.level_one.learners import Learner

logger = logging.getLogger(__name__)

#: Predicted means of counts and sizes are this at least: those below are no means, and have a large loss.
LEAST_MEAN = 1e-9


@dataclass(frozen=True)
class Deviance:
    """Loss of a regression's row.

    Attributes
    ----------
    name : {"rmse", "pinball", "poissonDeviance", "gammaDeviance", "tweedieDeviance"}
        Its metric: the root of the mean squared error, or the mean of the loss. Deviances are half unit deviances.
    parameter : float
        The quantile of ``pinball``, the power of ``tweedieDeviance``.
    """

    name: str = "rmse"
    parameter: float = 0.0

    @property
    def squared(self) -> bool:
        """True where the metric is the root of the mean loss."""
        return self.name == "rmse"

    def rows(self, given: npt.NDArray[np.float64], label: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the loss of each row."""
        if self.name == "rmse":
            return (given - label) ** 2
        if self.name == "pinball":
            return np.maximum(self.parameter * (label - given), (self.parameter - 1) * (label - given))
        mean = np.maximum(given, LEAST_MEAN)
        if self.name == "poissonDeviance":
            positive = np.where(label > 0, label, 1.0)
            return np.where(label > 0, label * np.log(positive / mean), 0.0) - label + mean
        if self.name == "gammaDeviance":
            return np.log(mean / label) + label / mean - 1.0
        first, second = 1.0 - self.parameter, 2.0 - self.parameter
        return label**second / (first * second) - label * mean**first / first + mean**second / second

    def column(self, given: Column, label: Column) -> Column:
        """Return the loss of a row as a column."""
        if self.name == "rmse":
            return (given - label) ** 2
        if self.name == "pinball":
            away = label - given
            return F.greatest(away * self.parameter, away * (self.parameter - 1))
        mean = F.greatest(given, F.lit(LEAST_MEAN))
        if self.name == "poissonDeviance":
            return F.when(label > 0, label * F.log(label / mean)).otherwise(0.0) - label + mean
        if self.name == "gammaDeviance":
            loss = F.log(mean / label) + label / mean - 1.0
            # Else Spark fails the job for a label of 0, and has null, which sums pass over, for those below.
            return F.when(label > 0, loss).otherwise(math.nan)
        first, second = 1.0 - self.parameter, 2.0 - self.parameter
        parts = F.pow(label, F.lit(second)) / (first * second) - label * F.pow(mean, F.lit(first)) / first
        return parts + F.pow(mean, F.lit(second)) / second


SQUARED = Deviance()


def deviance_of(learners: Sequence[Learner]) -> Deviance:
    """Return the loss that fits the learners: that of the one distribution that is set in some of them.

    Learners without a distribution don't count. Where several are set it is the squared error.
    """
    found = {_own(last_stage(learner.stage)) for learner in learners} - {None}
    if len(found) > 1:
        logger.warning("the learners assume several distributions: they are stacked by their squared errors")
    return next(iter(found)) or SQUARED if len(found) == 1 else SQUARED


def _own(stage: Any) -> Deviance | None:
    """Return the loss of a learner's own distribution, or None where none is set."""
    values = {param.name: stage.getOrDefault(param) for param in stage.params if stage.isDefined(param)}
    given = [name for name in ("distribution", "family") if stage.hasParam(name) and stage.isSet(name)]
    if not given:
        return None
    name = str(values[given[0]]).lower()
    if name == "laplace":
        return Deviance("pinball", 0.5)
    if name == "quantile":
        several = values.get("quantiles")
        middle = min(several, key=lambda one: abs(one - 0.5)) if several else values["quantileAlpha"]
        return Deviance("pinball", float(middle))
    if name in ("poisson", "gamma"):
        return Deviance(f"{name}Deviance")
    power = float(values.get("tweediePower", values.get("variancePower", 0.0)))
    return Deviance("tweedieDeviance", power) if name == "tweedie" and 1 < power < 2 else SQUARED
