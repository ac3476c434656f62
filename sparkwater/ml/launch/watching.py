"""End of ranks whose driver is gone."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sparkwater.ml.launch.driver_channel import DriverChannel

logger = logging.getLogger(__name__)

#: Longer than a switch or a network takes to start again, and shorter than anybody pays for ranks that nobody awaits.
GONE_SECONDS = 40.0
_SECONDS_BETWEEN_LOOKS = 5.0


def _end_process() -> None:
    # The main thread may be in a collective that nothing interrupts.
    os._exit(1)


@contextmanager
def watching(channel: DriverChannel | None, end: Callable[[], None] = _end_process) -> Iterator[None]:
    """End this process where the driver can't be reached for 40 seconds while the ``with`` block runs.

    An executor whose driver's host is gone would train on: Spark ends it after 60 heartbeats without an answer
    (``spark.executor.heartbeat.maxFailures``), ten minutes and more. A driver that never could be reached from here
    isn't watched.

    Parameters
    ----------
    channel : DriverChannel or None
        The channel to the driver.
    end : callable
        Called in a thread, once; by default it ends the process.
    """
    if channel is None:
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(channel, done, end), name="watching the driver", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _watch(channel: DriverChannel, done: threading.Event, end: Callable[[], None]) -> None:
    answered = time.monotonic() if channel.answers() else None
    while not done.wait(_SECONDS_BETWEEN_LOOKS):
        if channel.answers():
            answered = time.monotonic()
        elif answered is not None and not done.is_set() and time.monotonic() - answered > GONE_SECONDS:
            logger.error("the driver can't be reached for %.0f seconds: this rank ends", GONE_SECONDS)
            end()
            return
