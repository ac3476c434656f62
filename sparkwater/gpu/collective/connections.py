"""Collectives by name: Horovod, torch.distributed, shared memory, or none for a single rank.

A communicator is opened with `open_communicator`, a context manager: it is connected inside the
block and gone after it, also when the block raises.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.addresses import interface_of
from sparkwater.gpu.collective.communicator import Communicator, LocalCommunicator, Meeting, losing_peers
from sparkwater.gpu.collective.rendezvous import RendezvousStore
from sparkwater.gpu.collective.shared_memory import machine, shared_memory
from sparkwater.gpu.collective.world import World

logger = logging.getLogger(__name__)

COLLECTIVES = ("horovod", "torch", "memory")


class HorovodCommunicator(Communicator):
    """Horovod over Gloo or NCCL, as it was built.

    Horovod's own stall check does nothing over Gloo (0.28.1 goes through an empty list of ranks),
    so the wait has its limit here.
    """

    def __init__(self, stall_timeout: int) -> None:
        self._stall_timeout = stall_timeout
        self._open: list[int] = []

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Begin to replace a contiguous tensor by its sum over all ranks."""
        import horovod.torch as hvd

        # Horovod finds the other ranks' parts by their name, and remembers what it was last time.
        name = f"sum.{len(self._open)}.{values.dtype}.{values.numel()}"
        began = time.monotonic()
        with losing_peers(self._stall_timeout, began):
            handle = hvd.grouped_allreduce_async_([values], op=hvd.Sum, name=name)
        self._open.append(handle)

        def finish() -> None:
            with losing_peers(self._stall_timeout, began):
                self._finish(handle)
            self._open.remove(handle)

        return finish

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""
        import horovod.torch as hvd

        with losing_peers(self._stall_timeout, time.monotonic()):
            self._finish(hvd.broadcast_async_(values, root_rank=0, name="broadcast"))

    def forget(self) -> None:
        """Release sums that nobody waited for, once Horovod is shut down.

        Horovod keeps their tensors in this table until somebody does, and no longer knows them by then.
        """
        from horovod.torch import mpi_ops

        for handle in self._open:
            mpi_ops._handle_map.pop(handle, None)

    def _finish(self, handle: int) -> None:
        import horovod.torch as hvd

        deadline = time.monotonic() + self._stall_timeout
        while not hvd.poll(handle):
            if time.monotonic() > deadline:
                raise TimeoutError
            # As Horovod's own synchronize waits, which has no limit; a sleep would wake up too late.
            os.sched_yield()
        hvd.synchronize(handle)


class TorchCommunicator(Communicator):
    """torch.distributed over Gloo for CPUs, NCCL for GPUs."""

    def __init__(self, stall_timeout: int) -> None:
        self._stall_timeout = stall_timeout

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Begin to replace a contiguous tensor by its sum over all ranks."""
        began = time.monotonic()
        with losing_peers(self._stall_timeout, began):
            work = torch.distributed.all_reduce(values, async_op=True)
        assert work is not None  # this rank is one of the group

        def finish() -> None:
            with losing_peers(self._stall_timeout, began):
                work.wait()

        return finish

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""
        with losing_peers(self._stall_timeout, time.monotonic()):
            torch.distributed.broadcast(values, src=0)


def missing_collective(name: str, world_size: int) -> str | None:
    """Return advice where a collective can't be used in this Python, or None where it can."""
    if world_size == 1:
        return None
    if name == "memory" and not machine():
        return "collective='memory', but this system has no memory that ranks can share; use 'horovod' or 'torch'"
    if name == "horovod" and importlib.util.find_spec("horovod") is None:
        return (
            "collective='horovod', but Horovod is not installed in this Python; build it with "
            "'python -m sparkwater.gpu.build_horovod', or use collective='torch', or 'memory' on one machine, or "
            "numWorkers=1"
        )
    return None


@contextmanager
def open_communicator(name: str, world: World, meeting: Meeting, device: torch.device) -> Iterator[Communicator]:
    """Connect the ranks for the length of a ``with`` block.

    Parameters
    ----------
    name : {"horovod", "torch", "memory"}
        The collective; a single rank opens a `LocalCommunicator`. ``memory`` is for CPUs of one machine.
    world : World
        The ranks.
    meeting : Meeting
        The ranks' meeting point and time limit.
    device : torch.device
        The device of the tensors.
    """
    if world.size == 1:
        logger.info("one rank: no collective is needed")
        yield LocalCommunicator()
    elif name == "horovod":
        with _horovod(world, meeting) as communicator:
            yield communicator
    elif name == "torch":
        with _torch(world, meeting, device) as communicator:
            yield communicator
    elif name == "memory":
        with shared_memory(world, meeting) as communicator:
            yield communicator
    else:
        raise ConfigurationError(f"collective={name!r}; accepted: {', '.join(COLLECTIVES)}")


@contextmanager
def _horovod(world: World, meeting: Meeting) -> Iterator[Communicator]:
    address, port = meeting.endpoint.rsplit(":", 1)
    variables = {
        "HOROVOD_RANK": str(world.rank),
        "HOROVOD_SIZE": str(world.size),
        "HOROVOD_LOCAL_RANK": str(world.local_rank),
        "HOROVOD_LOCAL_SIZE": str(world.local_size),
        "HOROVOD_CROSS_RANK": str(world.cross_rank),
        "HOROVOD_CROSS_SIZE": str(world.cross_size),
        "HOROVOD_HOSTNAME": world.hosts[world.rank],
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": address,
        "HOROVOD_GLOO_RENDEZVOUS_PORT": port,
        "HOROVOD_GLOO_IFACE": interface_of(meeting.address),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(meeting.stall_timeout),
        "HOROVOD_STALL_CHECK_DISABLE": "1",  # see HorovodCommunicator
        # Sums that happen to be ready together are not joined: each is a group of its own. With three ranks and more
        # the order of the additions, and with it the last bits, would depend on what was ready when. (To set
        # HOROVOD_FUSION_THRESHOLD beside HOROVOD_CYCLE_TIME crashes Horovod 0.28.1.)
        "HOROVOD_DISABLE_GROUP_FUSION": "1",
        # Milliseconds between Horovod's looks for work. Each look is a round of messages that takes the
        # processor from the training, and until the next look finished gradients wait.
        "HOROVOD_CYCLE_TIME": os.environ.get("HOROVOD_CYCLE_TIME", "2.5"),
    }
    with environment(variables):
        import horovod.torch as hvd

        with losing_peers(meeting.stall_timeout, time.monotonic()):
            hvd.init()
        communicator = HorovodCommunicator(meeting.stall_timeout)
        try:
            yield communicator
        finally:
            hvd.shutdown()
            communicator.forget()


@contextmanager
def _torch(world: World, meeting: Meeting, device: torch.device) -> Iterator[Communicator]:
    timeout = timedelta(seconds=meeting.stall_timeout)
    interface = interface_of(meeting.address)
    variables = {
        "GLOO_SOCKET_IFNAME": interface,
        "NCCL_SOCKET_IFNAME": interface,
        # A wait that takes too long raises; otherwise NCCL's watchdog ends the process.
        "TORCH_NCCL_BLOCKING_WAIT": "1",
    }
    # Kept until the end: NCCL connects at the first sum, by this object, which torch itself doesn't keep alive.
    store = RendezvousStore(meeting.endpoint, timeout)
    with environment(variables):
        with losing_peers(meeting.stall_timeout, time.monotonic()):
            torch.distributed.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=store,
                rank=world.rank,
                world_size=world.size,
                timeout=timeout,
            )
        try:
            yield TorchCommunicator(meeting.stall_timeout)
        finally:
            torch.distributed.destroy_process_group()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the length of a ``with`` block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
