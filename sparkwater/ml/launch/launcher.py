"""Launch of ranks as the tasks of one Spark barrier stage.

The rank is the Python worker itself: no process is started. A rank that fails still ends its task
in good order, with an outcome that says why, so the driver learns the first cause from the rank
itself; Spark only steps in where a process or an executor is lost.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkwater.conversions.sessions.session import Value, session_of
from sparkwater.errors import MISTAKES, RankFailure, SparkwaterError, raised_on_executor
from sparkwater.gpu.collective.addresses import LOOPBACK
from sparkwater.gpu.collective.world import World
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.records import AT, NOBODY, Observer, Progress, place_in
from sparkwater.gpu.rows.reading import KEY
from sparkwater.ml.launch.apart import hosts_apart
from sparkwater.ml.launch.display import all_of, shown
from sparkwater.ml.launch.driver_channel import DriverChannel, Handler, listen
from sparkwater.ml.launch.following import follower
from sparkwater.ml.launch.gathering import KIND, Gatherer, Gathering
from sparkwater.ml.launch.notices import Notices, posted
from sparkwater.ml.launch.preflight import wait_for_lost_executors, wait_for_slots
from sparkwater.ml.launch.progress import LastReport, receiving, reporter
from sparkwater.ml.launch.python_worker import exempt_modules
from sparkwater.ml.launch.resources import rank_profile
from sparkwater.ml.launch.watching import watching

if TYPE_CHECKING:
    from pyspark import BarrierTaskContext
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

#: Weights travel in pieces: a cell of an Arrow batch must stay far below 2 GiB, and a message of Spark Connect's below
#: 128 MiB.
_PIECE_BYTES = 16 * 1024 * 1024

_RESULT_SCHEMA = "rank int, piece int, outcome string, weights binary"


@dataclass(frozen=True)
class BarrierPeers:
    """The tasks of this barrier stage, as `sparkwater.gpu.rank.Peers`."""

    context: BarrierTaskContext
    gatherer: Gatherer

    @property
    def world(self) -> World:
        """The ranks and their hosts; the rank is the partition."""
        hosts = tuple(info.address.rsplit(":", 1)[0] for info in self.context.getTaskInfos())
        return World(self.context.partitionId(), hosts)

    @property
    def gpu_addresses(self) -> list[str]:
        """The GPUs in the task's resources."""
        gpus = self.context.resources().get("gpu")
        return list(gpus.addresses) if gpus else []

    @property
    def threads(self) -> int:
        """``spark.task.cpus``."""
        return self.context.cpus()

    def all_gather(self, message: str) -> list[str]:
        """Return the messages of all tasks, in order of rank."""
        return self.gatherer.all_gather(message) if self.world.size > 1 else [message]


def run_with_restarts(
    frame: DataFrame,
    job: RankJob,
    num_workers: int,
    max_restarts: int,
    start_timeout: int,
    observer: Observer = NOBODY,
) -> tuple[list[Outcome], int]:
    """Train as `run_ranks` does, again where a rank was lost, and return how often that was.

    Spark itself doesn't run a barrier stage again whose result goes to the driver. Ranks of an
    earlier attempt that are still alive do no harm: whatever they write is, bit for bit, what the
    later ones write.

    Parameters
    ----------
    frame, job, num_workers
        As for `run_ranks`.
    max_restarts : int
        Largest number of restarts.
    start_timeout : int
        Seconds to wait for executors in place of the lost ones.
    observer : Observer
        Observer on the driver, called in other threads.
    """
    restarts = 0
    while isinstance(ended := _attempt(frame, job, num_workers, observer), RankFailure):
        if not ended.retryable or restarts == max_restarts:
            raise ended
        restarts += 1
        logger.warning("restart %d of %d: %s", restarts, max_restarts, str(ended)[:500])
        wait_for_lost_executors(frame.sparkSession, start_timeout)
        wait_for_slots(frame.sparkSession, num_workers, job.device, start_timeout)
    return ended, restarts


def _attempt(frame: DataFrame, job: RankJob, num_workers: int, observer: Observer) -> list[Outcome] | RankFailure:
    try:
        return run_ranks(frame, job, num_workers, observer)
    except RankFailure as failure:
        return failure


def run_ranks(frame: DataFrame, job: RankJob, num_workers: int, observer: Observer = NOBODY) -> list[Outcome]:
    """Train on the rows of a DataFrame in a barrier stage, and return each rank's outcome.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The columns that `sparkwater.gpu.rows.held.load_rows` reads; for a job with a store, any
        DataFrame with a partition a rank.
    job : RankJob
        The job of the ranks.
    num_workers : int
        The number of ranks.
    observer : Observer
        Observer on the driver, called in other threads.

    Returns
    -------
    list of Outcome
        In order of rank; none of them failed.

    Raises
    ------
    RankFailure
        If a rank failed or was lost.
    SparkwaterError
        Of the same class as on the rank, where it is the user's to mend: data or configuration.
    """
    # The key is a hash of the row's content, so its partition follows from the content as well.
    submitted = time.time()
    sharded = frame if job.store else frame.repartition(num_workers, KEY)
    last, session = LastReport(), session_of(frame.sparkSession)
    followed = follower(job.config.epochs)
    spark_has_a_bar = frame.sparkSession.conf.get("spark.ui.showConsoleProgress", "false") == "true"
    surely_reached = not session.remote or session.shares_machine
    with shown(job.config.epochs, spark_has_a_bar) as display:
        told = all_of(last.observer, display, observer, followed)
        handlers: dict[str, Handler] = {**receiving(told), KIND: Gathering(num_workers)}
        with (
            listen(session.client_host or LOOPBACK, handlers) as channel,
            posted(None if surely_reached else job.checkpoint_dir, told.on_epoch) as notices,
        ):
            program = _program(session.ship(job), channel, surely_reached, notices)
            try:
                profile = rank_profile(frame.sparkSession, job.device)
                rows = sharded.mapInArrow(program, _RESULT_SCHEMA, barrier=True, profile=profile).collect()
            except Exception as error:
                raise hosts_apart(str(error), session.executor_places) or lost(error, num_workers, last) from error
    outcomes = _join(rows)
    failures = [outcome for outcome in outcomes if outcome.failure]
    if failures:
        raise first_cause(failures)
    if len(outcomes) != num_workers or len({outcome.weights_digest for outcome in outcomes}) != 1:
        raise RankFailure(
            f"{num_workers} ranks trained but their weights differ: a fault of the network or of sparkwater"
        )
    returned = time.time()
    return [
        replace(outcome, timings=outcome.timings.launched(submitted, outcome.began, returned)) for outcome in outcomes
    ]


def _program(
    job: Value, channel: DriverChannel | None, surely_reached: bool, notices: Notices | None
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function of each task; it captures nothing but its arguments.

    Where nobody knows whether ranks reach the driver's process, they gather at the barrier: an answer that never comes
    would end the training.
    """

    def program(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        rank = context.partitionId()
        peers = BarrierPeers(context, Gatherer(channel if surely_reached else None, rank, context.allGather))
        reports = reporter(channel, surely_reached, notices) if rank == 0 else NOBODY
        with watching(channel if surely_reached else None):
            outcome = run_rank(batches, job.get(), peers, reports)
        exempt_modules()
        yield from _split(outcome)

    return program


def _split(outcome: Outcome) -> Iterator[pa.RecordBatch]:
    starts = range(0, max(1, len(outcome.weights)), _PIECE_BYTES)
    for piece, start in enumerate(starts):
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([outcome.rank], pa.int32()),
                pa.array([piece], pa.int32()),
                pa.array([outcome.to_json() if piece == 0 else None], pa.string()),
                pa.array([outcome.weights[start : start + _PIECE_BYTES]], pa.binary()),
            ],
            names=["rank", "piece", "outcome", "weights"],
        )


def _join(rows: Iterable[Any]) -> list[Outcome]:
    pieces: dict[int, list[Any]] = {}
    for row in sorted(rows, key=lambda row: (row["rank"], row["piece"])):
        pieces.setdefault(row["rank"], []).append(row)
    return [
        Outcome.from_json(parts[0]["outcome"], b"".join(bytes(part["weights"]) for part in parts))
        for parts in pieces.values()
    ]


def first_cause(failures: list[Outcome]) -> SparkwaterError:
    """Return the exception for the rank that failed by itself, not for those that broke with it."""
    outcome = min(failures, key=lambda outcome: (not (outcome.failure and outcome.failure.first), outcome.rank))
    failure = outcome.failure
    assert failure is not None  # by the caller's selection
    if failure.error_type in MISTAKES:
        return MISTAKES[failure.error_type](failure.message)
    where = Progress(failure.epoch, failure.step)
    return RankFailure(
        f"rank {outcome.rank} on {outcome.host} failed {where}: {failure.error_type}: {failure.message}\n"
        f"{failure.remote_traceback}",
        rank=outcome.rank,
        host=outcome.host,
        epoch=failure.epoch,
        step=failure.step,
        error_type=failure.error_type,
        remote_traceback=failure.remote_traceback,
    )


def lost(error: Exception, num_workers: int, last: LastReport) -> SparkwaterError:
    """Return the exception for a stage that Spark ended; its epoch and step are those reported last."""
    text = str(error)
    mistake = raised_on_executor(error)  # before the ranks: by a conversion, or for want of a module
    if mistake is not None:
        return mistake
    stalled = re.search(rf"StallError: (?P<words>rank (?P<rank>\d+) waited .* {AT})(?:; (?P<unreached>.*))?", text)
    if stalled:
        place = place_in(stalled)
        # The rank that waited is not the one that failed, and that one can't say its number. Between two hosts that
        # don't reach each other nobody knows which of them is cut off.
        words, unreached = stalled["words"], stalled["unreached"]
        known = num_workers == 2 and "for the other ranks" in words and not unreached
        culprit = 1 - int(stalled["rank"]) if known else None
        blame = f"; {unreached}: the network between them, or a host, is gone" if unreached else ""
        return RankFailure(
            words + (blame if culprit is None else f"; rank {culprit} stood still"),
            rank=culprit,
            epoch=place.epoch,
            step=place.step,
            error_type="StallError",
            remote_traceback=text,
            retryable=True,
        )
    task = re.search(r"Lost task (\d+)\.\d+ in stage", text)
    rank = int(task[1]) if task else None
    return RankFailure(
        f"Spark ended the training {last}: {text.strip()[:4000]}",
        rank=rank,
        epoch=last.epoch,
        step=last.step,
        error_type=type(error).__name__,
        remote_traceback=text,
        retryable="cancel" not in text,  # whoever cancels a job doesn't want another one
    )
