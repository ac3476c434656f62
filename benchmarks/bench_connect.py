"""A fit and a transform over Spark Connect against the same in a classic session, on the same Parquet rows.

10,000 digits are fitted by two workers, LeNet, in one epoch; 60,000 (the shipped ones, six times) are scored into
Spark's ``noop`` sink. Both sessions are open all the time, each with a process, a JVM and workers of its own, and take
turns after a first round, which is a warm-up. ``remote("local[2]")`` starts the server on this machine.

    python benchmarks/bench_connect.py [--rounds 5] [--data build/mnist_png]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sessions import check_digits, read_digits, start_spark

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.ml import ImageClassifier

SPEC = TensorSpec("uint8", (1, 28, 28))
FIT_ROWS, TRANSFORM_ROWS, RANKS = 10_000, 60_000, 2
GOALS = {"fit": 1.3, "transform": 1.2}
SIDES = ("classic", "connect")

Side = Callable[[str], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="after the first one (%(default)s)")
    parser.add_argument("--data", default="build/mnist_png", help="folder of training/<label>/<picture> (%(default)s)")
    parser.add_argument("--side", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        serve(*arguments.side)
        return
    check_digits(arguments.data)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        write_digits(Path(arguments.data, "training"), folder)
        sides = {kind: stack.enter_context(started(kind, folder)) for kind in SIDES}
        report(measure(sides, arguments.rounds))


def write_digits(source: Path, folder: str) -> None:
    """Write Parquet of tensors and labels, a file a rank: rows to fit, and rows to score."""
    pictures, labels = read_digits(source)
    encoded = [picture.tobytes() for picture in pictures]
    for name, count in (("fit", FIT_ROWS), ("transform", TRANSFORM_ROWS)):
        Path(folder, name).mkdir()
        # The files come class by class.
        chosen = np.random.default_rng(0).permutation(count) % len(labels)
        for part, rows in enumerate(np.array_split(chosen, RANKS)):
            table = pa.table({"features": [encoded[row] for row in rows], "label": labels[rows]})
            pq.write_table(table, Path(folder, name, f"{part}.parquet"))


@contextmanager
def started(kind: str, folder: str) -> Iterator[Side]:
    """Give a function that has a session in a process of its own do a work, and returns the seconds."""
    with subprocess.Popen(
        [sys.executable, __file__, "--side", kind, folder],
        env={**os.environ, "SPARK_TESTING": "1"},  # a Connect server takes any free port
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        orders, answers = process.stdin, process.stdout
        assert orders is not None
        assert answers is not None

        def do(work: str) -> float:
            orders.write(f"{work}\n")
            orders.flush()
            return float(answers.readline())

        yield do


def serve(kind: str, folder: str) -> None:
    """Do what is ordered by standard input until it ends, and answer with the seconds."""
    answers, sys.stdout = sys.stdout, sys.stderr
    spark = start_spark(RANKS, remote=kind == "connect")
    fit, score = (
        with_tensor_spec(spark.read.parquet(f"{folder}/{name}"), "features", SPEC) for name in ("fit", "transform")
    )
    learner = ImageClassifier(epochs=1, numWorkers=RANKS)
    model = learner.fit(fit)
    for order in sys.stdin:
        began = time.perf_counter()
        if order.strip() == "fit":
            learner.fit(fit)
        else:
            model.transform(score).write.format("noop").mode("overwrite").save()
        answers.write(f"{time.perf_counter() - began}\n")
        answers.flush()
    spark.stop()


def measure(sides: dict[str, Side], rounds: int) -> dict[str, list[tuple[float, ...]]]:
    """Return the seconds of all sides, by work and round."""
    seconds: dict[str, list[tuple[float, ...]]] = {work: [] for work in GOALS}
    for turn in range(rounds + 1):
        for work, found in seconds.items():
            # Each is first in every other round.
            times = {kind: sides[kind](work) for kind in (SIDES if turn % 2 else SIDES[::-1])}
            if turn:
                found.append(tuple(times[kind] for kind in SIDES))
    return seconds


def report(seconds: dict[str, list[tuple[float, ...]]]) -> None:
    """Print medians, and the ratios of the rounds."""
    for work, rounds in seconds.items():
        ratios = [connect / classic for classic, connect in rounds]
        classic, connect = (statistics.median(times) for times in zip(*rounds, strict=True))
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{work}: classic {classic:.2f} s, Connect {connect:.2f} s; ", end="")
        print(f"ratio {statistics.median(ratios):.2f} (goal: at most {GOALS[work]}; rounds: {told})", flush=True)


if __name__ == "__main__":
    main()
