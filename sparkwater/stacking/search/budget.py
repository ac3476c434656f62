"""Budget of a search: numbers of models, seconds, and the rule that ends it early."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from sparkwater.gpu.training.stopping import has_converged
from sparkwater.stacking.search.records import Trial


@dataclass(frozen=True)
class Budget:
    """Limits of a search.

    Attributes
    ----------
    models : int
        The most trials; 0 for no limit.
    seconds : float
        Wall time, from ``started``; 0 for no limit.
    rounds : int
        Trials of a moving average of the best metric so far; 0 for no early end.
    tolerance : float
        Relative improvement of that average that isn't enough.
    clock : callable
        The time in seconds.
    started : float
        The time at which the budget began.
    reserve : callable
        Seconds of it that are needed afterwards.
    """

    models: int = 0
    seconds: float = 0.0
    rounds: int = 0
    tolerance: float = 0.0
    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)
    reserve: Callable[[], float] = lambda: 0.0

    @property
    def limited(self) -> bool:
        """True where the search may end before its candidates do, for another reason than their number."""
        return bool(self.seconds or self.rounds)

    def remaining(self) -> float:
        """Return the seconds that are left; infinite without a limit."""
        return self.started + self.seconds - self.clock() if self.seconds else float("inf")

    def allows(self, expected: float) -> bool:
        """Return whether work of so many seconds ends in time, before what is reserved."""
        left = self.remaining() - self.reserve()
        return left > 0 and expected <= left

    def more(self, trials: int, wanted: int) -> int:
        """Return the trials to begin: as many as wanted, or as are left."""
        return max(0, min(wanted, self.models - trials)) if self.models else wanted


def converged_after(trials: Sequence[Trial], rounds: int, tolerance: float) -> int | None:
    """Return the number of trials after which the best metric had stopped improving; None where it hasn't.

    The trials count in their order, whichever ended first. The rule is H2O's, on the best metric of the trials so
    far; failed trials don't count.

    Parameters
    ----------
    trials : sequence of Trial
        In their order.
    rounds, tolerance
        As in `Budget`.
    """
    measured = [(place, one.value) for place, one in enumerate(trials) if one.value is not None]
    best = list(accumulate((value for _, value in measured), min))
    for count in range(1, len(best) + 1):
        if has_converged(best[:count], rounds, tolerance, False):
            return measured[count - 1][0] + 1
    return None
