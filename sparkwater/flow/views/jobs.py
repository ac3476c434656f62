"""Jobs as words and numbers for a page."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sparkwater.flow.views.numbers import duration
from sparkwater.flow.work.jobs import Job
from sparkwater.flow.work.progress import Training

#: Ranks whose speeds are said one by one.
_RANKS = 16


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
    """Return a sentence on what a job does now, or how it ended; it changes with its state alone."""
    if not job.active:
        return (
            f"{job.state.capitalize()} after {duration(job.seconds)}." if job.started else f"{job.state.capitalize()}."
        )
    if job.cancelling:
        return "It is being cancelled: Spark ends its tasks."
    if job.state == "waiting":
        return "It waits for the jobs before it" + (": one training runs at a time." if job.action.trains else ".")
    if not job.trainings:
        return "Spark works: rows are read and counted." if job.action.trains else "Spark works."
    number = f"Training {len(job.trainings)}" if len(job.trainings) > 1 else ""
    if not _has_begun(job.trainings[-1]):
        words = "Workers start, and read and decode their rows; the first epoch follows."
        return f"{number}: {words}" if number else words
    return f"{number or 'The training'} runs."


def pace(job: Job) -> str:
    """Return how far a training that runs is, its speed, and the time left; empty where none runs."""
    training = job.trainings[-1] if job.trainings and job.state == "running" and not job.cancelling else None
    if training is None or not _has_begun(training):
        return ""
    return f"{', '.join([epochs_done(training), *_speed(training)])}."


def _has_begun(training: Training) -> bool:
    return bool(training.epochs) or training.step is not None


def by_rank(job: Job) -> str:
    """Return each rank's rows a second in words; empty where nothing is trained, or one rank trains alone."""
    speeds = job.trainings[-1].speeds if job.state == "running" and job.trainings else ()
    if len(speeds) < 2:
        return ""
    said = [f"rank {rank}: {speed:,.0f}" for rank, speed in enumerate(speeds[:_RANKS])]
    if len(speeds) > _RANKS:
        rest = speeds[_RANKS:]
        said.append(f"{len(rest)} more: {min(rest):,.0f} to {max(rest):,.0f} each")
    return f"Rows a second by rank. {'; '.join([said[0].capitalize(), *said[1:]])}."


def _speed(training: Training) -> list[str]:
    speed = f"{training.rows_a_second:,.0f} rows a second" if training.rows_a_second else ""
    left = training.seconds_left
    return [words for words in (speed, f"{duration(left)} left" if left else "") if words]
