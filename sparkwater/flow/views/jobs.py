"""Jobs as words and numbers for a page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sparkwater.flow.views.numbers import duration
from sparkwater.flow.views.tables import Curves
from sparkwater.flow.work.jobs import Job
from sparkwater.flow.work.progress import Training
from sparkwater.gpu.records import EpochRecord

#: The most points of a line, and the most plots: a task's first metrics are those to watch.
_POINTS, _PANELS = 300, 4


@dataclass(frozen=True)
class JobRow:
    """A job in a list.

    Attributes
    ----------
    id : int
        Its number.
    title : str
        Its action.
    state : str
        In a word or two.
    began : str
        Time of day.
    seconds : str
        Its running time.
    progress : str
        Epochs done, of how many.
    """

    id: int
    title: str
    state: str
    began: str
    seconds: str
    progress: str


def job_row(job: Job) -> JobRow:
    """Return a job as it stands."""
    return JobRow(
        id=job.id,
        title=job.action.title,
        state="cancelling" if job.active and job.cancelling else job.state,
        began=time.strftime("%H:%M:%S", time.localtime(job.started or job.submitted)),
        seconds=duration(job.seconds),
        progress=epochs_done(job.trainings[-1]) if job.trainings else "",
    )


def epochs_done(training: Training) -> str:
    """Return the number of its epochs that are done, of how many."""
    return f"{len(training.epochs)} of {training.planned:g} epochs"


def phase(job: Job) -> str:
    """Return a sentence on what a job does now, or how it ended."""
    if not job.active:
        return (
            f"{job.state.capitalize()} after {duration(job.seconds)}." if job.started else f"{job.state.capitalize()}."
        )
    if job.cancelling:
        return "It is being cancelled: Spark ends its tasks."
    if job.state == "waiting":
        return "It waits for the trainings before it."
    if not job.trainings:
        return "Spark works: rows are read and counted." if job.action.trains else "Spark works."
    training = job.trainings[-1]
    number = f"Training {len(job.trainings)}: " if len(job.trainings) > 1 else ""
    if not training.epochs and training.step is None:
        return f"{number}Ranks start, and read and decode their rows; the first epoch follows."
    return f"{number}{', '.join([epochs_done(training), *_speed(training)])}."


def _speed(training: Training) -> list[str]:
    speed = f"{training.rows_a_second:,.0f} rows a second" if training.rows_a_second else ""
    left = training.seconds_left
    return [words for words in (speed, f"{duration(left)} left" if left else "") if words]


def panels(epochs: Sequence[EpochRecord]) -> list[Curves]:
    """Return the loss and the first metrics of a training, by epoch; none before its first epoch has ended."""
    if not epochs:
        return []
    epochs = _thinned(epochs)
    numbers = tuple(record.epoch + 1 for record in epochs)
    found = [Curves("loss", {"training rows": tuple(record.loss for record in epochs)}, epochs=numbers)]
    for name in epochs[-1].judged:
        lines = {"training rows": tuple(record.training.get(name) for record in epochs)}
        if epochs[-1].validation:
            held_out = (record.validation.get(name) if record.validation else None for record in epochs)
            lines["validation rows"] = tuple(held_out)
        if any(isinstance(value, float) for values in lines.values() for value in values):
            found.append(Curves(name, lines, epochs=numbers))
    return found[:_PANELS]


def _thinned(epochs: Sequence[EpochRecord]) -> Sequence[EpochRecord]:
    """Return some of many records, evenly: a plot has no room for more."""
    step = -(-len(epochs) // _POINTS)
    return [*epochs[:-1:step], epochs[-1]]
