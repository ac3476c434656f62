"""Learning-rate and momentum schedules: pure functions, so that all ranks compute the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.curves import CURVES, doubling_cycles, flat_cosine
from sparkwater.gpu.rows.plan import steps_an_epoch

#: Of torch's OneCycleLR: share of the steps that rise, first rate below the highest, last rate below the first.
_RISE, _BELOW_FIRST, _BELOW_LAST = 0.3, 25.0, 1e4


@dataclass(frozen=True)
class Length:
    """The length of a training in rows and steps.

    Attributes
    ----------
    rows : int
        Rows of an epoch.
    steps_an_epoch : int
        Steps of an epoch.
    steps : int
        Steps in all.
    """

    rows: int
    steps_an_epoch: int
    steps: int

    @classmethod
    def of(cls, rows: int, batch_size: int, epochs: float) -> Length:
        """Return the length of a training; a fraction of an epoch is that share of its steps, rounded up."""
        steps = steps_an_epoch(rows, batch_size)
        # Rounded first: 0.07 epochs of 100 steps are 7 steps, not 7.000000000000001.
        return cls(rows, steps, math.ceil(round(epochs * steps, 6)))

    def steps_of(self, epoch: int) -> int:
        """Return the steps of an epoch: all of them, those of a fraction, or none after the end."""
        return max(0, min(self.steps_an_epoch, self.steps - epoch * self.steps_an_epoch))

    def samples(self, step: int) -> float:
        """Return the number of rows visited before a step; exact where an epoch begins."""
        return step * self.rows / self.steps_an_epoch

    def after(self, steps: int) -> Length:
        """Return the length left after some steps."""
        return replace(self, steps=max(self.steps - steps, 1))


def _constant(config: TrainConfig, length: Length, step: int) -> float:  # noqa: ARG001
    return 1.0


def _stairs(config: TrainConfig, length: Length, step: int) -> float:
    stair = max(round(config.decay_epochs * length.steps_an_epoch), 1)
    return config.decay_factor ** (step // stair)


def _cosine(config: TrainConfig, length: Length, step: int) -> float:  # noqa: ARG001
    return (1 + math.cos(math.pi * step / length.steps)) / 2


def _one_cycle(config: TrainConfig, length: Length, step: int) -> float:  # noqa: ARG001
    first = 1 / _BELOW_FIRST
    last = first / _BELOW_LAST
    top, end = _RISE * length.steps - 1, length.steps - 1
    if step <= top:
        return _between(first, 1.0, step / top if top else 1.0)
    return _between(1.0, last, (step - top) / (end - top))


def _annealing(config: TrainConfig, length: Length, step: int) -> float:
    return 1 / (1 + config.annealing * length.samples(step))


def _four_cycles(config: TrainConfig, length: Length, step: int) -> float:  # noqa: ARG001
    # The middle of the step: the rate is 0 where a cycle begins.
    return doubling_cycles((step + 0.5) / length.steps)


def _flat_cosine(config: TrainConfig, length: Length, step: int) -> float:  # noqa: ARG001
    return flat_cosine(step / length.steps)


def _between(start: float, end: float, share: float) -> float:
    """Return the value after a share of the way along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


_FACTORS: dict[str, Callable[[TrainConfig, Length, int], float]] = {
    "constant": _constant,
    "step": _stairs,
    "cosine": _cosine,
    "oneCycle": _one_cycle,
    "annealing": _annealing,
    "fourCycles": _four_cycles,
    "flatCosine": _flat_cosine,
}

SCHEDULES = tuple(_FACTORS)


def warmup_steps(config: TrainConfig, length: Length) -> int:
    """Return the number of warm-up steps; at most all steps."""
    return min(round(config.warmup_epochs * length.steps_an_epoch), length.steps)


def learning_rate(config: TrainConfig, length: Length, step: int) -> float:
    """Return the learning rate of a step.

    In the warm-up it rises linearly, and its last step has the whole rate. The schedule begins after it:

    - ``constant``: the same rate.
    - ``step``: times ``decay_factor`` after every ``decay_epochs``.
    - ``cosine``: along half a cosine to zero (Loshchilov and Hutter, SGDR, 2017, without restarts).
    - ``oneCycle``: from a 25th of the rate up to it in 30 % of the steps, then down to nearly nothing
      (Smith and Topin, Super-Convergence, 2018), as torch's OneCycleLR.
    - ``annealing``: rate / (1 + annealing * rows visited), as H2O.
    - ``fourCycles``: four times up and down along a cosine, each cycle twice as long as the one before:
      `sparkwater.gpu.curves.doubling_cycles`.
    - ``flatCosine``: the same rate in the first half, then along half a cosine to zero.

    Parameters
    ----------
    config : TrainConfig
        The schedule and its settings.
    length : Length
        Length of the training.
    step : int
        Counted from 0 over all epochs.
    """
    warmup = warmup_steps(config, length)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * _FACTORS[config.schedule](config, length.after(warmup), step - warmup)


def momentum(config: TrainConfig, length: Length, step: int) -> float:
    """Return the momentum of a step: from ``momentum_start`` linearly to ``momentum`` over ``momentum_ramp`` rows.

    H2O's ``momentum_stable`` is ``momentum`` here; a ramp of 0 rows is none.
    """
    if not config.momentum_ramp:
        return config.momentum
    share = min(length.samples(step) / config.momentum_ramp, 1.0)
    return config.momentum_start + share * (config.momentum - config.momentum_start)


def weight_decay(config: TrainConfig, length: Length, step: int) -> float:
    """Return the weight decay of a step, by its schedule."""
    return config.weight_decay * CURVES[config.weight_decay_schedule](step / length.steps)
