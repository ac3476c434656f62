"""Ranks of the benchmarks: processes on this machine that meet without Spark, and the hyperparameters they share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from sparkwater.gpu.collective.addresses import LOOPBACK
from sparkwater.gpu.collective.communicator import Communicator, Meeting
from sparkwater.gpu.collective.connections import open_communicator
from sparkwater.gpu.collective.rendezvous import RendezvousServer
from sparkwater.gpu.collective.world import World
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.rows.held import RankRows

CLASSES = 10


def run_processes(target: Callable[..., None], processes: int, *arguments: Any) -> list[Any]:
    """Return what processes put into a queue, one thing each.

    Parameters
    ----------
    target : callable
        Called in each process with its number, the arguments, a queue of rendezvous endpoints, the queue of results,
        and a barrier of all processes.
    processes : int
        How many.
    *arguments
        Further arguments of the target.
    """
    context = multiprocessing.get_context("spawn")
    results, endpoints, barrier = context.Queue(), context.Queue(), context.Barrier(processes)
    started = [
        context.Process(target=target, args=(rank, *arguments, endpoints, results, barrier))
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    found = [results.get() for _ in started]
    for process in started:
        process.join()
    return found


@contextmanager
def meet(rank: int, ranks: int, collective: str, endpoints: Any) -> Iterator[Communicator]:
    """Connect a process with the others by a collective; rank 0 serves the rendezvous meanwhile."""
    world, device = World(rank, ("here",) * ranks), torch.device("cpu")
    with ExitStack() as stack:
        if rank == 0:
            server = stack.enter_context(RendezvousServer(LOOPBACK, [LOOPBACK]))
            for _ in range(ranks):
                endpoints.put(server.endpoint)
        meeting = Meeting(endpoints.get(), LOOPBACK, 60)
        yield stack.enter_context(open_communicator(collective, world, meeting, device))


def plain_config(epochs: int, batch_size: int, **others: Any) -> TrainConfig:
    """Return the hyperparameters of a plain training: SGD with momentum at a constant rate."""
    return TrainConfig(
        epochs=epochs,
        batch_size=batch_size,
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=0.0,
        schedule="constant",
        seed=42,
        **others,
    )


def random_rows(rows: int, shape: tuple[int, ...], seed: int) -> RankRows:
    """Return random bytes of a shape, each row of one of `CLASSES`."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randint(0, 256, (rows, *shape), dtype=torch.uint8, generator=generator)
    return RankRows(features, torch.randint(0, CLASSES, (rows,), generator=generator))
