"""The collective of ranks on one machine: sums through shared memory.

Each rank has a few slots of one memory, and a line to each other rank on which a byte says that it has
come to the next point. A tensor goes through the slots in chunks: a rank copies its own chunk in and says
so; once all have, it adds up its share of the chunk for everybody and says so; once all have, it copies
the others' shares out. The ranks' parts are added in ascending order of rank, so that arrival changes no bit.

Nothing has a name in a file system, so nothing is left behind by a rank that is killed, and a line ends
with the process at its other end.
"""

from __future__ import annotations

import math
import mmap
import os
import secrets
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch

from sparkwater.gpu.collective.communicator import Communicator, Meeting, losing_peers
from sparkwater.gpu.collective.rendezvous import RendezvousStore
from sparkwater.gpu.collective.servers import MAX_CONNECTIONS
from sparkwater.gpu.collective.world import World

#: A rank's part of the memory. A chunk should stay in the processor's cache, and the gradients of a step of a
#: small network should fit into the slots at once.
SLOTS, SLOT_BYTES = 4, 2 << 20

_CREDENTIALS = struct.Struct("3i")  # of a UNIX socket's peer: process, user, group
_RANK = struct.Struct("!I")


def machine() -> str:
    """Return an identifier of the machine's shared memory; empty where the system has none."""
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):  # some Pythons are built for older systems
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Names of UNIX sockets are the network namespace's: containers of one machine have different ones.
        return f"{boot} {Path('/proc/self/ns/net').stat().st_ino} {os.geteuid()}"
    except OSError:
        return ""  # a sandbox that hides them


class Lines:
    """Connections to the other ranks, on which each reports the points that it has reached, in the same order.

    Parameters
    ----------
    sockets : dict of int to socket.socket
        A socket to each other rank.
    stall_timeout : int
        Seconds to wait for another rank.
    """

    def __init__(self, sockets: dict[int, socket.socket], stall_timeout: int) -> None:
        for line in sockets.values():
            # Unlike Python's own time-out it needs no second system call.
            line.settimeout(None)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                line.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", stall_timeout, 0))
        self._sockets = sockets
        self._heard = dict.fromkeys(sockets, 0)
        self.said = 0

    def say(self) -> int:
        """Tell all ranks that this one has reached the next point, and return its number."""
        for rank, line in self._sockets.items():
            with _naming(rank):
                line.send(b".")
        self.said += 1
        return self.said

    def wait_for(self, point: int) -> None:
        """Wait until all ranks have come to a point.

        Raises
        ------
        OSError
            If a rank is gone, or takes too long.
        """
        for rank, line in self._sockets.items():
            while self._heard[rank] < point:
                with _naming(rank):
                    self._heard[rank] += len(_unless_closed(line.recv(4096)))


@contextmanager
def _naming(rank: int) -> Iterator[None]:
    """Name the rank to which a connection breaks."""
    try:
        yield
    except ConnectionError as error:
        raise ConnectionResetError(f"rank {rank} is gone") from error


def _unless_closed(received: bytes) -> bytes:
    """Return what was received; nothing is the end of a connection."""
    if not received:
        raise ConnectionResetError("closed")
    return received


@dataclass
class _Chunk:
    """The content of a slot: a part of a tensor, and the last point of its way that was told."""

    values: torch.Tensor
    slot: int
    point: int


class SharedMemoryCommunicator(Communicator):
    """Sums through the memory of the machine that all ranks run on; see the module.

    Every rank does the same in the same order, so a point has the same number and the same meaning on all.
    A slot that is used again must have been read by all ranks: each of them tells so by its next point.

    Parameters
    ----------
    world : World
        The ranks.
    memory : mmap.mmap
        The memory of all ranks; ``SLOTS * SLOT_BYTES`` each.
    lines : Lines
        Connections to the other ranks.
    stall_timeout : int
        Seconds to wait for another rank.
    """

    def __init__(self, world: World, memory: mmap.mmap, lines: Lines, stall_timeout: int) -> None:
        self._world, self._lines, self._stall_timeout = world, lines, stall_timeout
        whole = torch.frombuffer(memory, dtype=torch.uint8).view(world.size, SLOTS, SLOT_BYTES)
        self._slots = [list(region.unbind()) for region in whole.unbind()]
        self._read_by = [0] * SLOTS  # the point that tells that all have read a slot
        self._next_slot = 0
        self._open: deque[object] = deque()
        self._waiting: deque[torch.Tensor] = deque()
        self._written: deque[_Chunk] = deque()
        self._added: deque[_Chunk] = deque()

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Begin to replace a contiguous tensor by its sum over all ranks."""
        began = time.monotonic()
        length = SLOT_BYTES // values.element_size()
        chunks = torch.split(values.detach().view(-1), length) if values.numel() else ()
        with losing_peers(self._stall_timeout, began):
            self._waiting.extend(chunks)
            self._write()
        ticket = object()
        self._open.append(ticket)

        def finish() -> None:
            if self._open.popleft() is not ticket:
                raise RuntimeError("sums are waited for in another order than they began in")
            with losing_peers(self._stall_timeout, began):
                for _ in chunks:
                    self._add()
                    self._take()
                    self._write()

        return finish

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""
        numbers = values.detach().view(-1).view(torch.uint8)  # to add zeros changes no byte
        if self._world.rank > 0:
            numbers.zero_()
        self.all_reduce_(numbers)

    def forget(self) -> None:
        """Release the memory, also while references to the communicator remain."""
        self._slots.clear()

    def _write(self) -> None:
        """Copy chunks into the slots that are free."""
        while self._waiting and len(self._written) + len(self._added) < SLOTS:
            values, slot = self._waiting.popleft(), self._next_slot
            self._next_slot = (slot + 1) % SLOTS
            if self._lines.said < self._read_by[slot]:
                self._lines.say()
            self._lines.wait_for(self._read_by[slot])
            self._part(self._world.rank, slot, values).copy_(values)
            self._written.append(_Chunk(values, slot, self._lines.say()))

    def _add(self) -> None:
        """Add up this rank's share of all chunks that are written."""
        while self._written:
            chunk = self._written.popleft()
            self._lines.wait_for(chunk.point)
            share = self._share(self._world.rank, chunk.values)
            parts = [self._part(rank, chunk.slot, chunk.values)[share] for rank in range(self._world.size)]
            total = torch.add(parts[0], parts[1], out=chunk.values[share])
            for part in parts[2:]:
                total.add_(part)
            parts[self._world.rank].copy_(total)
            chunk.point = self._lines.say()
            self._added.append(chunk)

    def _take(self) -> None:
        """Copy the other ranks' shares of the oldest chunk out."""
        chunk = self._added.popleft()
        self._lines.wait_for(chunk.point)
        for rank in range(self._world.size):
            if rank != self._world.rank:
                share = self._share(rank, chunk.values)
                chunk.values[share] = self._part(rank, chunk.slot, chunk.values)[share]
        self._read_by[chunk.slot] = self._lines.said + 1

    def _part(self, rank: int, slot: int, values: torch.Tensor) -> torch.Tensor:
        """Return a rank's part of a chunk, in the memory."""
        return self._slots[rank][slot][: values.nbytes].view(values.dtype)

    def _share(self, rank: int, values: torch.Tensor) -> slice:
        """Return the slice of a chunk that a rank adds up."""
        each = math.ceil(len(values) / self._world.size)
        return slice(rank * each, (rank + 1) * each)


@contextmanager
def shared_memory(world: World, meeting: Meeting) -> Iterator[Communicator]:
    """Connect ranks of one machine for the length of a ``with`` block.

    Parameters
    ----------
    world : World
        The ranks; two or more.
    meeting : Meeting
        The ranks' meeting point and time limit.

    Raises
    ------
    CollectiveError
        If the ranks don't connect in time.
    OSError
        If this rank has no memory for it.
    """
    with ExitStack() as opened:
        with losing_peers(meeting.stall_timeout, time.monotonic()):
            sockets = _connect(world, meeting, opened)
        memory = _memory(world, sockets, meeting.stall_timeout)
        lines = Lines(sockets, meeting.stall_timeout)
        communicator = SharedMemoryCommunicator(world, memory, lines, meeting.stall_timeout)
        del memory
        opened.callback(communicator.forget)
        yield communicator


def _connect(world: World, meeting: Meeting, opened: ExitStack) -> dict[int, socket.socket]:
    """Return a connection to each other rank: this rank calls those before it, and is called by those after it."""
    deadline = time.monotonic() + meeting.stall_timeout
    store = RendezvousStore(meeting.endpoint, timedelta(seconds=meeting.stall_timeout))
    listener = opened.enter_context(_socket(meeting.stall_timeout))
    name = f"\0sparkwater-{secrets.token_hex(16)}"  # abstract: it is in no directory
    listener.bind(name)
    listener.listen(MAX_CONNECTIONS)
    store.set(f"memory-{world.rank}", name)
    sockets = {}
    for rank in range(world.rank):
        sockets[rank] = opened.enter_context(_socket(meeting.stall_timeout))
        sockets[rank].connect(store.get(f"memory-{rank}").decode())
        if _user_of(sockets[rank]) != os.geteuid():
            raise ConnectionRefusedError(f"another user answers for rank {rank}")
        sockets[rank].sendall(_RANK.pack(world.rank))
    expected = set(range(world.rank + 1, world.size))
    while expected:
        listener.settimeout(max(deadline - time.monotonic(), 0.001))
        caller = listener.accept()[0]
        caller.settimeout(meeting.stall_timeout)
        # Names of sockets are for all to see.
        if _user_of(caller) != os.geteuid():
            caller.close()
            continue
        opened.enter_context(caller)
        (rank,) = _RANK.unpack(_unless_closed(caller.recv(_RANK.size)))
        expected.remove(rank)
        sockets[rank] = caller
    listener.close()
    return dict(sorted(sockets.items()))


def _memory(world: World, sockets: dict[int, socket.socket], stall_timeout: int) -> mmap.mmap:
    """Return the memory of all ranks: rank 0 makes it, and hands it to the others."""
    size = world.size * SLOTS * SLOT_BYTES
    descriptor = os.memfd_create("sparkwater") if world.rank == 0 else _received(sockets[0], stall_timeout)
    try:
        if world.rank == 0:
            os.posix_fallocate(descriptor, 0, size)  # memory that isn't there is an error now, and no crash later
            _hand_out(descriptor, sockets, stall_timeout)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _hand_out(descriptor: int, sockets: dict[int, socket.socket], stall_timeout: int) -> None:
    with losing_peers(stall_timeout, time.monotonic()):
        for rank, line in sockets.items():
            with _naming(rank):
                socket.send_fds(line, [b"m"], [descriptor])


def _received(line: socket.socket, stall_timeout: int) -> int:
    with losing_peers(stall_timeout, time.monotonic()), _naming(0):
        received, descriptors, _, _ = socket.recv_fds(line, 1, 1)
        _unless_closed(received)
        return descriptors[0]


def _socket(timeout: int) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(timeout)
    return made


def _user_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])
