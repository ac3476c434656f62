"""A user's program, for a classic session and for Spark Connect alike: train, score, save, load, stack.

Where it runs is decided outside of it, by spark-submit's ``--master`` or by ``SPARK_REMOTE``:

    SPARK_REMOTE=sc://host:15002 python connect_user.py FOLDER

With names of parts after the folder, ``train`` or ``stack``, it runs these alone. The last line is a JSON object of
what it found.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from typing import Any

import numpy as np
from PIL import Image
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.sql import DataFrame, SparkSession

from sparkwater.conversions import ImageToTensor, TensorToVector
from sparkwater.ml import ImageClassifier
from sparkwater.stacking import StackedEnsemble, StackedEnsembleModel

DECODE = ImageToTensor(inputCol="content", outputCol="features", imageShape=[12, 12, 1])


def draw_bars(spark: SparkSession, rows: int, seed: int) -> DataFrame:
    """Return pictures of bright bars as PNG files, and the place of each bar."""
    generator, lines = np.random.default_rng(seed), []
    for number in range(rows):
        place = number % 3
        pixels = generator.integers(0, 120, (12, 12), dtype=np.uint8)
        pixels[:, 1 + 4 * place : 4 + 4 * place] += 100
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        lines.append((number, bytearray(file.getvalue()), ("left", "middle", "right")[place]))
    return spark.createDataFrame(lines, "id int, content binary, label string")


def digest(scored: DataFrame) -> str:
    """Return a hash of the probabilities, bit for bit."""
    rows = sorted(scored.select("id", "probability").collect())
    return hashlib.sha256(np.array([row["probability"].toArray() for row in rows]).tobytes()).hexdigest()[:16]


def train(spark: SparkSession, folder: str) -> dict[str, Any]:
    """Train a network by two ranks, score, save, load and score again."""
    classifier = ImageClassifier(network="mlp", epochs=3, batchSize=8, numWorkers=2, seed=7)
    model = Pipeline(stages=[DECODE, classifier]).fit(draw_bars(spark, 60, 1))
    print(model.stages[-1].summary)
    model.write().overwrite().save(f"{folder}/network")
    testing, loaded = draw_bars(spark, 15, 2), PipelineModel.load(f"{folder}/network")
    return {"network": digest(model.transform(testing)), "loaded": digest(loaded.transform(testing))}


def stack(spark: SparkSession, folder: str) -> dict[str, Any]:
    """Stack a network and a learner of Spark's own, score, save, load and measure."""
    training, testing = (DECODE.transform(draw_bars(spark, rows, rows)).cache() for rows in (60, 15))
    learners = {
        "network": ImageClassifier(network="mlp", epochs=2, batchSize=8, numWorkers=1, seed=7),
        "bayes": Pipeline(
            stages=[TensorToVector(inputCol="features", outputCol="pixels"), NaiveBayes(featuresCol="pixels")]
        ),
    }
    ensemble = StackedEnsemble(learners=learners, numFolds=2, idCol="id", metaLearner="glm", seed=7)
    stacked = ensemble.fit(training)
    print(stacked.summary)
    for _ in range(2):
        stacked.write().overwrite().save(f"{folder}/ensemble")
    scored = StackedEnsembleModel.load(f"{folder}/ensemble").transform(testing).cache()
    numbered = scored.selectExpr(
        "prediction", "cast(array_position(array('left', 'middle', 'right'), label) - 1 as double) as label"
    )
    return {
        "ensemble": digest(stacked.transform(testing)),
        "reloaded": digest(scored),
        "accuracy": MulticlassClassificationEvaluator(metricName="accuracy").evaluate(numbered),
    }


PARTS = {"train": train, "stack": stack}


def main(folder: str, *parts: str) -> dict[str, Any]:
    """Run the parts that are named, or all of them; return what was found."""
    spark, found = SparkSession.builder.getOrCreate(), {}
    for name in parts or PARTS:
        found |= PARTS[name](spark, folder)
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
