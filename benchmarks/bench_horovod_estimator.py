"""ImageClassifier against Horovod's own Spark estimator for PyTorch, which stores the rows as Parquet first.

Both fit LeNet to the shipped digits on two ranks, from the same array column of one DataFrame that Spark holds
in memory, with the same first weights, batches and SGD. Horovod's gets the settings that make it fastest: rows
cached in memory, a file and a thread a rank, no metrics, no saved runs; with ``--as-it-comes`` those that it has
by itself, and twenty partitions. Each of its fits has a store of its own, as the first fit of a
DataFrame has; it trains whole batches only, so up to a step an epoch less. Fits are
timed whole, as their caller waits for them, in turns, in one run; of several rounds the first is a warm-up.

    python benchmarks/bench_horovod_estimator.py [--rows 10000] [--epochs 3] [--batch-per-rank 64] [--as-it-comes]
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import torch
from horovod.spark.common.backend import SparkBackend
from horovod.spark.common.store import LocalStore
from horovod.spark.torch import TorchEstimator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sessions import check_digits, start_spark
from torch.nn import functional

from sparkwater.conversions import ImageToTensor, TensorSpec, from_tensor_column, read_image_folder
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.ml import ImageClassifier

SPEC, CLASSES, RANKS, SEED = TensorSpec("uint8", (1, 28, 28)), 10, 2, 42
MEAN, DEVIATION = 33.3, 78.6
RATE, MOMENTUM = 0.02, 0.9
MANY_PARTITIONS, GOAL = 20, 3


class ReadableStore(LocalStore):
    """LocalStore whose data sets have the schema and pieces that Horovod asks them for."""

    def get_parquet_dataset(self, path: str) -> Any:
        """Mend line 225 of horovod/spark/common/store.py in Horovod 0.28.1.

        It takes pyarrow's default, since pyarrow 11 a class without what horovod/spark/common/util.py reads of it:
        ``pieces`` (line 405) and a Parquet ``schema`` (line 495).
        """
        return pq.ParquetDataset(self.get_localized_path(path), filesystem=self.fs, use_legacy_dataset=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="at most those that there are (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-per-rank", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--as-it-comes", action="store_true", help="leave Horovod's estimator its own settings")
    parser.add_argument("--data", default="build/mnist_png", help="folder of training/<label>/<picture> (%(default)s)")
    arguments = parser.parse_args()
    check_digits(arguments.data)
    warnings.filterwarnings("ignore")
    spark = start_spark(RANKS, memory="2g")
    tuned = not arguments.as_it_comes
    frame = digits(spark, arguments.data, arguments.rows)
    frame = frame.repartition(RANKS if tuned else MANY_PARTITIONS).cache()
    rows, epochs, batch = frame.count(), arguments.epochs, arguments.batch_per_rank
    theirs, ours = [], []
    for _ in range(arguments.rounds):
        theirs.append(timed(lambda: fit_theirs(frame, epochs, batch, tuned)))
        ours.append(timed(lambda: fit_ours(frame, epochs, batch)))
    spark.stop()
    print(f"fit of {rows:,} digits by lenet: {epochs} epochs, {RANKS} ranks, {batch} rows a rank and step")
    warm = slice(1 if arguments.rounds > 1 else 0, None)
    report(theirs[warm], ours[warm])


def digits(spark: SparkSession, data: str, rows: int) -> DataFrame:
    """Return features (array of float, mean 0 and deviation 1) and label."""
    pictures = read_image_folder(spark, f"{data}/training").orderBy(F.xxhash64("path")).limit(rows)
    tensors = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1]).transform(pictures)
    pixels = from_tensor_column(F.col("features"), SPEC, flatten=True)
    scaled = F.transform(pixels, lambda pixel: ((pixel - MEAN) / DEVIATION).cast("float"))
    return tensors.select(scaled.alias("features"), F.col("label").cast("double"))


def fit_theirs(frame: DataFrame, epochs: int, batch: int, tuned: bool) -> float:
    """Return the loss of the last epoch. Horovod's estimator multiplies the rate by the ranks."""
    network = build_network(find_network("lenet"), SPEC.shape, CLASSES, SEED)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **({"OMP_NUM_THREADS": "1"} if tuned else {})}
    with tempfile.TemporaryDirectory() as folder:
        estimator = TorchEstimator(
            backend=SparkBackend(RANKS, environment, nics={"lo"}, verbose=0),
            store=ReadableStore(folder, save_runs=False),
            model=network,
            optimizer=torch.optim.SGD(network.parameters(), lr=RATE / RANKS, momentum=MOMENTUM),
            loss=lambda outputs, labels: functional.cross_entropy(outputs, labels.long()),
            feature_cols=["features"],
            label_cols=["label"],
            input_shapes=[[-1, *SPEC.shape]],
            inmemory_cache_all=tuned,
            batch_size=batch,
            epochs=epochs,
            random_seed=SEED,
            verbose=0,
        )
        history: list[dict[str, Any]] = estimator.fit(frame).getHistory()
    return history[-1]["train"]["loss"]


def fit_ours(frame: DataFrame, epochs: int, batch: int) -> float:
    """Return the loss of the last epoch."""
    learner = ImageClassifier(
        imageShape=[28, 28, 1],
        inputMean=[0.0],
        inputStd=[1.0],
        numWorkers=RANKS,
        epochs=epochs,
        batchSize=RANKS * batch,
        learningRate=RATE,
        learningRateSchedule="constant",
        momentum=MOMENTUM,
        weightDecay=0.0,
        seed=SEED,
    )
    return learner.fit(frame).summary.records[-1].loss


def timed(fit: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds of a fit, and its loss."""
    started = time.perf_counter()
    loss = fit()
    return time.perf_counter() - started, loss


def report(theirs: list[tuple[float, float]], ours: list[tuple[float, float]]) -> None:
    for name, fits in (("horovod.spark.torch.TorchEstimator", theirs), ("sparkwater.ml.ImageClassifier", ours)):
        print(f"  {name}: {statistics.median(seconds for seconds, _ in fits):.2f} s")
    losses = f"theirs {theirs[-1][1]:.4f}, ours {ours[-1][1]:.4f}, guessing {math.log(CLASSES):.4f}"
    print(f"  loss of the last epoch: {losses}")
    ratios = [their / our for (their, _), (our, _) in zip(theirs, ours, strict=True)]
    rounds = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    goal = f"goal: at least {GOAL}, ours takes at most a third"
    print(f"  theirs / ours: {statistics.median(ratios):.2f} (rounds: {rounds}; {goal})", flush=True)


if __name__ == "__main__":
    main()
