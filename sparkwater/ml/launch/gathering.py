"""All-gather of the ranks' messages, through the driver, or through Spark's barrier where that fails.

Spark's own ``allGather`` sleeps a second each time. The driver decides alone which way it is: either all ranks
get all messages from it, or it sends each of them to the barrier. A rank that can't reach it is missed there, so
that the others are sent to the barrier too; one that it has heard doesn't leave without its answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from sparkwater.errors import StallError, UnreachableError
from sparkwater.ml.launch.driver_channel import DriverChannel

logger = logging.getLogger(__name__)

#: The kind of these messages on the driver's channel.
KIND = "gather"

#: How long the first rank waits for the last one before all go to the barrier, which is as patient as Spark is.
_PATIENCE_SECONDS = 5.0
_INSISTING_SECONDS = 60.0
_SECONDS_BETWEEN_TRIES = 0.5


class Gathering:
    """The driver's side: a handler of messages, each of which is answered when those of all ranks are there.

    A rank sends one message a round, which can't be replaced.

    Parameters
    ----------
    ranks : int
        Number of ranks.
    """

    def __init__(self, ranks: int) -> None:
        self._ranks = ranks
        self._rounds: dict[int, _Round] = {}
        self._changed = threading.Condition()

    def __call__(self, content: Any) -> dict[str, list[str] | None]:
        """Return the messages of all ranks, or None for the barrier, to all ranks alike."""
        number, rank, message = int(content["round"]), int(content["rank"]), str(content["message"])
        if not 0 <= rank < self._ranks:
            raise ValueError(f"there is no rank {rank}")
        with self._changed:
            this = self._rounds.setdefault(number, _Round())
            if this.messages.setdefault(rank, message) != message:
                raise ValueError(f"rank {rank} said something else before")
            if this.settled(self._ranks):
                self._changed.notify_all()
            self._changed.wait_for(lambda: this.settled(self._ranks), this.deadline - time.monotonic())
            # Once, for all: a rank that comes later is sent to the barrier too.
            this.given_up = this.given_up or not this.settled(self._ranks)
            return {"messages": None if this.given_up else [this.messages[each] for each in range(self._ranks)]}


class _Round:
    def __init__(self) -> None:
        self.messages: dict[int, str] = {}
        self.deadline = time.monotonic() + _PATIENCE_SECONDS
        self.given_up = False

    def settled(self, ranks: int) -> bool:
        return self.given_up or len(self.messages) == ranks


class Gatherer:
    """A rank's side.

    Parameters
    ----------
    channel : DriverChannel or None
        Channel to the driver.
    rank : int
        This rank.
    barrier : callable
        Spark's ``allGather``, which all ranks call or none.
    """

    def __init__(self, channel: DriverChannel | None, rank: int, barrier: Callable[[str], list[str]]) -> None:
        self._channel, self._rank, self._barrier = channel, rank, barrier
        self._rounds = 0

    def all_gather(self, message: str) -> list[str]:
        """Return the messages of all ranks, in order of rank, once each has sent one."""
        gathered = self._by_driver(message)
        self._rounds += 1
        if gathered is not None:
            return gathered
        # So it is for all ranks, and it would only cost the same time again.
        self._channel = None
        return list(self._barrier(message))

    def _by_driver(self, message: str) -> list[str] | None:
        if self._channel is None:
            return None
        asked = partial(self._channel.ask, KIND, {"round": self._rounds, "rank": self._rank, "message": message})
        try:
            gathered: list[str] | None = asked()["messages"]
        except UnreachableError as error:
            logger.info("the driver can't be reached: %s", error)
            return None
        except OSError as error:
            logger.warning("the driver's answer was lost: %s", error)
            gathered = _insist(asked)["messages"]
        return gathered


def _insist(asked: Callable[[], Any]) -> Any:
    """Return an answer that was lost: the others have it, so this rank can't go another way than theirs.

    Raises
    ------
    StallError
        If there is none: it ends the training, where this rank at the barrier, or the others there, would wait
        for ever.
    """
    deadline = time.monotonic() + _INSISTING_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            return asked()  # whoever asks again gets the same answer
        time.sleep(_SECONDS_BETWEEN_TRIES)
    raise StallError(f"waited {_INSISTING_SECONDS:.0f} seconds for an answer of the driver's")
