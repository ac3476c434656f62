"""Networks of Keras and of ONNX files in fit, save, load, warm start, deep features and bundles."""

from __future__ import annotations

import importlib.util

import numpy as np
import onnx_files
import pytest
import safetensors.numpy
from conftest import ROOT, start_session
from digits import png_frame, tensor_frame

from sparkwater.bundle import Bundle, export_bundle
from sparkwater.errors import ConfigurationError, UnsafeLoadError
from sparkwater.ml import DeepFeatures, ImageClassifier, ImageClassifierModel

KERAS = "keras_networks:pictures"

#: Networks of other packages, by their import paths, and what each of them needs.
OTHERS = [
    ("torchvision.models:resnet18", "torchvision", {}),
    ("torchvision.models:mobilenet_v3_small", "torchvision", {}),
    ("timm:create_model", "timm", {"model_name": "resnet18", "in_chans": 3}),
]


def quick(**params):
    return ImageClassifier(**{"epochs": 3, "batchSize": 32, "optimizer": "adam", "learningRate": 0.01, **params})


def keras_learner():
    return quick(network=KERAS, networkArguments={"dropout": 0.1}, numWorkers=2)


def accuracy(model, frame):
    rows = model.transform(frame).select("label", "prediction").collect()
    return np.mean([row["label"] == row["prediction"] for row in rows])


@pytest.fixture(scope="module")
def session():
    spark = start_session("local[2]")
    spark.sparkContext.addPyFile(str(ROOT / "tests" / "keras_networks.py"))
    return spark


@pytest.fixture(scope="module")
def of_keras(session):
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras isn't installed: it needs Python 3.11")
    return keras_learner().fit(tensor_frame(session, 200))


@pytest.fixture(scope="module")
def of_onnx(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    name = onnx_files.write_small(path, classes=7)
    model = quick(network=name, numWorkers=2).fit(tensor_frame(session, 200))
    path.unlink()  # the workers and the model have what they need
    return model


def test_a_network_of_keras_learns_with_two_workers_and_loads_with_consent(session, of_keras, tmp_path):
    frame = tensor_frame(session, 60, seed=1)
    assert accuracy(of_keras, frame) > 0.8
    path = str(tmp_path / "model")
    of_keras.save(path)
    with pytest.raises(UnsafeLoadError, match=r"allowing\('keras_networks:pictures'\)"):
        ImageClassifierModel.load(path)
    loaded = ImageClassifierModel.read().allowing(KERAS).load(path)
    assert loaded.transform(frame).collect() == of_keras.transform(frame).collect()


def test_two_workers_give_a_network_of_keras_the_same_bits_each_time(session, of_keras):
    again = keras_learner().fit(tensor_frame(session, 200).repartition(3))
    assert again.weights == of_keras.weights
    other = keras_learner().setSeed(1).fit(tensor_frame(session, 200))
    assert other.weights != of_keras.weights


def test_a_network_from_an_onnx_file_gets_other_classes_and_loads_without_the_file(session, of_onnx, tmp_path):
    frame = tensor_frame(session, 60, seed=1)
    assert accuracy(of_onnx, frame) > 0.8
    path = str(tmp_path / "model")
    of_onnx.save(path)
    loaded = ImageClassifierModel.load(path)
    assert loaded.transform(frame).collect() == of_onnx.transform(frame).collect()


@pytest.mark.parametrize("kind", ["of_keras", "of_onnx"])
def test_what_other_networks_do_they_do(session, kind, request, tmp_path):
    model, frame = request.getfixturevalue(kind), tensor_frame(session, 40, seed=2)
    going_on = quick(warmStart=model, epochs=1, freeze="backbone").fit(frame)
    before, after = (safetensors.numpy.load(each.weights) for each in (model, going_on))
    changed = [name for name, value in after.items() if not np.array_equal(value, before[name])]
    head = "dense_MatMul" if kind == "of_onnx" else "dense"
    assert sorted({name.rpartition(".")[0] for name in changed}) == [head]
    layer = "bn" if kind == "of_onnx" else "batch_normalization"
    stage = DeepFeatures(layer=layer, pooling="average", outputCol="values").setModel(model)
    assert stage.transform(frame).first()["values"].size == 4  # one a channel
    bundle = str(tmp_path / "bundle")
    export_bundle(model, bundle, frame)
    assert max(Bundle.load(bundle, threads=1).verify().differences.values()) < 1e-5


def test_refusals_come_before_any_job(session):
    frame = tensor_frame(session, 20)
    with pytest.raises(ConfigurationError, match="can't be read"):
        quick(network="onnx:/no/such/file.onnx").fit(frame)


@pytest.mark.parametrize(("path", "package", "arguments"), OTHERS)
def test_networks_of_other_packages_learn_where_they_are_installed(session, path, package, arguments):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} isn't installed: it has no build for the CPU version of torch used here")
    pictures = png_frame(session, 40)
    model = quick(network=path, networkArguments=arguments, epochs=1, numWorkers=2, imageShape=[64, 64, 3],
        featuresCol="content").fit(pictures)  # fmt: skip
    assert len(model.transform(pictures).collect()) == 40
