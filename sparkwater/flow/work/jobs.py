"""Jobs: actions in threads, their states and progress; they can be cancelled."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError
from sparkwater.flow.work.progress import Training
from sparkwater.flow.work.words import in_words
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.workbook import Cell, Workbook
from sparkwater.gpu.records import EpochRecord, Observer, StepRecord
from sparkwater.ml.launch.following import follow_fits

logger = logging.getLogger(__name__)

#: States in which nothing more happens.
ENDED = ("done", "failed", "cancelled")
#: Jobs that Spark starts after a cancellation, between two of its jobs, are cancelled as well.
_SECONDS_BETWEEN_CANCELS = 0.5


@dataclass(frozen=True)
class Job:
    """An action that runs, or ran, as it stands at one moment.

    Attributes
    ----------
    id : int
        Counted from 1.
    action : Action
        The action.
    state : str
        "waiting", "running", "done", "failed" or "cancelled".
    error : str
        Why it failed, in words.
    submitted : float
        Time, in seconds since 1970.
    started, ended : float or None
        Times of its start and end.
    trainings : tuple of Training
        The trainings that it has begun; an ensemble has several.
    cancelling : bool
        True from the wish to cancel it on.
    """

    id: int
    action: Action
    submitted: float
    state: str = "waiting"
    error: str = ""
    started: float | None = None
    ended: float | None = None
    trainings: tuple[Training, ...] = ()
    cancelling: bool = False

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in ENDED

    @property
    def seconds(self) -> float | None:
        """Its running time so far; None where it hasn't started."""
        if self.started is None:
            return None
        return (time.time() if self.ended is None else self.ended) - self.started

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        """Epoch records of its latest training."""
        return self.trainings[-1].epochs if self.trainings else ()

    @property
    def step(self) -> StepRecord | None:
        """The last step of its latest training."""
        return self.trainings[-1].step if self.trainings else None


class Jobs:
    """The jobs of a workspace, oldest first; any thread may ask.

    Parameters
    ----------
    workspace : Workspace
        The variables.
    workbook : Workbook
        It gets a cell for each job that ends.
    """

    def __init__(self, workspace: Workspace, workbook: Workbook) -> None:
        self._workspace, self._workbook = workspace, workbook
        self._jobs: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._one_training = threading.Lock()
        self._done = threading.Condition(self._lock)

    def start(self, action: Action) -> Job:
        """Run an action in a thread of its own, and return its job; trainings wait for one another.

        Raises
        ------
        ConfigurationError
            If Spark isn't there, or a path lies outside of the folders.
        """
        spark = self._workspace.spark
        for path in action.paths:
            self._workspace.folders.within(path)
        with self._lock:
            job = Job(len(self._jobs) + 1, action, time.time())
            self._jobs[job.id] = job
        run = session_of(spark).in_thread(self._run)
        threading.Thread(target=run, args=(job.id,), name=f"flow job {job.id}", daemon=True).start()
        return job

    def all(self) -> tuple[Job, ...]:
        """Return all jobs as they are now."""
        with self._lock:
            return tuple(self._jobs.values())

    def get(self, job_id: int) -> Job:
        """Return a job as it is now."""
        with self._lock:
            if job_id not in self._jobs:
                raise ConfigurationError(f"there is no job {job_id}")
            return self._jobs[job_id]

    def wait(self, job_id: int, seconds: float | None = None) -> Job:
        """Return a job at its end, or as it is after some seconds."""
        with self._done:
            self._done.wait_for(lambda: not self._jobs[job_id].active, seconds)
            return self._jobs[job_id]

    def cancel(self, job_id: int) -> None:
        """Cancel a job: what Spark does for it ends, and it comes to "cancelled"; nothing happens where it ended."""
        job = self._change(job_id, lambda job: replace(job, cancelling=job.active))
        if job.cancelling:
            thread = threading.Thread(target=self._cancel, args=(job_id,), name=f"cancel job {job_id}", daemon=True)
            thread.start()

    def _cancel(self, job_id: int) -> None:
        session = session_of(self._workspace.spark)
        while self.get(job_id).active:
            session.cancel(_tag(job_id))
            self.wait(job_id, _SECONDS_BETWEEN_CANCELS)

    def _run(self, job_id: int) -> None:
        job = self.get(job_id)
        if job.action.trains:
            while not self._one_training.acquire(timeout=_SECONDS_BETWEEN_CANCELS):
                if self.get(job_id).cancelling:
                    self._end(job_id, "cancelled")
                    return
        try:
            self._work(job_id)
        finally:
            if job.action.trains:
                self._one_training.release()

    def _work(self, job_id: int) -> None:
        job = self._change(job_id, lambda job: replace(job, state="running", started=time.time()))
        try:
            if job.cancelling:
                raise ConfigurationError("cancelled before it ran")
            begin = partial(self._begin_training, job_id)
            with session_of(self._workspace.spark).tagged(_tag(job_id)), follow_fits(begin):
                self._workspace.run(job.action)
        except Exception as error:
            logger.info("job %d: %s", job_id, error, exc_info=True)
            self._end(job_id, "cancelled" if self.get(job_id).cancelling else "failed", in_words(error))
        else:
            self._end(job_id, "done")

    def _end(self, job_id: int, state: str, error: str = "") -> None:
        job = self._change(
            job_id, lambda job: replace(job, state=state, error=error if state == "failed" else "", ended=time.time())
        )
        self._workbook.add(Cell(job.action, job.state, job.seconds, job.error))

    def _begin_training(self, job_id: int, epochs: float) -> Observer:
        """Return the observer of a training that begins."""
        job = self._change(job_id, lambda job: replace(job, trainings=(*job.trainings, Training(epochs))))
        place = len(job.trainings) - 1

        def put(change: Any) -> None:
            def changed(job: Job) -> Job:
                before = job.trainings
                return replace(job, trainings=(*before[:place], change(before[place]), *before[place + 1 :]))

            self._change(job_id, changed)

        return Observer(
            lambda record: put(lambda training: training.with_epoch(record)),
            lambda record: put(lambda training: training.with_step(record)),
        )

    def _change(self, job_id: int, change: Any) -> Job:
        with self._done:
            job: Job = change(self._jobs[job_id])
            self._jobs[job_id] = job
            self._done.notify_all()
            return job


def _tag(job_id: int) -> str:
    return f"sparkwater-flow-{job_id}"
