"""Two executor JVMs, each with Python workers of its own."""

from __future__ import annotations

import pytest
from digits import png_frame, tensor_frame
from pyspark.sql import SparkSession

from sparkwater.ml import ImageClassifier, ImageClassifierModel, confusion_matrix


def train(spark: SparkSession) -> ImageClassifierModel:
    return ImageClassifier(epochs=2, batchSize=32, numWorkers=2).fit(tensor_frame(spark, 120))


@pytest.fixture
def trained_by_two_threads(spark):
    return train(spark)


def test_two_executors_learn_the_same_as_two_threads(trained_by_two_threads, cluster):
    there = train(cluster)
    assert there.summary.numWorkers == 2
    assert sum(there.summary.rowsPerRank) == 120
    assert there.weights == trained_by_two_threads.weights


def test_pictures_are_decoded_scored_and_counted_on_executors(cluster):
    frame = png_frame(cluster, 120)
    model = ImageClassifier(
        featuresCol="content", imageShape=[16, 16, 1], epochs=4, batchSize=32, learningRate=0.02, numWorkers=2
    ).fit(frame)
    assert confusion_matrix(model.transform(frame), "label", "predictedLabel").error < 0.05


def test_simulated_gpus_reach_the_ranks_and_auto_falls_back_to_the_cpu(gpu_cluster):
    model = ImageClassifier(epochs=1, numWorkers=2).fit(tensor_frame(gpu_cluster, 40))
    assert model.summary.device == "cpu"
