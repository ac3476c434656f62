"""Memory of a rank: its tensors, three times its parameters, and a constant; and its growth with the epochs.

One rank in a process of its own reads the rows, trains, and watches its peak. The constant is the need of a
training of two batches of rows beside them: Python, torch, Arrow, and the blocks that rows come in.
It differs by some MiB from one process to the next.

    python benchmarks/bench_memory.py [--rows 60000] [--epochs 20]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import psutil
import pyarrow as pa
import torch
from ranks import CLASSES, plain_config

from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.networks import find_network
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.tasks import ClassificationTask

SPEC, MEBIBYTE = TensorSpec("uint8", (1, 28, 28)), 2**20
BATCH_ROWS = 2000


class Watch:
    """Notes the rank's memory after each epoch."""

    def __init__(self) -> None:
        self.resident: list[int] = []

    def __call__(self, _: EpochRecord) -> None:
        """Note it."""
        self.resident.append(psutil.Process().memory_info().rss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.rows, arguments.epochs)))
        return
    small, large = (in_process(rows, arguments.epochs) for rows in (2 * BATCH_ROWS, arguments.rows))
    tensors, parameters = large["tensors"], 3 * large["parameters"]
    constant = small["peak"] - small["tensors"] - parameters
    allowed = constant + tensors + parameters
    print(
        f"{arguments.rows:,} rows: peak {large['peak'] / MEBIBYTE:.0f} MiB; tensors {tensors / MEBIBYTE:.0f} MiB + "
        f"3 x parameters {parameters / MEBIBYTE:.1f} MiB + constant {constant / MEBIBYTE:.0f} MiB = "
        f"{allowed / MEBIBYTE:.0f} MiB, ratio {large['peak'] / allowed:.3f} (goal: at most 1)"
    )
    resident = [bytes_ / MEBIBYTE for bytes_ in large["resident"]]
    print(
        f"resident after epoch 2 {resident[1]:.1f} MiB, after epoch {arguments.epochs} {resident[-1]:.1f} MiB, largest "
        f"{max(resident):.1f} MiB: {(resident[-1] - resident[1]) / (arguments.epochs - 2):+.3f} MiB an epoch"
    )


def in_process(rows: int, epochs: int) -> dict[str, object]:
    command = [sys.executable, __file__, "--measure", "--rows", str(rows), "--epochs", str(epochs)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measure(rows: int, epochs: int) -> dict[str, object]:
    torch.set_num_threads(1)
    watch = Watch()
    job = RankJob(
        network=find_network("lenet"),
        spec=SPEC,
        task=ClassificationTask.numbered(CLASSES),
        expected_rows=rows,
        config=plain_config(epochs, 256),
        handle_invalid="error",
        collective="horovod",
        device="cpu",
        stall_timeout=60,
        callbacks=(watch,),
    )
    outcome = run_rank(batches(rows), job, SinglePeer())
    assert outcome.failure is None, outcome.failure
    return {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "tensors": rows * (28 * 28 + 8),  # with labels
        "parameters": len(outcome.weights),
        "resident": watch.resident,
    }


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    """Yield random pictures as Spark gives them, made one batch at a time."""
    random = np.random.default_rng(0)
    for start in range(0, rows, BATCH_ROWS):
        count = min(BATCH_ROWS, rows - start)
        yield pa.RecordBatch.from_pydict(
            {
                "tensor": tensors_to_arrow(random.integers(0, 256, (count, *SPEC.shape), dtype=np.uint8)),
                "problem": pa.nulls(count, pa.string()),
                "label": pa.array(random.integers(0, CLASSES, count).astype(np.float64)),
                "name": pa.array([str(start + row) for row in range(count)]),
                "key": pa.array(random.integers(0, 2**62, count)),
            }
        )


if __name__ == "__main__":
    main()
