"""Ordinal classification: one class a row, of classes in an order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from sparkwater.conversions.tensors.digits import rounded
from sparkwater.gpu.tasks.classes import OneClassTask
from sparkwater.gpu.tasks.divergences import class_divergence
from sparkwater.gpu.tasks.hits import Hits
from sparkwater.gpu.tasks.losses import ordinal_logarithms
from sparkwater.gpu.tasks.task import Metrics, Sums, row_counts

#: Shares of classes are at least so much of an equal share where a network begins.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class OrdinalTask(OneClassTask):
    """One class a row, of classes in an order; the network gives a number less than there are classes.

    Outputs, plus `beginning`, are cumulative logits, as `sparkwater.gpu.tasks.losses.ordinal_logits` reads them: the
    log-odds of being above each class fall from class to class in each row, so that no probability is negative.

    Attributes
    ----------
    classes : tuple of float or of str
        Labels, the lowest first: sorted numbers, or strings in any order; two or more.
    beginning : tuple of float
        Numbers that are added to the outputs: with outputs of 0 probabilities are the shares of the classes among the
        training rows; see `beginning_of`. Empty for none.
    """

    kind: ClassVar[str] = "ordinal"
    METRICS: ClassVar[Mapping[str, bool]] = {
        "logloss": False,
        "error": False,
        "meanPerClassError": False,
        "meanRankError": False,
        "kappa": True,
    }
    own_order: ClassVar[bool] = True

    beginning: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.classes) < 2:
            raise ValueError(f"{self.classes!r}: an order needs two or more classes")
        if not isinstance(self.beginning, tuple) or len(self.beginning) not in (0, self.outputs):
            raise ValueError(f"beginning {self.beginning!r} for {len(self.classes)} classes")
        if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in self.beginning):
            raise ValueError(f"beginning {self.beginning!r} is not finite")

    @property
    def outputs(self) -> int:
        """One less than there are classes."""
        return len(self.classes) - 1

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the negative logarithm of the probability of each row's class, in nats."""
        return -ordinal_logarithms(self.adjust(outputs)).gather(1, targets[:, None])[:, 0]

    def divergences(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Return the Kullback-Leibler divergence of each row's probabilities from the other ones."""
        return class_divergence(*(ordinal_logarithms(self.adjust(raw)) for raw in (outputs, others)))

    def adjust(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs with `beginning` added."""
        return outputs + _tensor(self.beginning, outputs.device) if self.beginning else outputs

    def logarithms(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return logarithms of probabilities, ``(rows, classes)``, from raw predictions."""
        return np.asarray(ordinal_logarithms(torch.from_numpy(raw)).numpy())

    def respond(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return probabilities, ``(rows, classes)``."""
        return np.asarray(np.exp(self.logarithms(raw)))

    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""
        return OrdinalSums(len(self.classes), device)

    def choices(self) -> dict[str, Any]:
        """Return the classes in their order."""
        return {"ordinal": list(self.names)}


class OrdinalSums(Sums):
    """Sums over scored rows, each counted by its weight; a row is predicted as the class of the highest probability.

    The metrics that follow from them:

    - ``logloss``: mean of the rows' losses, in nats.
    - ``error``, ``meanPerClassError``: as those of `sparkwater.gpu.tasks.class_metrics.ClassSums`.
    - ``meanRankError``: mean number of classes between a row's class and the predicted one, 1 for neighbours.
    - ``kappa``: agreement beyond chance with quadratic weights (Cohen 1968), 1 for perfect predictions; None where
      labels and predictions are all one class.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        sizes = [Hits.size(classes), 8]
        self.values = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
        hits, self._moments = torch.split(self.values, sizes)
        self._hits = Hits(hits, classes)

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows."""
        counts, logarithms = row_counts(targets, weights), ordinal_logarithms(raw)
        losses = -logarithms.gather(1, targets[:, None])[:, 0]
        predicted = logarithms.argmax(dim=1)
        self._hits.add(targets, predicted, counts)
        found, actual = predicted.double(), targets.double()
        apart = found - actual
        parts = (
            torch.ones_like(found), losses.double(), apart.abs(), apart**2, found, found**2, actual, actual**2
        )  # fmt: skip
        self._moments += torch.stack(parts) @ counts

    def metrics(self) -> Metrics:
        """Return the metrics of all rows that were added; there must be one."""
        weight, loss, apart, squares, found, found_2, actual, actual_2 = self._moments.tolist()
        by_chance = found_2 + actual_2 - 2 * found * actual / weight
        return Metrics(
            logloss=loss / weight,
            **self._hits.rates(),
            meanRankError=apart / weight,
            kappa=1 - squares / by_chance if by_chance > 0 else None,
        )

    def details(self) -> dict[str, torch.Tensor]:
        """Return the confusion matrix."""
        return self._hits.details()


def beginning_of(totals: Sequence[float]) -> tuple[float, ...]:
    """Return the numbers that give classes their shares with outputs of 0; see `OrdinalTask`.

    Parameters
    ----------
    totals : sequence of float
        Total weight of each class's training rows, in the order of the classes; there must be some. A class that has
        less than a hundredth of an equal share counts as if it had that.
    """
    raised = np.maximum(np.asarray(totals, np.float64), _LEAST_SHARE * sum(totals) / len(totals))
    below = np.cumsum(raised)[:-1] / raised.sum()
    odds = np.log1p(-below) - np.log(below)
    # The inverse of the softplus.
    falls = np.log(np.expm1(odds[:-1] - odds[1:]))
    return tuple(rounded(float(value)) for value in (odds[0], *falls))


@lru_cache(maxsize=8)
def _tensor(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    # Autograd takes no tensor that was made while a model scored.
    with torch.inference_mode(False):
        return torch.tensor(values, device=device)
