"""Wall time of a training by kind of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import torch

from sparkwater.gpu.collective.communicator import Communicator

T = TypeVar("T")


@dataclass(frozen=True)
class Timings:
    """Seconds of a fit by kind of work; the parts don't overlap, and add up to the whole fit.

    On a GPU the host doesn't wait for each kernel: ``compute`` is what it waits for, and a collective
    that waits for the kernels before it has their time too.

    Attributes
    ----------
    start : float
        On the driver, before the training is submitted to Spark: checks, the count of the labels, waiting
        for executors, attempts that were lost.
    prepare : float
        From there until the rank runs: Spark decodes, converts and shuffles the rows, and starts the tasks
        and their Python workers. It is told by the clocks of two machines.
    read : float
        The rank's rows into tensors, and the measuring of their scaling.
    connect : float
        Agreeing and connecting with the other ranks, and making the network.
    data : float
        Batches: gathering their rows, and beginning to copy them to the device.
    compute : float
        Forward, backward, the optimizer, and all that a step does beside.
    communication : float
        Collective operations, as long as the rank took that waited least. What goes on while the rank computes
        isn't in it.
    wait : float
        Time in collective operations beyond that: an estimate, from sums over the whole
        training, of how long it waited for slower ranks. Where they take turns in being slow it is too low.
    checkpoints : float
        Looking for earlier checkpoints, taking and writing them.
    validation : float
        Scoring rows to validate on.
    report : float
        Telling the driver of progress.
    callbacks : float
        The user's own functions; other ranks wait for them.
    finish : float
        The weights' way to the driver, and the summary.
    """

    start: float = 0.0
    prepare: float = 0.0
    read: float = 0.0
    connect: float = 0.0
    data: float = 0.0
    compute: float = 0.0
    communication: float = 0.0
    wait: float = 0.0
    checkpoints: float = 0.0
    validation: float = 0.0
    report: float = 0.0
    callbacks: float = 0.0
    finish: float = 0.0

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(asdict(self).values())

    def launched(self, submitted: float, began: float, returned: float) -> Timings:
        """Add what happened around a rank, by the times since the epoch when it was submitted, began and was back."""
        prepare = max(began - submitted, 0.0)
        return replace(
            self, prepare=prepare, finish=self.finish + max(returned - submitted - prepare - self.total, 0.0)
        )


def timings_of_ranks(ranks: Sequence[Timings], seconds: float) -> tuple[Timings, ...]:
    """Return the timings of all ranks of a fit, once they are known together.

    Parameters
    ----------
    ranks : sequence of Timings
        As each rank measured them, its waiting within ``communication``.
    seconds : float
        Seconds of the whole fit.
    """
    least = min(rank.communication for rank in ranks)
    return tuple(
        replace(
            rank, start=max(seconds - rank.total, 0.0), communication=least, wait=rank.wait + rank.communication - least
        )
        for rank in ranks
    )


def mean_timings(ranks: Sequence[Timings]) -> Timings:
    """Return each part's mean over the ranks."""
    return Timings(*(sum(parts) / len(ranks) for parts in zip(*(asdict(rank).values() for rank in ranks), strict=True)))


class Stopwatch:
    """Adds up seconds by part: one part runs at each moment, so none is counted twice and none is lost.

    Parameters
    ----------
    part : str
        A field of `Timings`, that runs where no other one does.

    Attributes
    ----------
    began : float
        Start, in seconds since the epoch.
    """

    def __init__(self, part: str) -> None:
        self.began = time.time()
        self._seconds = asdict(Timings())
        self._part, self._since = part, time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Let a part run inside the ``with`` block, in place of the one that ran."""
        before = self._turn_to(name)
        try:
            yield
        finally:
            self._turn_to(before)

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Iterate; a part runs while the next item is made."""
        iterator = iter(items)
        while True:
            with self.part(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def timings(self) -> Timings:
        """Return the seconds so far."""
        self._turn_to(self._part)
        return Timings(**self._seconds)

    def _turn_to(self, name: str) -> str:
        now, before = time.perf_counter(), self._part
        self._seconds[before] += now - self._since
        self._part, self._since = name, now
        return before


@dataclass(frozen=True)
class TimedCommunicator(Communicator):
    """A communicator whose operations are ``communication``."""

    communicator: Communicator
    clock: Stopwatch

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Begin to replace a contiguous tensor by its sum over all ranks; what is not waited for isn't counted."""
        with self.clock.part("communication"):
            finish = self.communicator.begin_sum_(values)

        def timed() -> None:
            with self.clock.part("communication"):
                finish()

        return timed

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""
        with self.clock.part("communication"):
            self.communicator.broadcast_(values)
