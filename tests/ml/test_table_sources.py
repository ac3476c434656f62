"""The same table in memory, in a mapped file and streamed: one training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mixed_tables import INPUTS, mixed_frame
from pyspark.sql import SparkSession

from sparkwater.conversions import TableToTensor, write_petastorm
from sparkwater.ml import DeepLearningClassifier, DeepLearningClassifierModel

pytest.importorskip("petastorm.unischema", exc_type=(ImportError, AttributeError), reason="writing needs petastorm")

ROWS = 120


def test_a_table_learns_the_same_held_mapped_and_streamed(spark: SparkSession, tmp_path: Path) -> None:
    rows = mixed_frame(spark, ROWS)
    encoded = TableToTensor(inputCols=INPUTS, outputCol="features").fit(rows).transform(rows)
    frame = encoded.select("id", "features", "kind").cache()
    # One batch is all rows, so that the order in which they come changes the last digits of sums only.
    settings = {"recipe": "h2o", "hidden": [16], "epochs": 5, "batchSize": ROWS, "featuresCol": "features"}
    learner = DeepLearningClassifier(**settings, labelCol="kind", activation="tanh")
    held = learner.fit(frame)
    assert learner.copy({learner.maxMemoryInMB: 0.001}).fit(frame).weights == held.weights
    write_petastorm(frame, str(tmp_path / "table"))
    streamed = learner.fitPetastorm(str(tmp_path / "table"))
    np.testing.assert_allclose(probabilities(streamed, frame), probabilities(held, frame), atol=1e-5)
    assert streamed.summary.objectiveHistory == pytest.approx(held.summary.objectiveHistory, rel=1e-5)


def probabilities(model: DeepLearningClassifierModel, frame: object) -> np.ndarray:
    return np.array([row.probability.toArray() for row in model.transform(frame).orderBy("id").collect()])
