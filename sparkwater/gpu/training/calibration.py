"""Temperature scaling: log-odds of a trained classifier, divided by one number (Guo et al. 2017, section 4.2).

The number is the one under which the rows to validate on are most probable, and one row more that is of each class
alike: every label has the uniform distribution's share of ``1 / (rows + 1)``. Else rows that are all predicted right,
as a hundred of them may be, would make the network as sure as can be (Platt 1999, section 2.2, smooths labels for the
same reason, by each class's rows). The cross entropy is convex in the number's inverse, so Newton's method, kept within
bounds, finds it in a few passes over the rows. The ranks add up six numbers in each pass, and go on alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from sparkwater.conversions.tensors.digits import rounded
from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.rows.held import RankRows
from sparkwater.gpu.tasks import ClassificationTask, Metrics, Sums, Task
from sparkwater.gpu.tasks.task import row_counts
from sparkwater.gpu.training.validation import score_rows

#: Temperatures are between a twentieth and twenty: rows that are all predicted wrong would have none else.
LARGEST = 20.0

#: Passes over the rows, at most; and the relative change from which on a step of Newton's is the last.
_PASSES, _NEAR = 20, 1e-3


@dataclass(frozen=True)
class Calibration:
    """The temperature of a network, and what it gains.

    Attributes
    ----------
    temperature : float
        Divisor of the log-odds.
    before, after : float
        Mean cross entropy of the rows to validate on, in nats, without and with it; of their own labels alone.
    """

    temperature: float
    before: float
    after: float

    def of(self, task: Task) -> Task:
        """Return the task with the temperature."""
        assert isinstance(task, ClassificationTask)  # no other is calibrated
        return replace(task, temperature=self.temperature)


class TemperatureSums(Sums):
    """Number of scored rows, and their sums, each counted by its weight: weight, cross entropy, and derivatives.

    The derivatives are the second and the first, and the first of the mean cross entropy of all classes.

    Parameters
    ----------
    inverse : float
        Factor of the log-odds, by which the derivatives are.
    device : torch.device
        Device of the outputs.
    """

    def __init__(self, inverse: float, device: torch.device) -> None:
        self._inverse = inverse
        self.values = torch.zeros(6, dtype=torch.float64, device=device)

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows by their log-odds and the positions of their classes."""
        odds = raw.double()
        odds = odds - odds.amax(dim=1, keepdim=True)
        own = odds.gather(1, targets[:, None])[:, 0]
        scaled = self._inverse * odds
        shares = scaled.softmax(dim=1)
        mean = (shares * odds).sum(dim=1)
        losses = scaled.logsumexp(dim=1) - self._inverse * own
        spread = (shares * (odds - mean[:, None]) ** 2).sum(dim=1)
        slopes = mean - own, mean - odds.mean(dim=1)
        self.values[0] += len(own)
        self.values[1:] += torch.stack((torch.ones_like(own), losses, spread, *slopes)) @ row_counts(targets, weights)

    def metrics(self) -> Metrics:
        """Return the mean cross entropy, its derivatives, and the first one of smoothed labels."""
        rows, weight, *sums = self.values.tolist()
        loss, curvature, slope, alike = (each / weight for each in sums)
        smoothed = (rows * slope + alike) / (rows + 1)
        return Metrics(logloss=loss, slope=slope, curvature=curvature, smoothedSlope=smoothed)


def fit_temperature(compute: Compute, rows: RankRows, task: Task, communicator: Communicator) -> Calibration:
    """Return the temperature of a trained network; every rank calls this at the same time.

    Parameters
    ----------
    compute : Compute
        The network on its device.
    rows : RankRows
        This rank's rows to validate on; there may be none, but not on all ranks.
    task : Task
        A classification.
    communicator : Communicator
        Open.
    """
    inverse, lowest, highest = 1.0, 1 / LARGEST, LARGEST
    before = after = math.nan
    for _ in range(_PASSES):
        sums = TemperatureSums(inverse, compute.device)
        score_rows(compute.network, rows, compute, task, sums)
        communicator.all_reduce_(sums.values)
        loss, slope, curvature, smoothed = (float(value or 0.0) for value in sums.metrics().values())
        before = loss if math.isnan(before) else before
        lowest, highest = (lowest, inverse) if smoothed > 0 else (inverse, highest)
        following = inverse - smoothed / curvature if curvature else inverse
        if not lowest <= following <= highest:
            following = math.sqrt(lowest * highest)
        change, inverse = following - inverse, following
        # By Taylor: the next pass would tell no other digits.
        after = loss + change * (slope + change * curvature / 2)
        if abs(change) <= _NEAR * inverse:
            break
    return Calibration(rounded(1 / inverse), before, after)
