"""Use of LeNet's deep features on MNIST: against pixels for Spark's classifiers, and for finding neighbours.

LeNet is trained on the training digits. A random forest and a logistic regression then learn from its
penultimate layer, and from the pixels, and all are tested on the test digits. Of each test digit's ten
nearest training digits by cosine of the deep features, the share with its label is printed too.

    python benchmarks/mnist_deep_features.py --data folder with MNIST's idx files [--rows 60000] [--epochs 10]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml.classification import LogisticRegression, RandomForestClassifier
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.sql import functions as F
from sessions import start_spark

from sparkwater.conversions import TensorToVector, from_numpy
from sparkwater.conversions.images.idx import read_idx_pair
from sparkwater.ml import ImageClassifier, k_nearest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

WORKERS, NEIGHBOURS = 2, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with MNIST's idx files")
    parser.add_argument("--rows", type=int, default=60_000, help="training digits (%(default)s)")
    parser.add_argument("--queries", type=int, default=10_000, help="test digits (%(default)s)")
    parser.add_argument("--epochs", type=float, default=10)
    arguments = parser.parse_args()
    spark = start_spark(WORKERS, memory="6g", spark__sql__shuffle__partitions="4")
    training = digits(spark, arguments.data, "train", arguments.rows)
    test = digits(spark, arguments.data, "t10k", arguments.queries)
    started = time.perf_counter()
    model = ImageClassifier(featuresCol="pixels", numWorkers=WORKERS, epochs=arguments.epochs).fit(training)
    print(f"lenet itself: {error(model.transform(test)):.2f} % test error, {time.perf_counter() - started:.0f} s")
    features = model.deepFeatures("penultimate")
    known, unknown = (features.transform(frame).cache() for frame in (training, test))
    compare(known, unknown)
    neighbours(known, unknown)
    spark.stop()


def digits(spark: SparkSession, folder: Path, part: str, rows: int) -> DataFrame:
    pictures, labels = read_idx_pair(folder, part)
    columns = {"id": np.arange(len(labels)), "pixels": pictures.reshape(-1, 1, 28, 28), "label": labels.astype(float)}
    frame = from_numpy(spark, {name: values[:rows] for name, values in columns.items()})
    return TensorToVector(inputCol="pixels", outputCol="flat").transform(frame).repartition(4).cache()


def compare(known: DataFrame, unknown: DataFrame) -> None:
    for learner in (RandomForestClassifier(numTrees=100, maxDepth=12, seed=1), LogisticRegression(maxIter=50)):
        for column in ("flat", "deepFeatures"):
            started = time.perf_counter()
            scored = learner.setFeaturesCol(column).fit(known).transform(unknown)
            wrong, seconds = error(scored), time.perf_counter() - started
            name = "pixels" if column == "flat" else "deep features"
            print(f"{type(learner).__name__} on {name}: {wrong:.2f} % test error, {seconds:.0f} s", flush=True)


def neighbours(known: DataFrame, unknown: DataFrame) -> None:
    started = time.perf_counter()
    pairs = k_nearest(unknown, known, NEIGHBOURS, "cosine", featuresCol="deepFeatures")
    labelled = pairs.join(unknown.select(F.col("id").alias("queryId"), F.col("label").alias("own")), "queryId").join(
        known.select(F.col("id").alias("referenceId"), "label"), "referenceId"
    )
    share = labelled.agg(F.avg((F.col("own") == F.col("label")).cast("double"))).first()[0]
    print(f"{NEIGHBOURS} nearest by cosine: {100 * share:.2f} % share the label, {time.perf_counter() - started:.0f} s")


def error(scored: DataFrame) -> float:
    evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
    return 100 * (1 - float(evaluator.evaluate(scored)))


if __name__ == "__main__":
    main()
