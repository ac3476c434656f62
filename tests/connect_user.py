"""A user's program, for a classic session and for Spark Connect alike: train, score, save, load, stack.

Where it runs is decided outside of it, by spark-submit's ``--master`` or by ``SPARK_REMOTE``:

    SPARK_REMOTE=sc://host:15002 python connect_user.py FOLDER

The last line is a JSON object of what it found.
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
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.sql import DataFrame, SparkSession

from sparkwater.conversions import ImageToTensor, TensorToVector
from sparkwater.ml import ImageClassifier, ImageClassifierModel
from sparkwater.stacking import StackedEnsemble, StackedEnsembleModel


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


def main(folder: str) -> dict[str, Any]:
    """Train, score, save, load and stack; return what was found."""
    spark = SparkSession.builder.getOrCreate()
    training, testing = draw_bars(spark, 120, 1), draw_bars(spark, 30, 2)

    decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[12, 12, 1])
    classifier = ImageClassifier(network="mlp", epochs=3, batchSize=16, numWorkers=2, seed=7)
    model = Pipeline(stages=[decode, classifier]).fit(training)
    scored = model.transform(testing)
    print(model.stages[-1].summary)

    model.write().overwrite().save(f"{folder}/network")
    loaded = PipelineModel.load(f"{folder}/network")
    alone = ImageClassifierModel.load(next(iter_stages(f"{folder}/network")))
    found = {"network": digest(scored), "loaded": digest(loaded.transform(testing))}
    found["alone"] = digest(alone.transform(decode.transform(testing)))

    pixels = TensorToVector(inputCol="features", outputCol="pixels")
    learners = {
        "network": ImageClassifier(network="mlp", epochs=2, batchSize=16, numWorkers=1, seed=7),
        "forest": Pipeline(
            stages=[pixels, RandomForestClassifier(featuresCol="pixels", numTrees=3, maxDepth=3, maxBins=8, seed=7)]
        ),
    }
    ensemble = StackedEnsemble(learners=learners, numFolds=2, idCol="id", metaLearner="glm", seed=7)
    stacked = ensemble.fit(decode.transform(training))
    print(stacked.summary)
    stacked.write().overwrite().save(f"{folder}/ensemble")
    again = StackedEnsembleModel.load(f"{folder}/ensemble")
    tested = decode.transform(testing)
    found |= {"ensemble": digest(stacked.transform(tested)), "reloaded": digest(again.transform(tested))}
    numbered = again.transform(tested).selectExpr(
        "prediction", "cast(array_position(array('left', 'middle', 'right'), label) - 1 as double) as label"
    )
    found["accuracy"] = MulticlassClassificationEvaluator(metricName="accuracy").evaluate(numbered)
    return found


def iter_stages(folder: str):
    """Yield the folder of a saved pipeline's last stage."""
    from pathlib import Path

    yield str(max(Path(folder, "stages").iterdir(), key=lambda path: int(path.name.partition("_")[0])))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
