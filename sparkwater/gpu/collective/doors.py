"""Choice of the addresses at which ranks on several hosts reach each other.

A host may have networks that lead nowhere, and names that resolve to nothing. So each rank opens a door on each of
its addresses, and knocks at those of all others. All take, for each rank, its first address that was answered for all.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import socketserver
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from sparkwater.errors import ConfigurationError, StallError
from sparkwater.gpu.collective.addresses import own_addresses
from sparkwater.gpu.collective.rendezvous import RendezvousServer
from sparkwater.gpu.collective.servers import BoundedServer
from sparkwater.gpu.collective.start_messages import Peers, exchange
from sparkwater.gpu.collective.world import World

_KNOCK_SECONDS = 4.0
_SECONDS_BETWEEN_KNOCKS = 0.2
_KNOCKS_AT_ONCE = 128
_ANSWER = b"\n"


class End(NamedTuple):
    """One end of the connections between ranks."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Entrance:
    """A rank's ways in, while the ranks look for each other.

    Attributes
    ----------
    addresses : list of str
        Its addresses, the likeliest first.
    doors : list of End
        A door on each; none where all ranks share a host.
    word : str
        The word that opens them: another host of the same address doesn't know it.
    rendezvous : list of RendezvousServer
        On rank 0 a meeting point on each address, which doesn't serve yet.
    closing : ExitStack
        Closes the doors.
    """

    addresses: list[str]
    doors: list[End]
    word: str
    rendezvous: list[RendezvousServer]
    closing: ExitStack

    @classmethod
    def open(cls, world: World, opened: ExitStack) -> Entrance:
        """Return a rank's entrance, whose ports are free again once a stack closes."""
        addresses, word = own_addresses(world.hosts, world.rank), secrets.token_hex(16)
        closing, doors, rendezvous = opened.enter_context(ExitStack()), [], []
        if not world.shares_host:
            for address in addresses:
                door = closing.enter_context(_Door(address, word))
                doors.append(End(address, door.server_address[1]))
        if world.rank == 0 and world.size > 1:
            for address in addresses:
                rendezvous.append(RendezvousServer(address))
                opened.callback(rendezvous[-1].server_close)
        return cls(addresses, doors, word, rendezvous, closing)

    def report(self) -> dict[str, Any]:
        """Return what the other ranks need to know."""
        return {
            "address": self.addresses[0],
            "addresses": self.addresses,
            "doors": self.doors,
            "word": self.word,
            "endpoints": [server.endpoint for server in self.rendezvous],
        }

    def choose(self, reports: Sequence[Mapping[str, Any]], peers: Peers) -> list[list[int]]:
        """Return the numbers of each rank's addresses that all others reach, and close the doors.

        Raises
        ------
        ConfigurationError
            With both ends, where a rank has no such address.
        """
        if not self.doors:
            return [[0]] * len(reports)
        _, answers = exchange(peers, lambda: _knock_at(reports, peers.world.rank), list)
        self.closing.close()
        return [_reached_by_all(rank, reports, answers) for rank in range(len(reports))]

    @contextmanager
    def serving(self, number: int, reports: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        """Let the ranks meet on rank 0, at its address of this number, while the ``with`` block runs."""
        for server in self.rendezvous[:number] + self.rendezvous[number + 1 :]:
            server.server_close()
        if not self.rendezvous:
            yield
            return
        # A rank may call from another of its addresses than the one at which it is called.
        self.rendezvous[number].admit([address for report in reports for address in report["addresses"]])
        with self.rendezvous[number]:
            yield


def _knock_at(reports: Sequence[Mapping[str, Any]], own: int) -> list[list[str]]:
    """Return for each address of each rank why it can't be reached from here; empty where it can."""
    with ThreadPoolExecutor(_KNOCKS_AT_ONCE) as threads:
        asked = [
            [threads.submit(_knock, End(*door), report["word"]) for door in report["doors"] if rank != own]
            for rank, report in enumerate(reports)
        ]
        return [[answer.result() for answer in answers] for answers in asked]


def _knock(end: End, word: str) -> str:
    """Return why a door doesn't open; empty where it does.

    A network that has just come back may answer for some seconds that there is no way to a host.
    """
    deadline = time.monotonic() + _KNOCK_SECONDS
    while True:
        try:
            with socket.create_connection(end, timeout=max(deadline - time.monotonic(), 0.1)) as connection:
                connection.sendall(word.encode())
                return "" if connection.recv(1) == _ANSWER else "another process answers"
        except OSError as error:
            if isinstance(error, ConnectionError) or time.monotonic() + _SECONDS_BETWEEN_KNOCKS > deadline:
                return error.strerror or str(error)
        time.sleep(_SECONDS_BETWEEN_KNOCKS)


def _reached_by_all(
    rank: int, reports: Sequence[Mapping[str, Any]], answers: Sequence[Sequence[Sequence[str]]]
) -> list[int]:
    doors = [End(*door) for door in reports[rank]["doors"]]
    others = [other for other in range(len(reports)) if other != rank]
    reached = [number for number in range(len(doors)) if not any(answers[other][rank][number] for other in others)]
    if reached:
        return reached
    # The rank that reaches least, or else one that doesn't reach the likeliest address.
    other = max(others, key=lambda other: (all(answers[other][rank]), bool(answers[other][rank][0])))
    tried = ", ".join(f"{door} ({why})" for door, why in zip(doors, answers[other][rank], strict=True) if why)
    raise ConfigurationError(
        f"rank {other} on {reports[other]['host']} ({reports[other]['address']}) can't reach rank {rank} on "
        f"{reports[rank]['host']} at {tried}; let executors' hosts connect to each other at all ports, or give them "
        "a network that they share"
    )


class _Door(BoundedServer):
    def __init__(self, address: str, word: str) -> None:
        self.word = word.encode()
        super().__init__("door", address, _Answer)


class _Answer(socketserver.BaseRequestHandler):
    server: _Door

    def handle(self) -> None:
        self.request.settimeout(_KNOCK_SECONDS)
        heard = self.request.recv(len(self.server.word), socket.MSG_WAITALL)
        if hmac.compare_digest(heard, self.server.word):
            self.request.sendall(_ANSWER)


@contextmanager
def naming_unreached(ends: Sequence[End], own: int) -> Iterator[None]:
    """Let a `StallError` of the block name the ranks whose hosts can't be reached at that moment.

    A host that is there answers at once, if only that the port is closed, also where the rank stands still.

    Parameters
    ----------
    ends : sequence of End
        The former door of each rank; empty where all share a host.
    own : int
        This rank.
    """
    try:
        yield
    except StallError as error:
        with ThreadPoolExecutor(_KNOCKS_AT_ONCE) as threads:
            there = list(threads.map(_is_there, ends))
        error.unreached = [
            f"rank {rank}'s host can't be reached at {end} from {ends[own].address}"
            for rank, end in enumerate(ends)
            if not there[rank]
        ]
        raise


def _is_there(end: End) -> bool:
    try:
        socket.create_connection(end, timeout=_KNOCK_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
