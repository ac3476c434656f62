"""Records of a training's progress, by step and by epoch, and their observer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparkwater.gpu.tasks import Metrics


@dataclass(frozen=True)
class StepRecord:
    """Progress within an epoch, over all ranks.

    Attributes
    ----------
    epoch, step : int
        The step that was taken last, both counted from 0.
    rows : int
        Rows trained in the epoch so far.
    rows_an_epoch : int
        Rows of a whole epoch.
    loss : float
        As `EpochRecord.loss`, of the last step.
    speeds : tuple of float
        Rows a second of each rank, since the epoch began or was gone on with: its share of the rows by the time of all,
        as ranks take each step together.
    """

    epoch: int
    step: int
    rows: int
    rows_an_epoch: int
    loss: float
    speeds: tuple[float, ...] = ()

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> StepRecord:
        """Return the record that `dataclasses.asdict` gave, also after a way through JSON."""
        return cls(**{**fields, "speeds": tuple(fields["speeds"])})


@dataclass(frozen=True)
class EpochRecord:
    """Loss, metrics and times of one epoch, over all ranks.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    loss : float
        What training makes small: weighted mean of the task's losses over the rows, each by the weights at
        its own step; with class weights and smoothed labels, without penalties.
    rows : int
        Rows trained.
    seconds : float
        Wall time of training on rank 0.
    learning_rate : float
        Learning rate of the last step.
    training : Metrics
        Metrics of the training rows, each as scored at its own step: augmented, by a network in training.
    validation : Metrics or None
        Metrics of the held-out rows, as they are, by the network after the epoch.
    """

    epoch: int
    loss: float
    rows: int
    seconds: float
    learning_rate: float
    training: Metrics
    validation: Metrics | None

    @property
    def accuracy(self) -> float | None:
        """The share of the training rows that were right, as ``training``; None for tasks without an error rate."""
        error = self.training.get("error")
        return None if error is None else 1 - error

    @property
    def judged(self) -> Metrics:
        """The metrics that decide: of the validation rows where there are any."""
        return self.validation or self.training

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> EpochRecord:
        """Return the record that `dataclasses.asdict` gave, also after a way through JSON."""
        validation = fields["validation"]
        metrics = {
            "training": Metrics(fields["training"]),
            "validation": Metrics(validation) if validation else None,
        }
        return cls(**{**fields, **metrics})


@dataclass(frozen=True)
class Observer:
    """Listener to a training's progress; it can't change the training.

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


@dataclass
class Progress:
    """The step under way, for checkpoints and for the messages of errors; both counted from 0."""

    epoch: int | None = None
    step: int | None = None

    @property
    def steps_done(self) -> int:
        """The steps of the epoch that are done, once the step is."""
        return 0 if self.step is None else self.step + 1

    def __str__(self) -> str:
        """Return the place in words, which `AT` matches."""
        if self.epoch is None:
            return "before the first epoch"
        if self.step is None:
            return f"between steps of epoch {self.epoch}"
        return f"in epoch {self.epoch}, step {self.step}"


#: The words of a `Progress`, with epoch and step as groups.
AT = r"(?:before the first epoch|between steps of epoch (?P<after>\d+)|in epoch (?P<epoch>\d+), step (?P<step>\d+))"


def place_in(found: re.Match[str]) -> Progress:
    """Return the place of a match of a pattern that has `AT` in it."""
    epoch, step = found["epoch"] or found["after"], found["step"]
    return Progress(None if epoch is None else int(epoch), None if step is None else int(step))
