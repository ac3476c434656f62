"""Cross-fitting against its own parts: a small table, then 5 folds x 3 learners on 10,000 rows, with 2 slots.

The small table is scikit-learn's breast cancer: a whole ``StackedEnsemble.fit`` against its 15 plain fits one after
the other, for a regression, a forest and boosted trees of Spark; then the seconds of the same kinds of scikit-learn;
both in a warm session, and H2O's own ensemble where the package h2o and Java are there.

For 10,000 rows it prints two ratios of one run. The first is wall time over the fits' own compute divided by the
slots: what each fit costs alone with one slot, measured one after the other. The second is how much faster
cross-fitting is than the same fits one after the other, with both slots each.

    python benchmarks/bench_stack.py [--rows 10000] [--folds 5] [--epochs 3] [--only-small]
"""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from typing import Any

import numpy as np
from pyspark.ml.classification import GBTClassifier, LogisticRegression, RandomForestClassifier
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sessions import start_spark
from sklearn import ensemble, linear_model
from sklearn.datasets import load_breast_cancer

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.ml import ImageClassifier, SklearnClassifier
from sparkwater.stacking import Folds, StackedEnsemble, cross_fit

SLOTS = 2


def breast_cancer(spark: SparkSession) -> DataFrame:
    data = load_breast_cancer()
    rows = [(row.tolist(), float(label)) for row, label in zip(data.data, data.target, strict=True)]
    frame = spark.createDataFrame(rows, "features array<double>, label double")
    return frame.withColumn("features", array_to_vector("features")).coalesce(1).cache()


def spark_learners() -> dict[str, Any]:
    return {
        "regression": LogisticRegression(),
        "forest": RandomForestClassifier(numTrees=20, seed=1),
        "trees": GBTClassifier(maxIter=20, seed=1),
    }


def sklearn_learners() -> dict[str, Any]:
    estimators = {
        "regression": linear_model.LogisticRegression(max_iter=1000),
        "forest": ensemble.RandomForestClassifier(20),
        "trees": ensemble.GradientBoostingClassifier(n_estimators=20),
    }
    return {name: SklearnClassifier(estimator=estimator) for name, estimator in estimators.items()}


def plain_fits(frame: DataFrame, folds: int) -> float:
    """Return the seconds of all fits of Spark's learners, one after the other, and of scoring their folds."""
    assigned = Folds(folds).assign(frame).cache()
    assigned.count()
    started = time.perf_counter()
    for learner in spark_learners().values():
        for fold in range(folds):
            model = learner.fit(assigned.where(F.col("fold") != fold))
            held_out = model.transform(assigned.where(F.col("fold") == fold))
            held_out.select("probability").write.format("noop").mode("overwrite").save()
    seconds = time.perf_counter() - started
    assigned.unpersist()
    return seconds


def stacked(frame: DataFrame, learners: dict[str, Any], folds: int) -> float:
    started = time.perf_counter()
    StackedEnsemble(learners=learners, numFolds=folds).fit(frame)
    return time.perf_counter() - started


def small_table(spark: SparkSession, folds: int) -> None:
    frame = breast_cancer(spark)
    print(f"breast cancer: {frame.count()} rows, {folds} folds, three learners; the second of two runs each")
    for run in range(2):
        plain = plain_fits(frame, folds)
        whole = stacked(frame, spark_learners(), folds)
        if run:
            print(f"Spark's, {3 * folds} plain fits one after the other: {plain:6.1f} s")
            print(f"Spark's, the whole ensemble: {whole:6.1f} s, {whole / plain:.2f} times as long (at most 1.2)")
    stacked(frame, sklearn_learners(), folds)
    print(f"scikit-learn's, the whole ensemble: {stacked(frame, sklearn_learners(), folds):6.1f} s (at most 6)")
    print(peer(folds))


def peer(folds: int) -> str:
    """Return the seconds of H2O's GLM, forest, boosted trees and ensemble on the same table, where H2O is there."""
    if find_spec("h2o") is None:
        return "H2O: not installed (pip install h2o)"
    import h2o
    from h2o.estimators import (
        H2OGeneralizedLinearEstimator,
        H2OGradientBoostingEstimator,
        H2ORandomForestEstimator,
        H2OStackedEnsembleEstimator,
    )

    h2o.init(nthreads=SLOTS, bind_to_localhost=True)
    h2o.no_progress()
    data = load_breast_cancer(as_frame=True).frame
    frame = h2o.H2OFrame(data)
    frame["target"] = frame["target"].asfactor()
    names = [name for name in data.columns if name != "target"]
    kept = {"nfolds": folds, "fold_assignment": "Modulo", "keep_cross_validation_predictions": True, "seed": 1}
    for _ in range(2):
        started = time.perf_counter()
        models = [
            H2OGeneralizedLinearEstimator(family="binomial", **kept),
            H2ORandomForestEstimator(ntrees=20, **kept),
            H2OGradientBoostingEstimator(ntrees=20, **kept),
        ]
        for model in models:
            model.train(names, "target", frame)
        H2OStackedEnsembleEstimator(base_models=models).train(names, "target", frame)
        seconds = time.perf_counter() - started
    h2o.cluster().shutdown()
    return f"H2O's own three learners and ensemble: {seconds:6.1f} s"


def pictures(spark: SparkSession, rows: int) -> DataFrame:
    """Return noisy bars, one column a class."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % 10
    images = generator.integers(0, 120, (rows, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label + 3 : 2 * label + 6] += 100
    data = [
        (i, bytearray(image.tobytes()), int(label)) for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    frame = spark.createDataFrame(data, "id int, features binary, label int")
    return with_tensor_spec(frame, "features", TensorSpec("uint8", (1, 28, 28))).repartition(SLOTS, "id").cache()


def learners(epochs: int, workers: int) -> dict[str, ImageClassifier]:
    return {
        f"lenet {seed}": ImageClassifier(epochs=epochs, numWorkers=workers, seed=seed, idCol="id") for seed in (1, 2, 3)
    }


def one_after_the_other(frame: DataFrame, epochs: int, workers: int, folds: int) -> float:
    """Return the seconds of all fits and of scoring their folds."""
    started = time.perf_counter()
    for learner in learners(epochs, workers).values():
        for fold in range(folds):
            model = learner.fit(frame.where(F.col("fold") != fold))
            model.transform(frame.where(F.col("fold") == fold)).select("probability").write.format("noop").mode(
                "overwrite"
            ).save()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only-small", action="store_true", help="the small table alone")
    arguments = parser.parse_args()
    spark = start_spark(SLOTS, spark__sql__shuffle__partitions=str(SLOTS))
    small_table(spark, arguments.folds)
    if arguments.only_small:
        spark.stop()
        return
    frame = pictures(spark, arguments.rows)
    folds = Folds(arguments.folds, idCol="id")
    assigned = folds.assign(frame).cache()
    print(f"{assigned.count():,} rows, {arguments.folds} folds, 3 learners of {arguments.epochs} epochs, {SLOTS} slots")
    ImageClassifier(epochs=1, idCol="id").fit(frame)  # starts Python workers and compiles
    alone = one_after_the_other(assigned, arguments.epochs, 1, arguments.folds)
    print(f"fits one after the other, one slot each:   {alone:6.1f} s")
    wide = one_after_the_other(assigned, arguments.epochs, SLOTS, arguments.folds)
    print(f"fits one after the other, both slots each: {wide:6.1f} s")
    started = time.perf_counter()
    found = cross_fit(learners(arguments.epochs, SLOTS), frame, folds)
    wall = time.perf_counter() - started
    print(f"cross_fit:                                 {wall:6.1f} s, {len(found.fits)} fits")
    print(f"wall time over the fits' own compute divided by the slots: {wall / (alone / SLOTS):.2f} (at most 1.25)")
    print(f"faster than one after the other with both slots: {wide / wall:.2f} times (at least 1.3)")
    spark.stop()


if __name__ == "__main__":
    main()
