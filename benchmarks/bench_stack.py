"""Cross-fitting against its own parts: 5 folds x 3 learners on 10,000 rows with 2 slots.

Prints two ratios of one run. The first is wall time over the fits' own compute divided by the slots: what
each fit costs alone with one slot, measured one after the other. The second is how much faster
cross-fitting is than the same fits one after the other, with both slots each.

    python benchmarks/bench_stack.py [--rows 10000] [--folds 5] [--epochs 3]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sessions import start_spark

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.ml import ImageClassifier
from sparkwater.stacking import Folds, cross_fit

SLOTS = 2


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
    arguments = parser.parse_args()
    spark = start_spark(SLOTS, spark__sql__shuffle__partitions=str(SLOTS))
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
