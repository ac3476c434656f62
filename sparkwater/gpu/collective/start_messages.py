"""Messages between ranks before and beside their collective, through the launcher."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sparkwater.errors import PeerFailed
from sparkwater.gpu.collective.world import World

T = TypeVar("T")


class Peers(Protocol):
    """The launcher's services to a rank: the other ranks' messages, GPUs, cores."""

    @property
    def world(self) -> World:
        """The ranks and their hosts."""

    @property
    def gpu_addresses(self) -> list[str]:
        """The GPUs that this rank may use."""

    @property
    def threads(self) -> int:
        """The cores that this rank may use."""

    def all_gather(self, message: str) -> list[str]:
        """Return the messages of all ranks, in order of rank, once each has sent one."""


@dataclass(frozen=True)
class SinglePeer:
    """The peers of a training's only rank: none but itself.

    Attributes
    ----------
    world : World
        A single rank and its host.
    gpu_addresses : list of str
        The GPUs that the rank may use; none by default.
    threads : int
        The cores that the rank may use.
    """

    world: World = field(default_factory=lambda: World(0, ("localhost",)))
    gpu_addresses: list[str] = field(default_factory=list)
    threads: int = 1

    def all_gather(self, message: str) -> list[str]:
        """Return the rank's own message."""
        return [message]


def exchange(peers: Peers, make: Callable[[], T], describe: Callable[[T], Any]) -> tuple[T, list[Any]]:
    """Return this rank's object, and the descriptions of all ranks' objects.

    A rank that can't make its object reports that before it raises, so that the others stop too.
    """
    try:
        made = make()
        message = json.dumps(describe(made))
    except Exception:
        peers.all_gather("null")
        raise
    messages = [json.loads(text) for text in peers.all_gather(message)]
    if None in messages:
        raise PeerFailed(f"rank {messages.index(None)} failed before the ranks connected")
    return made, messages
