"""Two ranks on two hosts against the same two ranks on one host, by Horovod and torch: rows/s of an epoch.

The hosts are network namespaces of this machine (`tests/hosts`), so they need root, and share its cores and memory: a
network between machines is slower than the bridge here. On one host the ranks are two executors that meet on loopback.
LeNet learns 60,000 digits, the shipped ones six times. The first epoch warms up; the figures are of the others. Equal
digests are equal weights.

    python benchmarks/bench_hosts.py [--rows 60000] [--epochs 3] [--batch-per-rank 64] [--data build/mnist_png]
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from sessions import check_digits, read_digits

from sparkwater.conversions import from_numpy
from sparkwater.ml import ImageClassifier

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from hosts.cluster import started
from hosts.network import missing

PLACES = {"two hosts": {"alpha": 1, "beta": 1}, "one host": {"alpha": 2}}
COLLECTIVES, RANKS = ("horovod", "torch"), 2


def main() -> None:
    arguments = parse_arguments()
    digests = set()
    print(f"lenet, {arguments.rows:,} digits, {RANKS} ranks, {arguments.batch_per_rank} rows a rank and step")
    for place, cores in PLACES.items():
        with started(cores) as cluster:
            rows = digits(cluster.session(), arguments.data, arguments.rows).cache()
            for collective in COLLECTIVES:
                speeds, seconds, digest = trained(rows, collective, arguments)
                digests.add(digest)
                each = ", ".join(f"{speed:,.0f}" for speed in speeds)
                print(
                    f"{place}, {collective:8} {statistics.median(speeds[1:]):7,.0f} rows/s "
                    f"(epochs {each}; the whole fit {seconds:.1f} s); weights {digest}",
                    flush=True,
                )
    sys.exit(0 if len(digests) == 1 else "the weights differ")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=3, help="at least 2 (%(default)s)")
    parser.add_argument("--batch-per-rank", type=int, default=64)
    parser.add_argument("--data", default="build/mnist_png", help="folder of training/<label>/<picture> (%(default)s)")
    arguments = parser.parse_args()
    check_digits(arguments.data)
    if reason := missing():
        sys.exit(reason)
    return arguments


def digits(spark: SparkSession, data: str, rows: int) -> DataFrame:
    """Return tensors and labels of so many digits: the shipped ones, again and again."""
    tensors, labels = read_digits(Path(data, "training"))
    chosen = np.arange(rows) % len(labels)
    return from_numpy(spark, {"features": tensors[chosen], "label": labels[chosen].astype(float)})


def trained(rows: DataFrame, collective: str, arguments: argparse.Namespace) -> tuple[list[float], float, str]:
    """Return the rows/s of each epoch, the seconds of the whole fit, and the beginning of the weights' digest."""
    learner = ImageClassifier(
        network="lenet",
        epochs=arguments.epochs,
        batchSize=RANKS * arguments.batch_per_rank,
        numWorkers=RANKS,
        collective=collective,
    )
    model = learner.fit(rows)
    summary = model.summary
    speeds = [record.rows / record.seconds for record in summary.records]
    return speeds, summary.totalSeconds, hashlib.sha256(model.weights).hexdigest()[:12]


if __name__ == "__main__":
    main()
