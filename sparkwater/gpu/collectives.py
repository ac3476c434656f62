"""How ranks add up tensors: Horovod, torch.distributed, or nobody to talk to.

A communicator is opened with `open_communicator`, a context manager: it is connected inside the
block and gone after it, also when the block raises.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import torch

from sparkwater.errors import ConfigurationError, SparkwaterError
from sparkwater.gpu.hosts import interface_of
from sparkwater.gpu.rendezvous import RendezvousStore
from sparkwater.gpu.world import World

logger = logging.getLogger(__name__)

COLLECTIVES = ("horovod", "torch")


class CollectiveError(SparkwaterError, RuntimeError):
    """This rank lost the others: one of them failed, or kept the rest waiting for too long."""


class Communicator(Protocol):
    """What the training loop needs of a collective library."""

    def all_reduce_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by its sum over all ranks."""

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""


@dataclass(frozen=True)
class Meeting:
    """Where and how long ranks wait for each other.

    Attributes
    ----------
    endpoint : str
        ``address:port`` of the `RendezvousServer`.
    address : str
        This rank's own address.
    stall_timeout : int
        Seconds that one rank may keep the others waiting.
    """

    endpoint: str
    address: str
    stall_timeout: int


class LocalCommunicator:
    """One rank: its own sum is the sum."""

    def all_reduce_(self, values: torch.Tensor) -> None:
        """Leave the tensor as it is."""

    def broadcast_(self, values: torch.Tensor) -> None:
        """Leave the tensor as it is."""


class HorovodCommunicator:
    """Horovod over Gloo or NCCL, whichever it was built with."""

    def all_reduce_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by its sum over all ranks."""
        import horovod.torch as hvd

        with _losing_peers():
            hvd.allreduce_(values, op=hvd.Sum, name="sum")

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""
        import horovod.torch as hvd

        with _losing_peers():
            hvd.broadcast_(values, root_rank=0, name="broadcast")


class TorchCommunicator:
    """torch.distributed over Gloo for CPUs, NCCL for GPUs."""

    def all_reduce_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by its sum over all ranks."""
        with _losing_peers():
            torch.distributed.all_reduce(values)

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""
        with _losing_peers():
            torch.distributed.broadcast(values, src=0)


def missing_collective(name: str, world_size: int) -> str | None:
    """Return what to do where a collective can't be used in this Python, or None where it can."""
    if world_size > 1 and name == "horovod" and importlib.util.find_spec("horovod") is None:
        return (
            "collective='horovod', but Horovod is not installed in this Python; build it with "
            "'python -m sparkwater.gpu.build_horovod', or use collective='torch' or numWorkers=1"
        )
    return None


@contextmanager
def open_communicator(name: str, world: World, meeting: Meeting, device: torch.device) -> Iterator[Communicator]:
    """Connect the ranks for the length of a ``with`` block.

    Parameters
    ----------
    name : {"horovod", "torch"}
        The library; a single rank needs none and opens a `LocalCommunicator`.
    world : World
        The ranks.
    meeting : Meeting
        Where they meet.
    device : torch.device
        Where the tensors are.
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
        # Horovod stops on a stall only where both are set, the shutdown not below the check.
        "HOROVOD_STALL_CHECK_TIME_SECONDS": str(max(1, meeting.stall_timeout // 2)),
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(meeting.stall_timeout),
        # Milliseconds between Horovod's looks for work. Each look is a round of messages that takes the
        # processor from the training: on two cores 2.5 reached 0.9 of silent processes, 1 (Horovod's
        # default) 0.7, 0.1 only 0.6, and 5 waits too long for small batches.
        "HOROVOD_CYCLE_TIME": os.environ.get("HOROVOD_CYCLE_TIME", "2.5"),
    }
    with environment(variables):
        import horovod.torch as hvd

        with _losing_peers():
            hvd.init()
        try:
            yield HorovodCommunicator()
        finally:
            hvd.shutdown()


@contextmanager
def _torch(world: World, meeting: Meeting, device: torch.device) -> Iterator[Communicator]:
    timeout = timedelta(seconds=meeting.stall_timeout)
    interface = interface_of(meeting.address)
    with environment({"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}):
        with _losing_peers():
            torch.distributed.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=RendezvousStore(meeting.endpoint, timeout),
                rank=world.rank,
                world_size=world.size,
                timeout=timeout,
            )
        try:
            yield TorchCommunicator()
        finally:
            torch.distributed.destroy_process_group()


@contextmanager
def _losing_peers() -> Iterator[None]:
    """Tell what a collective library raises apart from this rank's own errors."""
    try:
        yield
    except Exception as error:
        raise CollectiveError(f"lost the other ranks: {error}") from error


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
