"""Overhead of a fit beside its training: 200 rows, one epoch, two ranks, as a session's later calls.

The first fit starts Python workers, which import torch, and warms up Spark; the later ones are the cost of each fit of
a grid search or a cross-validation. Prints seconds in all and by part: of the first fit, and medians over the later.

    python benchmarks/bench_fit_overhead.py [--fits 5]
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict

import numpy as np
from sessions import start_spark

from sparkwater.conversions import from_numpy
from sparkwater.ml import ImageClassifier

ROWS, RANKS, GOAL_SECONDS = 200, 2, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", type=int, default=5, help="after the first (%(default)s)")
    arguments = parser.parse_args()
    spark = start_spark(RANKS, memory="1g")
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (ROWS, 1, 28, 28), dtype=np.uint8)
    frame = from_numpy(spark, {"features": pictures, "label": random.integers(0, 10, ROWS).astype(np.float64)}).cache()
    frame.count()
    learner = ImageClassifier(epochs=1, numWorkers=RANKS)
    summaries = [learner.fit(frame).summary for _ in range(arguments.fits + 1)]
    spark.stop()
    first, *later = summaries
    seconds = statistics.median(summary.totalSeconds for summary in later)
    print(
        f"fit of {ROWS} rows, one epoch, {RANKS} ranks: first {first.totalSeconds:.2f} s, later {seconds:.2f} s", end=""
    )
    print(f" (goal: at most {GOAL_SECONDS:g} s); of these by part:")
    for part, once in asdict(first.timings).items():
        print(f"  {part:13} {once:6.3f} s {statistics.median(getattr(each.timings, part) for each in later):6.3f} s")


if __name__ == "__main__":
    main()
