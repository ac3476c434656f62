"""Training of small rows: the package's two ranks against plain PyTorch on two threads.

The network is 784-1024-1024-2048-10 with dropout, as H2O's Deep Learning was measured. Two processes of one thread
each train it with the package's loop and the collective `memory`; one process of two threads trains it as PyTorch's
tutorials do, with the same optimizer and the same global batch. In turns, in one run: the machine's noise cancels in
the ratios.

    python benchmarks/bench_small_rows.py [--batch 128 512] [--precision float32 bfloat16] [--rows 12800]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from ranks import CLASSES, meet, plain_config, random_rows, run_processes
from torch.nn import functional

from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.device import computes_bfloat16
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.compute import PRECISIONS, Compute
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.kept_memory import kept_heap
from sparkwater.gpu.training.loop import TrainingContext, train
from sparkwater.gpu.training.timings import Stopwatch, TimedCommunicator

INPUTS, RANKS, EPOCHS = 784, 2, 2
NETWORK = {"hidden": [1024, 1024, 2048], "dropout": 0.5, "input_dropout": 0.2}
SCALING = Scaling((127.5,), (73.9,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512], help="rows of a global batch")
    both = ["float32", "bfloat16"] if computes_bfloat16(torch.device("cpu")) else ["float32"]
    parser.add_argument("--precision", nargs="+", choices=tuple(PRECISIONS), default=both)
    parser.add_argument("--rows", type=int, default=12_800, help="rows an epoch, of both ranks (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for precision in arguments.precision:
        for batch in arguments.batch:
            compare(arguments.rows, batch, precision, arguments.rounds)


def compare(rows: int, batch: int, precision: str, rounds: int) -> None:
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(rate(package_rank, RANKS, rows, batch, precision))
        theirs.append(rate(plain_process, 1, rows, batch, precision))
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(
        f"batch {batch}, {precision}: two ranks {statistics.median(ours):,.0f} rows/s, plain PyTorch on two threads "
        f"{statistics.median(theirs):,.0f} rows/s, ratio {statistics.median(ratios):.3f} (rounds: "
        f"{', '.join(f'{ratio:.3f}' for ratio in ratios)})",
        flush=True,
    )


def rate(target: Any, processes: int, rows: int, batch: int, precision: str) -> float:
    """Return rows/s of some processes together, the first epoch (warm-up) not counted."""
    return rows / max(run_processes(target, processes, rows, batch, precision))


def network() -> torch.nn.Module:
    return build_network(find_network("mlp", NETWORK), (INPUTS,), CLASSES, 42)


def package_rank(rank: int, rows: int, batch: int, precision: str, endpoints: Any, results: Any, barrier: Any) -> None:
    torch.set_num_threads(1)
    data, device = random_rows(rows // RANKS, (INPUTS,), rank), torch.device("cpu")
    config = plain_config(EPOCHS, batch, precision=precision)
    with kept_heap(), meet(rank, RANKS, "memory", endpoints) as communicator:
        compute = Compute(network(), SCALING, device, precision=precision)
        clock = Stopwatch("compute")
        barrier.wait()
        state = train(
            compute,
            data,
            ClassificationTask.numbered(CLASSES),
            Place(rank, (rows // RANKS,) * RANKS),
            config,
            TimedCommunicator(communicator, clock),
            TrainingContext(clock=clock),
        )
    results.put(state.history[-1].seconds)


def plain_process(rank: int, rows: int, batch: int, precision: str, endpoints: Any, results: Any, barrier: Any) -> None:
    torch.set_num_threads(RANKS)
    data, trained, kind = random_rows(rows, (INPUTS,), rank), network(), PRECISIONS[precision]
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.01, momentum=0.9)
    barrier.wait()
    seconds = 0.0
    for _ in range(EPOCHS):
        started = time.perf_counter()
        for taken in torch.randperm(rows).split(batch):
            inputs = data.features[taken].float().sub_(127.5).div_(73.9)
            optimizer.zero_grad()
            with torch.autocast("cpu", kind, enabled=kind != torch.float32):
                loss = functional.cross_entropy(trained(inputs), data.targets[taken])
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - started
    results.put(seconds)


if __name__ == "__main__":
    main()
