"""Pruning of networks: a training ends whose loss is above the median of the trials before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sparkwater.stacking.level_one.learners import Learner, last_stage

#: Epochs that every training has.
_WARM_UP = 1


@dataclass
class Pruner:
    """The rule of the median over the losses of the trials' first fits, epoch by epoch.

    Attributes
    ----------
    startup : int
        Trials before any is ended early.
    curves : list of tuple of float
        The losses of the trials that came to their end.
    """

    startup: int
    curves: list[tuple[float, ...]] = field(default_factory=list)

    def limits(self) -> tuple[float, ...]:
        """Return the highest loss at each epoch with which a training goes on; empty while there are few trials.

        It is the median of the lowest losses, up to the epoch, of the trials so far.
        """
        if len(self.curves) < self.startup:
            return ()
        longest = max(map(len, self.curves))
        return tuple(
            median(min(curve[: epoch + 1]) for curve in self.curves if len(curve) > epoch) for epoch in range(longest)
        )

    def watched(self, learner: Learner) -> Learner:
        """Return the learner with a callback that ends its training where it is behind."""
        last = last_stage(learner.stage)
        return learner.with_params(callbacks=[*last.getCallbacks(), ends_behind(self.limits())])


@dataclass(frozen=True)
class Pruned:
    """A training that was ended for being behind.

    Attributes
    ----------
    curve : tuple of float
        Its loss after each epoch.
    """

    curve: tuple[float, ...]


def ends_behind(limits: Sequence[float]) -> Callable[[Any], bool]:
    """Return a callback that is True after an epoch with a loss above the limit; it travels to the executors."""
    bounds, lowest = tuple(limits), [float("inf")]

    def behind(record: Any) -> bool:
        lowest[0] = min(lowest[0], loss_of(record))
        return is_behind(bounds, record.epoch, lowest[0])

    return behind


def is_behind(limits: Sequence[float], epoch: int, lowest: float) -> bool:
    """Return whether a training is behind after an epoch, by its lowest loss so far."""
    return _WARM_UP <= epoch < len(limits) and lowest > limits[epoch]


def loss_of(record: Any) -> float:
    """Return the first metric that decides; the training's loss where there is none."""
    value = next(iter(record.judged.values()), None)
    return float(record.loss if value is None else value)


def curve_of(model: Any) -> tuple[float, ...]:
    """Return a fitted network's loss after each epoch; empty for models without such records."""
    summary = getattr(last_stage(model), "summary", None)
    return tuple(loss_of(record) for record in getattr(summary, "records", ()))


def pruned_at(curve: Sequence[float], limits: Sequence[float]) -> int | None:
    """Return the epoch after which a training was ended for being behind; None where it wasn't."""
    last = len(curve) - 1
    return last if curve and is_behind(limits, last, min(curve)) else None
