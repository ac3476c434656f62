"""Attributions where the truth is known: a bar that decides, sums that must come out, a layer without positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import ROOT, start_session
from mixed_tables import INPUTS, mixed_frame

from sparkwater.conversions import from_numpy
from sparkwater.conversions.stages.columns import tensor_spec
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.inference import predict_raw
from sparkwater.ml import Attributions, DeepLearningClassifier, ImageClassifier


def values(frame, name):
    """Return a tensor column's rows as an array."""
    spec = tensor_spec(frame.schema[name])
    kept = [np.frombuffer(row[0], spec.numpy_dtype).reshape(spec.shape) for row in frame.select(name).collect()]
    return np.stack(kept)


@pytest.fixture(scope="module")
def rows():
    """Dark pictures; those of class 1 have a bright square in a corner."""
    labels = np.arange(48) % 2
    pictures = np.random.default_rng(1).integers(0, 40, (48, 1, 28, 28), dtype=np.uint8)
    pictures[labels == 1, :, 2:10, 18:26] += 200
    spark = start_session("local[2]")
    return from_numpy(spark, {"id": np.arange(48), "features": pictures, "label": labels}).coalesce(1)


@pytest.fixture(scope="module")
def model(rows):
    rows.sparkSession.sparkContext.addPyFile(str(ROOT / "tests" / "user_networks.py"))
    return ImageClassifier(epochs=8, batchSize=8, network="user_networks:maps_summed", learningRate=0.05).fit(rows)


def attributed(rows, **params):
    column = Attributions(**params).transform(rows)
    return values(column, "attribution"), column


def test_the_heat_is_where_the_deciding_square_is(rows, model):
    heat, frame = attributed(rows.where("label = 1"), model=model, target=1)
    assert tensor_spec(frame.schema["attribution"]) == TensorSpec("float32", (28, 28))
    assert heat.min() >= 0
    inside = heat[:, 0:12, 16:28].sum(axis=(1, 2)) / heat.sum(axis=(1, 2))
    assert inside.mean() > 0.6  # of 18 % of the area
    inner, _ = attributed(rows.where("label = 1"), model=model, target=1, layer="1")
    assert not np.array_equal(heat, inner)


def test_integrated_gradients_add_up_to_the_difference_to_a_black_picture(rows, model, tmp_path):
    ones = rows.where("label = 1")
    stage = Attributions(model=model, method="integratedGradients", target=1, steps=64)
    stage.save(str(tmp_path / "stage"))
    loaded = Attributions.read().allowing("user_networks").load(str(tmp_path / "stage"))
    frame = loaded.transform(ones)
    found = values(frame, "attribution")
    assert found.shape == (24, 1, 28, 28)
    pictures = values(ones, "features")
    black = predict_raw(model.fitted.trained, np.zeros_like(pictures[:1]))[:, 1]
    expected = predict_raw(model.fitted.trained, pictures)[:, 1] - black
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), expected, rtol=0.03)
    square = np.abs(found[:, 0, 2:10, 18:26]).sum() / np.abs(found).sum()
    assert square > 0.5


def test_without_a_target_the_largest_output_is_explained(rows, model):
    chosen, _ = attributed(rows, model=model)
    first, second = (attributed(rows, model=model, target=target)[0] for target in (0, 1))
    largest = predict_raw(model.fitted.trained, values(rows, "features")).argmax(axis=1)
    assert np.array_equal(chosen, np.where(largest[:, None, None] == 0, first, second))
    assert not torch.is_inference_mode_enabled()


def test_mistakes_are_refused(rows, model):
    for params, said in (
        ({"target": 2}, "the network has 2 outputs"),
        ({"layer": "7"}, "doesn't give maps"),
        ({"method": "saliency"}, "gradCam"),
        ({"steps": 0}, "steps"),
    ):
        with pytest.raises((ConfigurationError, TypeError), match=said):
            Attributions(model=model, **params).transform(rows)
    with pytest.raises(ConfigurationError, match="has no network"):
        Attributions().transform(rows)


def test_ids_and_encoded_columns_have_nothing_between_them_and_zero(rows):
    spark = rows.sparkSession
    spark.sparkContext.addPyFile(str(ROOT / "tests" / "user_networks.py"))
    encoded = DeepLearningClassifier(labelCol="kind", inputCols=[*INPUTS], epochs=0).fit(mixed_frame(spark, 40))
    with pytest.raises(ConfigurationError, match=r"raw columns.*shapley_values"):
        Attributions(model=encoded)
    tokens = np.random.default_rng(2).integers(0, 16, (8, 12), dtype=np.int32)
    frame = from_numpy(spark, {"features": tokens, "label": np.arange(8) % 2})
    model = ImageClassifier(epochs=0, network="user_networks:Gru").fit(frame)
    with pytest.raises(ConfigurationError, match=r"integratedGradients.*ids \(int32\)"):
        Attributions(model=model, method="integratedGradients").transform(frame)
