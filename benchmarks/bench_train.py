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
import statistics
import time
from typing import Any

import torch
from ranks import CLASSES, meet, plain_config, random_rows, run_processes
from torch.nn import functional

from sparkwater.gpu.collective.connections import COLLECTIVES
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.compute import Compute, choose_layout
from sparkwater.gpu.rows.scaling import measure_scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.kept_memory import kept_heap
from sparkwater.gpu.training.loop import train

SHAPE, RANKS = (1, 28, 28), 2
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
    return RANKS * rows / max(run_processes(target, RANKS, rows, batch, collective))


def package_rank(rank: int, rows: int, batch: int, collective: str, endpoints: Any, results: Any, barrier: Any) -> None:
    torch.set_num_threads(1)
    data, device, config = random_rows(rows, SHAPE, rank), torch.device("cpu"), plain_config(EPOCHS, RANKS * batch)
    with kept_heap(), meet(rank, RANKS, collective, endpoints) as communicator:
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
    data = random_rows(rows, SHAPE, rank)
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
