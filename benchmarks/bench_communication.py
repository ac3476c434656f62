"""Communication of ranks: rounds and bytes a step, by ranks, parameters and rows.

Real ranks train, and a communicator that counts stands between the loop and the library. Seconds
would say little on few cores; counts are the same everywhere. In a ring each rank sends
2 (n - 1) / n times what it hands over.

    python benchmarks/bench_communication.py [--figure communication.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from ranks import CLASSES, meet, plain_config, random_rows, run_processes

from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.loop import train

SHAPE, BATCH, EPOCHS = (1, 28, 28), 64, 1
RANKS, ROWS, WIDENINGS = (1, 2, 4), (320, 640, 1280), (1, 2, 3)
#: Both are varied while the other one stays at its first value.
SETTINGS = [*product(RANKS, ROWS, WIDENINGS[:1]), *product(RANKS, ROWS[:1], WIDENINGS[1:])]


class Counting(Communicator):
    """A communicator that counts what goes through it."""

    def __init__(self, inner: Communicator) -> None:
        self.inner, self.rounds, self.bytes = inner, 0, 0

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Count, and begin to add up."""
        self._count(values)
        return self.inner.begin_sum_(values)

    def broadcast_(self, values: torch.Tensor) -> None:
        """Count, and copy."""
        self._count(values)
        self.inner.broadcast_(values)

    def _count(self, values: torch.Tensor) -> None:
        self.rounds += 1
        self.bytes += values.numel() * values.element_size()


@dataclass(frozen=True)
class Counted:
    """Rounds and bytes that one rank handed over in a training."""

    ranks: int
    rows: int
    parameters: int
    steps: int
    rounds: int
    bytes: int

    @property
    def sent_a_step(self) -> float:
        """Bytes that a ring's rank sends, a step."""
        return 2 * (self.ranks - 1) / self.ranks * self.bytes / self.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="also draw a figure to this file; needs matplotlib")
    arguments = parser.parse_args()
    counts = [count(*setting) for setting in SETTINGS]
    print("ranks   rows  parameters  steps  rounds/step  bytes/step handed over  bytes/step sent in a ring")
    for each in counts:
        print(
            f"{each.ranks:5} {each.rows:6} {each.parameters:11,} {each.steps:6} {each.rounds / each.steps:12.2f} "
            f"{each.bytes / each.steps:23,.0f} {each.sent_a_step:26,.0f}"
        )
    if arguments.figure:
        draw(counts, arguments.figure)


def count(ranks: int, rows: int, widening: int) -> Counted:
    """Train LeNet with as many processes as ranks; return what rank 0 counted."""
    counted: Counted = next(
        found for found in run_processes(one_rank, ranks, ranks, rows, widening) if found is not None
    )
    return counted


def one_rank(rank: int, ranks: int, rows: int, widening: int, endpoints: Any, results: Any, barrier: Any) -> None:
    torch.set_num_threads(1)
    held, device = rows // ranks, torch.device("cpu")
    data, config = random_rows(held, SHAPE, rank), plain_config(EPOCHS, BATCH)
    network = build_network(find_network("lenet", {"widening": widening}), SHAPE, CLASSES, 42)
    with meet(rank, ranks, "torch", endpoints) as communicator:
        counting = Counting(communicator)
        compute = Compute(network, Scaling((127.5,), (73.9,)), device)
        train(compute, data, ClassificationTask.numbered(CLASSES), Place(rank, (held,) * ranks), config, counting)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    steps = -(-rows // BATCH) * EPOCHS
    results.put(Counted(ranks, rows, parameters, steps, counting.rounds, counting.bytes) if rank == 0 else None)


def draw(counts: list[Counted], path: Path) -> None:
    """Draw bytes a step by parameters and by rows, a line for each number of ranks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (by_parameters, by_rows) = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    smallest = min(each.parameters for each in counts)
    for ranks in RANKS:
        of_ranks = [each for each in counts if each.ranks == ranks]
        wider = [each for each in of_ranks if each.rows == ROWS[0]]
        style = {"marker": "o", "label": f"{ranks} rank{'s' * (ranks > 1)}"}
        by_parameters.plot([each.parameters for each in wider], [each.sent_a_step / 1e6 for each in wider], **style)
        more = [each for each in of_ranks if each.parameters == smallest]
        by_rows.plot([each.rows for each in more], [each.sent_a_step / 1e6 for each in more], **style)
    by_parameters.set(xlabel="parameters", ylabel="megabytes a rank sends, a step", title=f"{ROWS[0]:,} rows")
    by_rows.set(xlabel="rows", title=f"{smallest:,} parameters", xticks=ROWS)
    for axes in (by_parameters, by_rows):
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
    by_parameters.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
