"""Networks of the user's own in fit, save and load."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import ROOT, start_session
from digits import tensor_frame
from torch import nn

from sparkwater.conversions.stages.consent import ALLOWED_NETWORKS
from sparkwater.errors import CheckpointError, ConfigurationError, UnsafeLoadError
from sparkwater.ml import ImageClassifier, ImageClassifierModel

PATH = "user_networks:small"


def quick(**params):
    return ImageClassifier(**{"epochs": 4, "batchSize": 32, "learningRate": 0.02, **params})


def accuracy(model, frame):
    rows = model.transform(frame).select("label", "prediction").collect()
    return np.mean([row["label"] == row["prediction"] for row in rows])


@pytest.fixture(scope="module")
def imported():
    spark = start_session("local[2]")
    spark.sparkContext.addPyFile(str(ROOT / "tests" / "user_networks.py"))
    return quick(network=PATH, networkArguments={"width": 16}, numWorkers=2).fit(tensor_frame(spark, 200))


def test_network_by_import_path_learns_with_two_workers(spark, imported):
    assert accuracy(imported, tensor_frame(spark, 80, seed=1)) > 0.9
    assert imported.getNetwork() == PATH


def test_loading_an_import_path_needs_consent(spark, imported, tmp_path):
    path = str(tmp_path / "model")
    imported.save(path)
    reader = ImageClassifierModel.read
    for refused in (reader(), reader().allowing("user_networks:fixed"), reader().allowing("user", "user_networks:")):
        with pytest.raises(UnsafeLoadError, match=r"read\(\).allowing\('user_networks:small'\)"):
            refused.load(path)
    frame = tensor_frame(spark, 20)
    for allowed in (PATH, "user_networks"):
        loaded = reader().allowing(allowed).load(path)
        assert loaded.transform(frame).collect() == imported.transform(frame).collect()
    assert (loaded.getNetwork(), loaded.getNetworkArguments()) == (PATH, {"width": 16})
    spark.conf.set(ALLOWED_NETWORKS, f"other.package, {PATH}")
    try:
        assert ImageClassifierModel.load(path).weights == imported.weights
    finally:
        spark.conf.unset(ALLOWED_NETWORKS)


def test_saved_name_is_not_imported_before_consent(spark, imported, tmp_path):
    path = tmp_path / "model"
    imported.save(str(path))
    description = path / "model.json"
    fields = json.loads(description.read_text())
    (tmp_path / "trap_for_loaders.py").write_text("raise SystemExit('imported')")
    fields["network"]["name"] = "trap_for_loaders:anything"
    description.write_text(json.dumps(fields))
    (path / ".model.json.crc").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(UnsafeLoadError, match="trap_for_loaders:anything"):
            ImageClassifierModel.load(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": []}, "model.json is damaged: ValueError"),
        ({"network": {"name": PATH, "arguments": {"depth": 3}, "head": ""}}, "can't be built with {'depth': 3}"),
        ({"network": {"name": PATH, "arguments": {}, "head": ""}}, "the weights don't fit the network"),
    ],
)
def test_description_that_does_not_fit_is_a_checkpoint_error(spark, imported, tmp_path, change, message):
    path = tmp_path / "model"
    imported.save(str(path))
    description = path / "model.json"
    description.write_text(json.dumps({**json.loads(description.read_text()), **change}))
    (path / ".model.json.crc").unlink()
    with pytest.raises(CheckpointError, match=message):
        ImageClassifierModel.read().allowing(PATH).load(str(path))


def test_estimator_with_an_import_path_needs_consent_too(spark, tmp_path):
    path = str(tmp_path / "estimator")
    quick(network="os:system", networkArguments={"command": "true"}).save(path)
    with pytest.raises(UnsafeLoadError, match="names the network 'os:system'"):
        ImageClassifier.load(path)
    loaded = ImageClassifier.read().allowing("os:system").load(path)
    assert loaded.getNetworkArguments() == {"command": "true"}


def test_instance_of_a_class_without_import_path_trains_and_is_not_saved(spark, tmp_path):
    class Cell(nn.Module):  # as in a notebook's cell: it travels with its code
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.fc = nn.Linear(256, 4)
            self.register_buffer("mask", torch.tensor([True, False]))

        def forward(self, pictures):
            return self.fc(self.norm(pictures).flatten(1))

    network = Cell()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    estimator = quick(network=network, numWorkers=2, learningRate=0.01)
    model = estimator.fit(tensor_frame(spark, 200))
    assert accuracy(model, tensor_frame(spark, 80, seed=1)) > 0.9
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(ConfigurationError, match=r"Cell' can't be saved: its class can't be imported"):
        model.save(str(tmp_path / "model"))
    with pytest.raises(ConfigurationError, match="network is a Cell"):
        estimator.save(str(tmp_path / "estimator"))
    assert list(tmp_path.iterdir()) == []


def test_network_that_auto_became_is_kept(spark, tmp_path):
    model = quick(network="auto", initialization="he", epochs=1).fit(tensor_frame(spark, 40))
    assert model.getNetwork() == "lenet"
    model.save(str(tmp_path / "model"))
    assert json.loads((tmp_path / "model" / "model.json").read_text())["network"]["name"] == "lenet"
    assert ImageClassifierModel.load(str(tmp_path / "model")).getNetwork() == "lenet"
    assert quick(network="lenet", epochs=1).fit(tensor_frame(spark, 40)).weights != model.weights
