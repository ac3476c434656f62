"""Sockets of processes on hosts: those that psutil lists are of this process's own network."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hosts.network import Host

_ESTABLISHED, _HALF_OPEN, _LISTENING = "01", "03", "0A"


def listening(process: int, hosts: Sequence[Host]) -> list[tuple[str, int]]:
    """Return the places at which a process listens on addresses of hosts."""
    known = {host.address for host in hosts}
    return [local for local, _, state in _sockets(process) if state == _LISTENING and local[0] in known]


def connects(process: int, host: Host) -> bool:
    """Return whether a process is connected to a host."""
    return any(remote[0] == host.address for _, remote, state in _sockets(process) if state == _ESTABLISHED)


def half_open(host: Host, place: tuple[str, int]) -> int:
    """Return how many connections to a place on a host wait for their last packet."""
    with host.entered():
        lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    states = [(_place(local), state) for _, local, _, state, *_ in map(str.split, lines)]
    return states.count((place, _HALF_OPEN))


def _sockets(process: int) -> Iterator[tuple[tuple[str, int], tuple[str, int], str]]:
    own = set()
    with suppress(OSError):  # it has ended
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):  # it was closed just now
                own.add(str(descriptor.readlink()))
        for line in Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *_, inode = line.split()[:10]
            if f"socket:[{inode}]" in own:
                yield _place(local), _place(remote), state


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    return socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)
