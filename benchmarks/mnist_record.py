"""MNIST by a plain network: the error on its test digits, trained by Spark with two workers.

No convolution, distorted picture, pre-training or ensemble. The recipe was chosen on the last 10,000 training digits,
as --validate tests it; the test digits had no part in that. For each seed the time of the fit is printed, that on
processors too, and the mean error of all of them in the last line.

    python benchmarks/mnist_record.py --data folder with MNIST's idx files [--validate] [--seeds 1 2 3]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.sql import functions as F
from sessions import processor_seconds, start_spark

from sparkwater.conversions import from_numpy
from sparkwater.conversions.images.idx import read_idx_pair
from sparkwater.ml import ImageClassifier

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

WORKERS, EPOCHS, HELD_OUT = 2, 30.0, 10_000

#: After Miyato et al., Virtual Adversarial Training, 2018.
RECIPE: dict[str, Any] = {
    "network": "mlp",
    "networkArguments": {"hidden": [1200, 600, 300, 150], "batch_norm": True},
    "inputMean": [0.0],
    "inputStd": [1.0],  # pixels from 0 to 1
    "optimizer": "adamw",
    "learningRate": 0.003,
    "weightDecay": 0.0,
    "learningRateSchedule": "step",
    "decayFactor": 0.9,
    "decayEpochs": 1.0,
    "batchSize": 200,
    "virtualAdversarialRadius": 2.1,
    "weightAveraging": 0.998,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with MNIST's idx files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="(%(default)s)")
    parser.add_argument(
        "--validate", action="store_true", help="train on 50,000 training digits, and test on the other 10,000"
    )
    arguments = parser.parse_args()
    spark = start_spark(WORKERS, memory="4g", spark__sql__shuffle__partitions=str(WORKERS))
    part = "validation" if arguments.validate else "test"
    training, judging = frames(spark, arguments.data, validate=arguments.validate)
    errors = []
    for seed in arguments.seeds:
        started, before = time.perf_counter(), processor_seconds()
        learner = ImageClassifier(featuresCol="pixels", numWorkers=WORKERS, seed=seed, **RECIPE)
        model = learner.setEpochs(arguments.epochs).fit(training)
        seconds, spent = time.perf_counter() - started, processor_seconds() - before
        errors.append(error(model.transform(judging)))
        print(f"seed {seed}: {errors[-1]:.2f} % {part} error, {seconds:.0f} s, {spent:.0f} CPU-s", flush=True)
    spark.stop()
    print(f"record: mean {part} error {np.mean(errors):.2f} % of {len(errors)} seeds")


def frames(spark: SparkSession, folder: Path, *, validate: bool) -> tuple[DataFrame, DataFrame]:
    """Return the digits to train on, and those to judge by."""
    training = digits(spark, folder, "train")
    if validate:
        first = F.col("id") < training.count() - HELD_OUT
        return training.where(first).cache(), training.where(~first).cache()
    return training, digits(spark, folder, "t10k")


def digits(spark: SparkSession, folder: Path, part: str) -> DataFrame:
    pictures, labels = read_idx_pair(folder, part)
    columns = {"id": np.arange(len(labels)), "pixels": pictures.reshape(-1, 1, 28, 28), "label": labels.astype(float)}
    return from_numpy(spark, columns).repartition(WORKERS).cache()


def error(scored: DataFrame) -> float:
    """Return the share of wrong predictions, in percent."""
    evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
    return 100 * (1 - float(evaluator.evaluate(scored)))


if __name__ == "__main__":
    main()
