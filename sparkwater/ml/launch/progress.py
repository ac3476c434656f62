"""Progress reports from rank 0 to the driver: after each epoch, and every two seconds within one.

It is best effort. A report that doesn't arrive costs a log line, never the training.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict

from sparkwater.gpu.records import NOBODY, EpochRecord, Observer, Progress, StepRecord
from sparkwater.ml.launch.driver_channel import DriverChannel, Handler
from sparkwater.ml.launch.notices import Noticeboard, Notices

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_STEPS = 2.0


class LastReport:
    """The last reported epoch and step, for the error of a rank that is lost.

    Attributes
    ----------
    epoch, step : int or None
        Counted from 0; None before the first report.
    observer : Observer
        Observer of the reports.
    """

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.step: int | None = None
        self.observer = Observer(
            lambda record: self._move(record.epoch + 1, 0),
            lambda record: self._move(record.epoch, record.step + 1),
        )

    def __str__(self) -> str:
        return "before its first report" if self.epoch is None else f"{Progress(self.epoch, self.step)} or later"

    def _move(self, epoch: int, step: int) -> None:
        if (epoch, step) > (self.epoch or 0, self.step or 0):  # reports may overtake each other
            self.epoch, self.step = epoch, step


def receiving(observer: Observer) -> dict[str, Handler]:
    """Return the driver's handlers of reports, by kind: they call an observer, in other threads."""
    return {
        "step": lambda content: observer.on_step(StepRecord.from_dict(content)),
        "epoch": lambda content: observer.on_epoch(EpochRecord.from_dict(content)),
    }


def reporter(channel: DriverChannel | None, insists: bool = True, notices: Notices | None = None) -> Observer:
    """Return the observer on rank 0 that reports to the driver.

    Parameters
    ----------
    channel : DriverChannel or None
        Channel to the driver.
    insists : bool
        Whether each epoch is tried again where the driver can't be reached; else the first failure is the last.
    notices : Notices or None
        They get the epochs that the channel doesn't take: all without a channel, else those from the first failure on.
    """
    otherwise = NOBODY if notices is None else Observer(Noticeboard(notices).epoch)
    if channel is None:
        return otherwise
    reports = Reports(channel, insists, otherwise)
    return Observer(reports.epoch, reports.step)


class Reports:
    """Reports to the driver; where it can't be reached, steps wait for an epoch that can be reported.

    Parameters
    ----------
    channel : DriverChannel
        The channel to the driver.
    insists : bool
        False where the first epoch that can't be reported is the last report.
    otherwise : Observer
        It gets that epoch, and those after it.
    """

    def __init__(self, channel: DriverChannel, insists: bool = True, otherwise: Observer = NOBODY) -> None:
        self.channel = channel
        self._insists, self._otherwise, self._gone = insists, otherwise, False
        self._next_step = time.monotonic() + _SECONDS_BETWEEN_STEPS

    def epoch(self, record: EpochRecord) -> None:
        """Report an epoch."""
        if not self._gone:
            self._tell(record)
        if self._gone:
            self._otherwise.on_epoch(record)

    def _tell(self, record: EpochRecord) -> None:
        try:
            self.channel.tell("epoch", asdict(record))
            if self._next_step == math.inf:
                self._next_step = time.monotonic() + _SECONDS_BETWEEN_STEPS
        except OSError as error:
            self._gone = not self._insists
            logger.warning("epoch %d could not be reported to the driver: %s", record.epoch, error)

    def step(self, record: StepRecord) -> None:
        """Report a step, unless another one was reported just now."""
        if self._gone or time.monotonic() < self._next_step:
            return
        try:
            self.channel.tell("step", asdict(record))
            self._next_step = time.monotonic() + _SECONDS_BETWEEN_STEPS
        except OSError as error:
            logger.warning("no progress within epochs: the driver can't be reached (%s)", error)
            self._next_step = math.inf
