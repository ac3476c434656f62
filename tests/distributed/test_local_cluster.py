"""Two executor JVMs, each with Python workers of its own."""

from __future__ import annotations

from conftest import start_session
from digits import png_frame, tensor_frame

from sparkwater.ml import ImageClassifier, confusion_matrix


def test_two_executors_learn_the_same_as_two_threads(cluster):
    def train():
        from pyspark.sql import SparkSession

        frame = tensor_frame(SparkSession.getActiveSession(), 120)
        return ImageClassifier(epochs=2, batchSize=32, numWorkers=2).fit(frame)

    there = train()
    assert there.summary.numWorkers == 2
    assert sum(there.summary.rowsPerRank) == 120
    start_session("local[2]")
    assert train().weights == there.weights


def test_pictures_are_decoded_scored_and_counted_on_executors(cluster):
    frame = png_frame(cluster, 120)
    model = ImageClassifier(
        featuresCol="content", imageShape=[16, 16, 1], epochs=4, batchSize=32, learningRate=0.02, numWorkers=2
    ).fit(frame)
    assert confusion_matrix(model.transform(frame), "label", "predictedLabel").error < 0.05


def test_simulated_gpus_reach_the_ranks_and_auto_falls_back_to_the_cpu(tmp_path):
    script = tmp_path / "gpus.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0"]}\'\n')
    script.chmod(0o755)
    gpus = {
        "spark__worker__resource__gpu__amount": "1",
        "spark__worker__resource__gpu__discoveryScript": str(script),
        "spark__executor__resource__gpu__amount": "1",
        "spark__executor__resource__gpu__discoveryScript": str(script),
        "spark__task__resource__gpu__amount": "1",
    }
    spark = start_session("local-cluster[2,1,1024]", **gpus)
    model = ImageClassifier(epochs=1, numWorkers=2).fit(tensor_frame(spark, 40))
    assert model.summary.device == "cpu"
