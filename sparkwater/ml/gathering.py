"""How ranks learn each other's messages: through the driver, or where that doesn't work through Spark's barrier.

Spark's own ``allGather`` sleeps a second each time. The driver decides alone which way it is: either all ranks
get all messages from it, or it sends each of them to the barrier.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sparkwater.ml.driver_channel import DriverChannel

logger = logging.getLogger(__name__)

#: The kind of these messages on the driver's channel.
KIND = "gather"

#: How long the first rank waits for the last one before all go to the barrier, which is as patient as Spark is.
_PATIENCE_SECONDS = 5.0
#: Longer than the driver takes at its slowest: a rank that didn't wait for the answer would go its own way.
_ANSWER_SECONDS = 60.0


class Gathering:
    """The driver's side: a handler of messages, each of which is answered when those of all ranks are there.

    A rank says one thing a round; nobody can change it afterwards.

    Parameters
    ----------
    ranks : int
        How many there are.
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
        To the driver.
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
        content = {"round": self._rounds, "rank": self._rank, "message": message}
        # Whoever asks again gets the same answer.
        answer = self._ask(content) or self._ask(content)
        return answer["messages"] if answer else None

    def _ask(self, content: dict[str, Any]) -> dict[str, list[str] | None] | None:
        if self._channel is None:
            return None
        try:
            answer: dict[str, list[str] | None] = self._channel.ask(KIND, content, _ANSWER_SECONDS)
        except OSError as error:
            logger.info("the driver can't be reached: %s", error)
            return None
        return answer
