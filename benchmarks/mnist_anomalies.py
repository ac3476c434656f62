"""Digits 9 among MNIST's test digits, found by the reconstruction errors of autoencoders that never saw one.

They learn the first 12,000 training digits that are no 9, by Spark with one worker. For each network and seed a line
gives the area under the ROC curve by which the error tells a 9 from the other test digits, that of the error divided
by the mean of the picture's pixels, the mean squared error of the others' pixels, from 0 to 1, and the seconds that
fit and scoring took, on processors too, of all processes.

    python benchmarks/mnist_anomalies.py --data folder with MNIST's idx files [--networks dense] [--seeds 42 1 2]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import functions as F
from sessions import processor_seconds, start_spark

from sparkwater.conversions import from_numpy
from sparkwater.conversions.images.idx import read_idx_pair
from sparkwater.ml import AutoEncoder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LEARNED, NINE, WHITE = 12_000, 9, 255

#: Params of each network, beside batches of 128 and a rate that falls along a cosine.
NETWORKS: dict[str, dict[str, Any]] = {
    "dense": {"hidden": [256, 8, 256], "learningRate": 0.005, "epochs": 15},
    "dense, noisy": {"hidden": [256, 8, 256], "learningRate": 0.005, "epochs": 15, "noise": 0.5},
    "convolutions": {
        "network": "conv_autoencoder", "networkArguments": {"code": 8}, "learningRate": 0.003, "epochs": 12,
    },
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with MNIST's idx files")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 1, 2])
    parser.add_argument("--epochs", type=float, help="in place of each network's")
    arguments = parser.parse_args()
    spark = start_spark(1, memory="3g", spark__sql__shuffle__partitions="1")
    learned, judged = frames(spark, arguments.data)
    given = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    for name in arguments.networks:
        for seed in arguments.seeds:
            started, before = time.perf_counter(), processor_seconds()
            area, relative, squares = measure(AutoEncoder(seed=seed, **{**NETWORKS[name], **given}), learned, judged)
            spent, seconds = processor_seconds() - before, time.perf_counter() - started
            print(
                f"{name}, seed {seed}: AUC of the {NINE} {area:.3f}, by the error over the mean pixel {relative:.3f}, "
                f"pixel MSE {squares:.4f}, {spent:.0f} CPU-s, {seconds:.0f} s",
                flush=True,
            )
    spark.stop()


def frames(spark: SparkSession, folder: Path) -> tuple[DataFrame, DataFrame]:
    """Return the digits to learn, and those to judge by, with the flag ``nine`` and the mean pixel."""
    found = []
    for part in ("train", "t10k"):
        pictures, labels = read_idx_pair(folder, part)
        kept = np.flatnonzero(labels != NINE)[:LEARNED] if part == "train" else np.arange(len(labels))
        pictures, nine = pictures[kept].reshape(-1, 1, 28, 28), (labels[kept] == NINE).astype(float)
        columns = {"features": pictures, "nine": nine, "mean": pictures.mean(axis=(1, 2, 3))}
        found.append(from_numpy(spark, columns).cache())
        found[-1].count()
    return found[0], found[1]


def measure(learner: AutoEncoder, learned: DataFrame, judged: DataFrame) -> tuple[float, float, float]:
    """Return the areas under the ROC curves of errors and of relative ones, and the others' mean squared error."""
    model = learner.fit(learned)
    error = F.col("reconstructionError")
    scored = model.transform(judged).select("nine", error, (error / F.col("mean")).alias("relative")).cache()
    areas = [
        BinaryClassificationEvaluator(labelCol="nine", rawPredictionCol=score).evaluate(scored)
        for score in ("reconstructionError", "relative")
    ]
    mean = scored.where("nine = 0").agg(F.avg("reconstructionError")).first()
    assert mean is not None  # an aggregate has a row
    scored.unpersist()
    # Errors are those of scaled pixels.
    return areas[0], areas[1], mean[0] * (model.fitted.trained.scaling.deviation[0] / WHITE) ** 2


if __name__ == "__main__":
    main()
