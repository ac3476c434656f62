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
        found = [(local, state) for local, _, state, _ in _table(Path("/proc/thread-self/net/tcp"))]
    return found.count((place, _HALF_OPEN))


def _sockets(process: int) -> Iterator[tuple[tuple[str, int], tuple[str, int], str]]:
    own = set()
    with suppress(OSError):  # it has ended
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):  # it was closed just now
                own.add(str(descriptor.readlink()))
        for local, remote, state, inode in _table(Path(f"/proc/{process}/net/tcp")):
            if f"socket:[{inode}]" in own:
                yield local, remote, state


def _table(file: Path) -> Iterator[tuple[tuple[str, int], tuple[str, int], str, str]]:
    """Return the sockets of a network: both ends, state, and number."""
    for line in file.read_text().splitlines()[1:]:
        _, local, remote, state, *_, inode = line.split()[:10]
        yield _place(local), _place(remote), state, inode


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    return socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)
