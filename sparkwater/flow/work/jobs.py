"""Jobs: actions in threads, their states and progress; they can be cancelled."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError, SparkwaterError
from sparkwater.flow.work.error_text import in_words
from sparkwater.flow.work.progress import Training
from sparkwater.flow.work.workspace import LOST, Workspace
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.workbook import Cell, Workbook
from sparkwater.gpu.records import EpochRecord, Observer
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
        """True while it waits or runs."""
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
        self._changed = threading.Condition(self._lock)
        self._starting = threading.Lock()
        self._tag = f"sparkwater-flow-{uuid.uuid4().hex[:8]}"

    def start(self, action: Action) -> Job:
        """Run an action in a thread of its own, and return its job; trainings wait for one another.

        Raises
        ------
        ConfigurationError
            If Spark isn't there, a path lies outside of the folders, the name of a variable is taken, or a job that
            hasn't ended writes into the same folder.
        """
        with self._starting:
            coming = frozenset(name for job in self.all() if job.active for name in job.action.code().assigned)
            self._workspace.check(action, coming)
            self._check_written(action)
            return self._submit([action])[0]

    def _check_written(self, action: Action) -> None:
        """Refuse to write where a job that hasn't ended writes, too: it may replace what is there by then."""
        for job in self.all():
            for theirs in self._workspace.written(job.action) if job.active else ():
                for own in self._workspace.written(action):
                    if own == theirs or own in theirs.parents or theirs in own.parents:
                        raise ConfigurationError(
                            f"job {job.id} is about to write into {str(theirs)[:200]!r}: {job.action.title}; wait for "
                            "it, or name another folder"
                        )

    def in_the_way(self, cells: Sequence[Cell]) -> list[str]:
        """Return the folders that cells would save models in, and in which earlier runs have saved some."""
        return [path for cell in cells if cell.repeats for path in self._workspace.in_the_way(cell.action)]

    def lost_by(self, cells: Sequence[Cell]) -> list[str]:
        """Return the folders in which there is something that cells replace, as they say themselves."""
        return [path for cell in cells if cell.repeats for path in self._workspace.lost_by(cell.action)]

    def start_again(self, cells: Sequence[Cell], *, replaces: bool = False) -> list[Job]:
        """Run actions one after the other with no variables at first; the first failure ends it.

        They take the place of the workbook's cells. Those that didn't run stay in it as new ones.

        Parameters
        ----------
        cells : sequence of Cell
            The actions; those that failed or were cancelled are left out.
        replaces : bool
            Whether models and bundles are saved in place of those that are there. Without it, cells that say so
            themselves are refused too: another person may have written the flow that was opened.

        Raises
        ------
        ConfigurationError
            If Spark isn't there, a job runs, no cell can run again, or one has a path outside of the folders, or at
            which there is something that isn't replaced.
        """
        actions = [cell.action for cell in cells if cell.repeats]
        if not actions:
            raise ConfigurationError("there is nothing to run: no action has succeeded or was opened")
        with self._starting:
            self.check_idle()  # no job writes into the folders that are looked at
            if replaces:
                actions = [action.replacing() if self._workspace.in_the_way(action) else action for action in actions]
            for action in actions:
                self._workspace.check_paths(action)
            lost = [] if replaces else self.lost_by(cells)
            if lost:
                raise ConfigurationError(
                    f"{lost[0][:200]!r} exists already, and a cell replaces it; tick 'Replace what is there', or move "
                    "what is there"
                )
            _ = self._workspace.spark  # refuses before anything is cleared
            self._workspace.clear()
            self._workbook.replace(())
            return self._submit(actions, keeps=True)

    def open(self, cells: Sequence[Cell]) -> None:
        """Put other cells in place of the workbook's, and forget all variables; nothing runs.

        Raises
        ------
        ConfigurationError
            If a job runs.
        """
        with self._starting:
            self.check_idle()
            self._workspace.clear()
            self._workbook.replace(cells)

    def check_idle(self) -> None:
        """Refuse what would change the variables under a job that runs."""
        active = [job for job in self.all() if job.active]
        if active:
            raise ConfigurationError(f"wait for job {active[0].id}, or cancel it: {active[0].action.title}")

    def _submit(self, actions: Sequence[Action], *, keeps: bool = False) -> list[Job]:
        run = session_of(self._workspace.spark).in_thread(self._run_all)
        with self._lock:
            first = len(self._jobs) + 1
            made = [Job(first + place, action, time.time()) for place, action in enumerate(actions)]
            self._jobs.update({job.id: job for job in made})
        ids = [job.id for job in made]
        threading.Thread(target=run, args=(ids, keeps), name=f"flow jobs from {first}", daemon=True).start()
        return made

    def _run_all(self, ids: Sequence[int], keeps: bool) -> None:
        """Run jobs in order; after one that failed, none. A flow that runs again keeps the actions that didn't."""
        going = True
        for job_id in ids:
            if going:
                self._run(job_id)
                going = self.get(job_id).state == "done"
            else:
                self._end(job_id, "cancelled", "an action before it failed")
            if not going and keeps:
                self._workbook.add(Cell(self.get(job_id).action, "new"))

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
        with self._changed:
            self._changed.wait_for(lambda: not self._jobs[job_id].active, seconds)
            return self._jobs[job_id]

    def complete(self, action: Action) -> None:
        """Start an action, and return at its end.

        Raises
        ------
        SparkwaterError
            If it is refused, fails or is cancelled: with its own message.
        """
        ended = self.wait(self.start(action).id)
        if ended.state != "done":
            raise SparkwaterError(ended.error or f"{action.title}: {ended.state}")

    def cancel(self, job_id: int) -> None:
        """Cancel a job: what Spark does for it ends, and it comes to "cancelled"; nothing happens where it ended."""
        job = self._change(job_id, lambda job: replace(job, cancelling=job.active))
        if job.cancelling:
            thread = threading.Thread(target=self._cancel, args=(job_id,), name=f"cancel job {job_id}", daemon=True)
            thread.start()

    def _cancel(self, job_id: int) -> None:
        while self.get(job_id).active and not self._workspace.lost:
            try:
                session_of(self._workspace.spark).cancel(self._tag_of(job_id))
            except Exception as error:  # a server that doesn't answer now may do so the next time
                logger.warning("job %d isn't cancelled yet: %s", job_id, error)
            self.wait(job_id, _SECONDS_BETWEEN_CANCELS)

    def _run(self, job_id: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._may_run(self._jobs[job_id]))
        job = self._change(job_id, lambda job: replace(job, state="running", started=time.time()))
        try:
            if job.cancelling:
                raise ConfigurationError("cancelled before it ran")
            with session_of(self._workspace.spark).tagged(self._tag_of(job_id)), self._following(job_id):
                self._workspace.run(job.action)
        except Exception as error:
            logger.info("job %d: %s", job_id, error, exc_info=True)
            if self.get(job_id).cancelling:
                self._end(job_id, "cancelled")
            else:
                self._end(job_id, "failed", LOST if self._workspace.lost else in_words(error))
        else:
            self._end(job_id, "done")

    def _may_run(self, job: Job) -> bool:
        """Return whether no earlier training is before it; one that is to be cancelled needn't wait for its turn."""
        earlier = (other for other in self._jobs.values() if other.id < job.id and other.active)
        return job.cancelling or not job.action.trains or not any(other.action.trains for other in earlier)

    def _end(self, job_id: int, state: str, error: str = "") -> None:
        job = self.get(job_id)
        ended = time.time()
        # The cell comes first: what waits for the job finds it.
        self._workbook.add(Cell(job.action, state, None if job.started is None else ended - job.started, error))
        self._change(job_id, lambda job: replace(job, state=state, error=error, ended=ended))

    def _tag_of(self, job_id: int) -> str:
        return f"{self._tag}-{job_id}"

    def _following(self, job_id: int) -> AbstractContextManager[None]:
        return follow_fits(partial(self._begin_training, job_id))

    def _begin_training(self, job_id: int, epochs: float) -> Observer:
        """Return the observer of a training that begins."""
        job = self._change(job_id, lambda job: replace(job, trainings=(*job.trainings, Training(epochs))))
        place = len(job.trainings) - 1

        def put(change: Callable[[Training], Training]) -> None:
            def changed(job: Job) -> Job:
                before = job.trainings
                return replace(job, trainings=(*before[:place], change(before[place]), *before[place + 1 :]))

            self._change(job_id, changed)

        return Observer(
            lambda record: put(lambda training: training.with_epoch(record)),
            lambda record: put(lambda training: training.with_step(record)),
        )

    def _change(self, job_id: int, change: Callable[[Job], Job]) -> Job:
        with self._changed:
            job = change(self._jobs[job_id])
            self._jobs[job_id] = job
            self._changed.notify_all()
            return job
