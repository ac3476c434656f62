"""The training loop against plain PyTorch that never communicates.

Two ranks train LeNet with the package's loop and collective; two plain PyTorch processes train the
same network on the same tensors with the same batch and never talk: in the memory layout that the
package chooses, in PyTorch's default one, and in the package's while they keep freed memory as the
package's ranks do, which leaves the communication as the only difference. One thread each, in turns, in
one run. Prints rows/s and ratios; the machine's noise cancels in the ratios.

    python benchmarks/bench_train.py [--rows 12800] [--batch-per-rank 64 256] [--collective memory]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from contextlib import ExitStack
from typing import Any

import torch
from torch.nn import functional

from sparkwater.gpu.collective.addresses import LOOPBACK
from sparkwater.gpu.collective.communicator import Meeting
from sparkwater.gpu.collective.connections import COLLECTIVES, open_communicator
from sparkwater.gpu.collective.rendezvous import RendezvousServer
from sparkwater.gpu.collective.world import Place, World
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.compute import Compute, choose_layout
from sparkwater.gpu.rows.held import RankRows
from sparkwater.gpu.rows.reading import SkippedRows
from sparkwater.gpu.rows.scaling import measure_scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.kept_memory import kept_heap
from sparkwater.gpu.training.loop import train

SHAPE, CLASSES, RANKS = (1, 28, 28), 10, 2
EPOCHS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_800, help="rows a rank and epoch (default: %(default)s)")
    parser.add_argument("--batch-per-rank", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--collective", nargs="+", choices=COLLECTIVES, default=COLLECTIVES)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for batch in arguments.batch_per_rank:
        for collective in arguments.collective:
            compare(arguments.rows, batch, collective, arguments.rounds)


def compare(rows: int, batch: int, collective: str, rounds: int) -> None:
    ways = {
        "sparkwater": package_rank,
        "the same layout": plain_rank,
        "the same layout, freed memory kept": keeping_rank,
        "PyTorch's default layout": default_layout_rank,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(run_both(way, rows, batch, collective))
    ours = rates.pop("sparkwater")
    print(f"batch {batch} a rank, {collective}: sparkwater {statistics.median(ours):,.0f} rows/s")
    for name, plain in rates.items():
        ratios = [mine / other for mine, other in zip(ours, plain, strict=True)]
        print(
            f"  silent plain PyTorch in {name} {statistics.median(plain):,.0f} rows/s, ratio "
            f"{statistics.median(ratios):.3f} (rounds: {', '.join(f'{ratio:.3f}' for ratio in ratios)})",
            flush=True,
        )


def run_both(target: Any, rows: int, batch: int, collective: str) -> float:
    """Return rows/s of two processes together, the first epoch (warm-up) not counted."""
    context = multiprocessing.get_context("spawn")
    results, endpoints, barrier = context.Queue(), context.Queue(), context.Barrier(RANKS)
    processes = [
        context.Process(target=target, args=(rank, rows, batch, collective, endpoints, results, barrier))
        for rank in range(RANKS)
    ]
    for process in processes:
        process.start()
    seconds = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return RANKS * rows / max(seconds)


def rank_rows(rank: int, rows: int) -> RankRows:
    generator = torch.Generator().manual_seed(rank)
    features = torch.randint(0, 256, (rows, *SHAPE), dtype=torch.uint8, generator=generator)
    return RankRows(features, torch.randint(0, CLASSES, (rows,), generator=generator), SkippedRows())


def package_rank(rank: int, rows: int, batch: int, collective: str, endpoints: Any, results: Any, barrier: Any) -> None:
    torch.set_num_threads(1)
    data, world, device = rank_rows(rank, rows), World(rank, ("here",) * RANKS), torch.device("cpu")
    config = TrainConfig(
        epochs=EPOCHS,
        batch_size=RANKS * batch,
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=0.0,
        schedule="constant",
        seed=42,
    )
    with kept_heap(), ExitStack() as stack:
        if rank == 0:
            server = stack.enter_context(RendezvousServer(LOOPBACK, [LOOPBACK]))
            for _ in range(RANKS):
                endpoints.put(server.endpoint)
        meeting = Meeting(endpoints.get(), LOOPBACK, 60)
        with open_communicator(collective, world, meeting, device) as communicator:
            scaling = measure_scaling(data.blocks(), SHAPE[0], communicator, device)
            network = build_network(find_network("lenet"), SHAPE, CLASSES, 42)
            layout = choose_layout(network, torch.zeros((2, *SHAPE)), device, config.precision)
            barrier.wait()
            state = train(
                Compute(network, scaling, device, layout),
                data,
                ClassificationTask.numbered(CLASSES),
                Place(rank, (rows,) * RANKS),
                config,
                communicator,
            )
    results.put(state.history[-1].seconds)


def plain_rank(rank: int, rows: int, batch: int, collective: str, endpoints: Any, results: Any, barrier: Any) -> None:
    train_plainly(rank, rows, batch, results, barrier, torch.channels_last)


def keeping_rank(rank: int, rows: int, batch: int, collective: str, endpoints: Any, results: Any, barrier: Any) -> None:
    with kept_heap():
        train_plainly(rank, rows, batch, results, barrier, torch.channels_last)


def default_layout_rank(
    rank: int, rows: int, batch: int, collective: str, endpoints: Any, results: Any, barrier: Any
) -> None:
    train_plainly(rank, rows, batch, results, barrier, torch.contiguous_format)


def train_plainly(rank: int, rows: int, batch: int, results: Any, barrier: Any, layout: torch.memory_format) -> None:
    torch.set_num_threads(1)
    data = rank_rows(rank, rows)
    network = build_network(find_network("lenet"), SHAPE, CLASSES, 42).to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    barrier.wait()
    for _ in range(EPOCHS):
        started = time.perf_counter()
        for rows_of_step in torch.randperm(rows).split(batch):
            taken = data.features[rows_of_step]
            # The strides of a single channel don't tell the layout: it is made for it.
            inputs = torch.empty(taken.shape, memory_format=layout).copy_(taken).sub_(127.5).div_(73.9)
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs), data.targets[rows_of_step]).backward()
            optimizer.step()
        seconds = time.perf_counter() - started
    results.put(seconds)


if __name__ == "__main__":
    main()
