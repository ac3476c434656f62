"""Trainings that go on from a model, from a saved one, or from checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import functions as F
from torch import nn

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError
from sparkwater.ml import ImageClassifier
from sparkwater.stacking.level_one import learners


def quick(**params):
    return ImageClassifier(**{"epochs": 1, "batchSize": 16, "learningRate": 0.02, **params})


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A model that was the best after some epoch; its folder has it saved, and its checkpoints."""
    folder = tmp_path_factory.mktemp("first")
    frame = tensor_frame(start_session("local[2]"), 80).withColumn("held_out", F.col("id") % 5 == 0)
    settings = {"network": "convnet", "epochs": 3, "validationIndicatorCol": "held_out", "learningRate": 0.05}
    model = quick(**settings, checkpointDir=str(folder / "checkpoints")).fit(frame)
    model.save(str(folder / "model"))
    return model, folder


def other_rows(spark, rows=40):
    return tensor_frame(spark, rows, seed=5)


def sources(first) -> dict[str, object]:
    model, folder = first
    (training,) = (folder / "checkpoints").iterdir()
    return {
        "model": model,
        "saved model": str(folder / "model"),
        "checkpoints": str(folder / "checkpoints"),
        "one training": str(training),
    }


def test_before_its_first_step_it_predicts_what_the_first_model_predicts(spark, first):
    frame = other_rows(spark).cache()
    expected = first[0].transform(frame).collect()
    for start in sources(first).values():
        again = quick(epochs=0, warmStart=start).fit(frame)
        assert again.weights == first[0].weights
        assert again.fitted.trained.scaling == first[0].fitted.trained.scaling
        assert again.getNetwork() == "convnet"
        assert again.transform(frame).collect() == expected


def test_epochs_come_on_top_and_may_be_trained_in_another_way(spark, first, tmp_path):
    frame = other_rows(spark, 96)
    settings = {"optimizer": "adam", "learningRate": 0.002, "batchSize": 24, "numWorkers": 2, "epochs": 2}
    cold = quick(network="convnet", **settings).fit(frame)
    warm = quick(warmStart=first[0], checkpointDir=str(tmp_path), **settings).fit(frame)
    assert [record.epoch for record in warm.summary.records] == [0, 1]
    assert warm.summary.objectiveHistory[0] < cold.summary.objectiveHistory[0] / 2
    # The same again is the same training, whose checkpoints say that it is done.
    done = quick(warmStart=first[0], checkpointDir=str(tmp_path), **settings).fit(frame)
    assert (done.summary.resumedAt, done.weights) == (8, warm.weights)


def test_frozen_layers_stay_those_of_the_first_model(spark, first):
    warm = quick(warmStart=first[0], freeze="backbone", headLearningRateMultiplier=2.0).fit(other_rows(spark))
    before, after = safetensors.torch.load(first[0].weights), safetensors.torch.load(warm.weights)
    changed = {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 1
    assert before.keys() == after.keys()


def test_rows_may_lack_a_class_but_have_no_other(spark, first):
    fewer = other_rows(spark).where("label < 2")
    warm = quick(warmStart=first[0], classWeight="balanced").fit(fewer)
    assert warm.classes == [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(ConfigurationError, match=r"label 4\.0, and .* tells 0\.0, 1\.0, 2\.0, 3\.0 apart"):
        quick(warmStart=first[0]).fit(tensor_frame(spark, 20, classes=5))
    with pytest.raises(ConfigurationError, match="the rows have the label '0'"):
        quick(warmStart=first[0]).fit(fewer.withColumn("label", F.col("label").cast("string")))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"weights": "file"}, "weights='file' and warmStart are both set"),
        ({"initialization": "paper"}, "initialization='paper' and warmStart are both set"),
        ({"inputMean": [0.5], "inputStd": [0.5]}, r"inputMean=\[0.5\] and warmStart are both set"),
        ({"network": "lenet"}, "network='lenet', but the model of warmStart has 'convnet'"),
        (
            {"network": "auto", "networkArguments": {"width": 2}},
            "network='.*', but the model|networkArguments={'width'",
        ),
        ({"networkArguments": {"width": 2}}, "networkArguments={'width': 2}, but the model of warmStart has {}"),
        ({"network": nn.Flatten()}, "has no layer with weights"),
        (
            {"imageShape": [28, 28, 1]},
            r"imageShape=\[28, 28, 1\], but the model of warmStart was trained on uint8\[1, 16",
        ),
        ({"freeze": "nothing"}, "freeze='nothing'"),
    ],
)
def test_what_a_warm_start_keeps_is_refused_before_any_job(spark, first, params, message):
    spark.sparkContext.setJobGroup("warm", "must stay empty")
    with pytest.raises((ConfigurationError, CheckpointError), match=message):
        quick(warmStart=first[0], **params).fit(other_rows(spark))
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("warm")) == []
    spark.sparkContext._jsc.clearJobGroup()


def test_features_of_another_shape_are_refused(spark, first):
    frame = with_tensor_spec(other_rows(spark), "features", TensorSpec("uint8", (1, 8, 32)))
    with pytest.raises(SchemaError, match=r"uint8\[1, 8, 32\]; this model was trained on uint8\[1, 16, 16\]"):
        quick(warmStart=first[0]).fit(frame)


def test_folders_that_leave_open_what_to_go_on_from_are_refused(spark, first, tmp_path):
    frame = other_rows(spark)
    (training,) = (first[1] / "checkpoints").iterdir()
    for name in ("one", "two"):
        shutil.copytree(training, tmp_path / "several" / name)
    with pytest.raises(ConfigurationError, match="checkpoints of several trainings; add one of one, two"):
        quick(warmStart=str(tmp_path / "several")).fit(frame)
    with pytest.raises(CheckpointError, match="holds neither a saved ImageClassifierModel nor a finished checkpoint"):
        quick(warmStart=str(tmp_path / "nothing")).fit(frame)
    with pytest.raises(TypeError, match="warmStart=3; accepted: an ImageClassifierModel"):
        quick(warmStart=3)
    newest, before = sorted(Path(tmp_path / "several" / "one").iterdir(), reverse=True)
    (newest / "tensors.safetensors").write_bytes(b"damaged")
    quick(epochs=0, warmStart=str(newest.parent)).fit(frame)
    (before / "network.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match=r"all checkpoints in .* are damaged"):
        quick(warmStart=str(newest.parent)).fit(frame)


def test_a_path_is_saved_with_the_estimator_and_a_model_is_not(spark, first, tmp_path):
    path = sources(first)["saved model"]
    quick(warmStart=path).save(str(tmp_path / "estimator"))
    assert ImageClassifier.load(str(tmp_path / "estimator")).getWarmStart() == path
    with pytest.raises(ConfigurationError, match="save the model, and set warmStart to its path"):
        quick(warmStart=first[0]).save(str(tmp_path / "other"))


def test_other_weights_make_another_learner(spark, first):
    again = quick(epochs=0.5, warmStart=first[0]).fit(other_rows(spark))
    again._resetUid(first[0].uid)
    digests = [learners.describe(quick(warmStart=model)) for model in (first[0], first[0], again)]
    assert digests[0] == digests[1] != digests[2]


def test_an_instance_goes_on_from_its_checkpoints_where_it_is_given_again(spark, tmp_path):
    def network():
        return nn.Sequential(nn.Flatten(), nn.Linear(256, 4))

    frame = other_rows(spark)
    model = quick(network=network(), checkpointDir=str(tmp_path)).fit(frame)
    with pytest.raises(ConfigurationError, match=r"'.*Sequential' instance, .* set network to one"):
        quick(warmStart=str(tmp_path)).fit(frame)
    assert quick(epochs=0, network=network(), warmStart=str(tmp_path)).fit(frame).weights == model.weights
    assert quick(epochs=0, warmStart=model).fit(frame).weights == model.weights


def test_the_network_to_go_on_with_is_shown_before_the_fit(spark, first):
    assert "4" in str(quick(warmStart=first[0]).describeNetwork())
    assert quick(warmStart=first[0]).describeNetwork().layers == first[0].describeNetwork().layers
