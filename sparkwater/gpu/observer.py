"""Who is told how a training goes, while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparkwater.gpu.records import EpochRecord, StepRecord


@dataclass(frozen=True)
class Observer:
    """What is called in a training; it can't change it.

    Attributes
    ----------
    on_epoch : callable
        After each epoch.
    on_step : callable
        After each step.
    """

    on_epoch: Callable[[EpochRecord], None] = lambda _: None
    on_step: Callable[[StepRecord], None] = lambda _: None


#: Nobody.
NOBODY = Observer()
