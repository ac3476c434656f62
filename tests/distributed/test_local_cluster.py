"""Two executor JVMs, each with Python workers of its own."""

from __future__ import annotations

import pyarrow as pa
import pytest
from digits import png_frame, tensor_frame
from pyspark.sql import SparkSession

from sparkwater.errors import ConfigurationError
from sparkwater.ml import ImageClassifier, ImageClassifierModel, confusion_matrix
from sparkwater.ml.launch.resources import rank_profile


def train(spark: SparkSession, collective: str) -> ImageClassifierModel:
    learner = ImageClassifier(epochs=2, batchSize=32, numWorkers=2, collective=collective, device="cpu")
    return learner.fit(tensor_frame(spark, 120))


@pytest.fixture
def trained_by_two_threads(spark):
    return train(spark, "memory")


def test_two_executors_learn_the_same_as_two_threads(trained_by_two_threads, gpu_cluster):
    for collective in ("horovod", "auto"):
        there = train(gpu_cluster, collective)
        assert there.summary.numWorkers == 2
        assert sum(there.summary.rowsPerRank) == 120
        assert there.weights == trained_by_two_threads.weights
    assert there.summary.collective == "memory"


def test_pictures_are_decoded_scored_and_counted_on_executors(gpu_cluster):
    frame = png_frame(gpu_cluster, 120)
    model = ImageClassifier(
        featuresCol="content", imageShape=[16, 16, 1], epochs=4, batchSize=32, learningRate=0.02, numWorkers=2
    ).fit(frame)
    assert confusion_matrix(model.transform(frame), "label", "predictedLabel").error < 0.05


def test_each_rank_asks_for_a_gpu_of_its_own_where_executors_have_some(gpu_cluster):
    def addresses(batches):
        from pyspark import TaskContext

        resources = TaskContext.get().resources()
        yield pa.RecordBatch.from_pydict({"gpu": [",".join(resources["gpu"].addresses) if resources else ""]})

    def given(device):
        frame = gpu_cluster.range(0, 2, 1, 2)
        profile = rank_profile(gpu_cluster, device)
        return [row.gpu for row in frame.mapInArrow(addresses, "gpu string", True, profile).collect()]

    assert given("auto") == ["0", "0"]  # each executor's own
    assert given("cpu") == ["", ""]
    model = ImageClassifier(epochs=1, numWorkers=2).fit(tensor_frame(gpu_cluster, 40))
    assert model.summary.device == "cpu"  # there is no GPU behind the address
    with pytest.raises(ConfigurationError, match=r"numWorkers=3, .* runs 2 tasks .*a GPU and 1 cores; device='cpu'"):
        ImageClassifier(numWorkers=3, startTimeout=1).fit(tensor_frame(gpu_cluster, 40))


def test_speculation_leaves_ranks_alone(gpu_cluster):
    # Spark never runs a second copy of a barrier stage's task.
    assert gpu_cluster.conf.get("spark.speculation") == "true"
    summary = ImageClassifier(numWorkers=2, epochs=20).fit(tensor_frame(gpu_cluster, 40)).summary
    assert [record.rows for record in summary.records] == [40] * 20
