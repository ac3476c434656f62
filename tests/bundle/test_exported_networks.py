"""Models of networks as bundles: the scorer gives what ``transform`` gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, start_session
from digits import pictures, png, png_frame, tensor_frame
from made_bundles import mixed
from mixed_tables import INPUTS, mixed_frame, mixed_rows
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F

from sparkwater.bundle import Bundle, export_bundle
from sparkwater.bundle.export.networks.responses import response_of, with_task
from sparkwater.bundle.export.networks.torch_graphs import Scores, network_model
from sparkwater.bundle.export.sampling import compare
from sparkwater.bundle.scorer.signature import read_signature
from sparkwater.conversions import ImageToTensor, TensorSpec, TensorToVector
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.gpu.networks import find_network
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.ml import AutoEncoder, DeepLearningClassifier, DeepLearningRegressor, ImageClassifier, ImageRegressor


@pytest.fixture(scope="module")
def classifier():
    """A classifier of pictures with the weights that its network begins with; its summary names private things."""
    frame = png_frame(start_session("local[2]"), 40).coalesce(1)
    model = ImageClassifier(epochs=0, featuresCol="content", imageShape=[16, 16, 1], numWorkers=1).fit(frame)
    summary = replace(
        model.fitted.summary,
        numSkipped=1,
        skippedRows=(("row-of-somebody", "no picture"),),
        lostCheckpoints=("epoch 1: /home/somebody/checkpoints is full",),
        resolved={**model.fitted.summary.resolved, "warmStart": "file:/home/somebody/model"},
    )
    model.fitted = replace(model.fitted, summary=summary)
    return model


@pytest.fixture(scope="module")
def written(classifier, tmp_path_factory):
    """The classifier's bundle."""
    folder = tmp_path_factory.mktemp("classifier") / "bundle"
    frame = png_frame(start_session("local[2]"), 30, seed=3).coalesce(1)
    classifier.exportBundle(str(folder), frame, licence="Apache-2.0")
    return folder


def exported(model, sample, folder):
    export_bundle(model, str(folder), sample, overwrite=True)
    return Bundle.load(folder, threads=1)


def check(model, frame, bundle, rows):
    """Compare a bundle's outputs for rows with those of ``transform`` for a DataFrame of the same rows."""
    expected = model.transform(frame).collect()
    found = bundle.predict(rows)
    for name, values in found.items():
        wanted = [row[name] for row in expected]
        if values.dtype == object:
            assert list(values) == wanted
        elif isinstance(wanted[0], (bytes, bytearray)):
            tensors = np.stack([np.frombuffer(row, values.dtype) for row in wanted]).reshape(values.shape)
            np.testing.assert_allclose(values, tensors, rtol=1e-5, atol=1e-5)
        else:
            numbers = np.array([value.toArray() if hasattr(value, "toArray") else value for value in wanted])
            np.testing.assert_allclose(values, numbers, rtol=1e-5, atol=1e-5)
    return found


def test_a_classifier_of_pictures(spark, classifier, written):
    frame = png_frame(spark, 30, seed=3)
    bundle = Bundle.load(written, threads=1)
    encoded = [png(image) for image in pictures(30, seed=3)[0]]
    found = check(classifier, frame, bundle, encoded)
    assert found.keys() == {"rawPrediction", "probability", "prediction", "predictedLabel"}
    assert bundle.verify().pictures == 10
    assert bundle.manifest["licence"] == "Apache-2.0"
    with pytest.raises(DataError, match="row 1: 'content': the bytes are no picture"):
        bundle.predict([encoded[0], b"nothing"])
    card = (written / "model_card.md").read_text()
    assert "## Training" in card
    assert "rawPrediction" in card
    with pytest.raises(ConfigurationError, match="exists already"):
        classifier.exportBundle(str(written), frame)


def test_two_exports_are_equal_to_the_byte_and_name_no_file_and_row_of_this_machine(
    spark, classifier, written, tmp_path
):
    frame = png_frame(spark, 30, seed=3).repartition(3)
    classifier.exportBundle(str(tmp_path / "other"), frame, licence="Apache-2.0")
    files = [path.name for path in written.iterdir() if not path.name.startswith(".")]
    assert len(files) == 7
    for name in files:
        content = (written / name).read_bytes()
        assert content == (tmp_path / "other" / name).read_bytes()
        private = (
            b"site-packages",
            b"somebody",
            str(ROOT).encode(),
            str(written.parent).encode(),
            str(Path.home()).encode(),
        )
        assert [words for words in private if words in content] == []
    card = (written / "model_card.md").read_text()
    assert "1 skipped" in card
    assert "collective: " in card


def test_a_pipeline_from_encoded_pictures_to_vectors(spark, classifier, tmp_path):
    frame = png_frame(spark, 12).coalesce(1)
    stages = [
        ImageToTensor(inputCol="content", outputCol="small", imageShape=[10, 8, 3], resize="fit"),
        TensorToVector(inputCol="small", outputCol="pixels"),
    ]
    model = Pipeline(stages=stages).fit(frame)
    bundle = exported(model, frame, tmp_path / "bundle")
    assert list(check(model, frame, bundle, [png(image) for image in pictures(12)[0]])) == ["pixels"]
    features = PipelineModel([classifier.deepFeatures(["fc1", 0], outputCols=["deep", "maps"])])
    bundle = exported(features, frame, tmp_path / "features")
    found = check(features, frame, bundle, [png(image) for image in pictures(12)[0]])
    assert found["deep"].shape == (12, 500)
    with pytest.raises(DataError, match="no row"):
        export_bundle(model, str(tmp_path / "none"), frame.limit(0))


def test_tables_with_missing_and_unseen_values(spark, tmp_path):
    frame = mixed_frame(spark, 80).withColumn(
        "at", F.expr("timestamp_seconds(1.7e9 + id * 12345.678 - 1e9 * (id % 3))")
    )
    strange = [(900, None, None, None, None, None, "big", 1.0), (901, 1e9, -7, "violet", True, None, "big", 1.0)]
    rows = spark.createDataFrame(mixed_rows(60, seed=5) + strange, mixed_frame(spark, 1).schema)
    rows = rows.withColumn("at", F.when(F.col("id") % 7 != 0, F.expr("timestamp_seconds(1.6e9 + id * 54321.123)")))
    frame, rows = frame.coalesce(1).cache(), rows.coalesce(1).cache()
    inputs = [*INPUTS, "at"]
    arrow = rows.toArrow()
    for number, recipe in enumerate(("realmlp", "tabm", "h2o", "mlp")):
        learner = DeepLearningClassifier(labelCol="kind", inputCols=inputs, epochs=0, recipe=recipe, numWorkers=1)
        model = learner.fit(frame)
        bundle = exported(model, frame, tmp_path / str(number))
        check(model, rows, bundle, arrow)
        assert {each.name: each.kind for each in bundle.signature.inputs} == {
            "size": "number",
            "count": "number",
            "colour": "string",
            "flag": "number",
            "day": "time",
            "at": "time",
        }
    with pytest.raises(SchemaError, match="there is no column 'size'"):
        export_bundle(model, str(tmp_path / "bad"), frame.drop("size"))
    frame.unpersist()
    rows.unpersist()


def test_regressors_of_tables_with_offsets_and_autoencoders(spark, tmp_path):
    frame = mixed_frame(spark, 60).withColumn("exposure", F.col("id") / 50).coalesce(1).cache()
    alike = {"inputCols": INPUTS, "epochs": 0, "numWorkers": 1}
    model = DeepLearningRegressor(labelCol="price", distribution="poisson", offsetCol="exposure", **alike).fit(
        frame.where("price > 0")
    )
    check(model, frame, exported(model, frame, tmp_path / "regressor"), frame.toArrow())
    encoder = AutoEncoder(errorsCol="errors", reconstructionCol="rows", anomalyThreshold=0.9, **alike).fit(frame)
    found = check(encoder, frame, exported(encoder, frame, tmp_path / "encoder"), frame.toArrow())
    assert found.keys() == {"reconstructionError", "errors", "rows", "prediction"}
    frame.unpersist()


def test_other_tasks_of_pictures(spark, tmp_path):
    frame = tensor_frame(spark, 40).withColumn("value", F.col("label") * 2.5).coalesce(1).cache()
    tensors = pictures(40)[0][:, None]
    alike = {"epochs": 0, "network": "mlp", "numWorkers": 1}
    learner = ImageRegressor(labelCol="value", distribution="quantile", quantiles=[0.1, 0.5, 0.9], **alike)
    numbers = learner.fit(frame)
    found = check(numbers, frame, exported(numbers, frame, tmp_path / "numbers"), {"features": tensors})
    assert found["quantiles"].shape == (40, 3)
    ordered = ImageClassifier(ordinal=True, **alike).fit(frame)
    check(ordered, frame, exported(ordered, frame, tmp_path / "ordered"), {"features": tensors})
    several = frame.withColumn("label", F.array(F.col("label"), (F.col("label") + 1) % 4))
    labels = ImageClassifier(**alike).fit(several)
    bundle = exported(labels, several, tmp_path / "labels")
    positions = [np.flatnonzero(row).tolist() for row in bundle.predict({"features": tensors})["prediction"]]
    assert positions == [row.prediction for row in labels.transform(several).collect()]
    frame.unpersist()


class Fixed(torch.nn.Module):
    """A network that takes the number of rows for a plain number."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, batch):
        """Return the outputs."""
        return self.layer(batch) + torch.zeros(len(batch), 2)


class Sorted(torch.nn.Module):
    """A network with an operator that ONNX has not."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, batch):
        """Return the outputs."""
        return self.layer(batch).cummax(dim=1).values


@pytest.mark.parametrize(("network", "words"), [(Fixed, "use x.shape"), (Sorted, "cummax")])
def test_a_network_that_cannot_be_exported_is_refused(network, words):
    task, entry, weights = ClassificationTask(("a", "b")), find_network(network()), dump_weights(network())
    trained = TrainedNetwork(entry, (4,), task, Scaling((0.0,) * 4, (1.0,) * 4), weights, digest(weights))
    decode = Scores(with_task(task, response_of(task)))
    with pytest.raises(ConfigurationError, match=rf"{network.__name__}' can't be exported to ONNX: .*{words}"):
        network_model(trained, TensorSpec("float32", (4,)), decode)


def test_a_graph_that_refuses_a_row_of_the_sample_is_not_written():
    content, fields, vectors, texts = mixed()
    signature = read_signature(fields)
    arrays = vectors | {name: np.array(values, object) for name, values in texts.items()}
    sides = [
        {name.removeprefix(side): values for name, values in arrays.items() if name.startswith(side)}
        for side in ("input:", "output:")
    ]
    assert set(compare(content, signature, *sides).values()) == {0.0}
    missing = np.array([1.5, np.nan])
    sides[0]["size"], sides[1]["double"] = missing, 2 * missing
    with pytest.raises(ConfigurationError, match=r"refuses a row of the sample .*row 1: size is missing"):
        compare(content, signature, *sides)


def test_a_sample_with_another_result_each_time_is_not_written(spark, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("sparkwater.bundle.export.documents._OF_NETWORKS", (0.0, 1e-12))
    with pytest.raises(ConfigurationError, match="differs from transform's by"):
        classifier.exportBundle(str(tmp_path / "bundle"), png_frame(spark, 5))
    assert not list(tmp_path.iterdir())


def test_the_signature_and_preprocessing_say_what_is_needed(written):
    signature = json.loads((written / "signature.json").read_text())
    assert signature["inputs"][0]["kind"] == "picture"
    named = {each["name"]: each for each in signature["outputs"]}
    assert named["probability"]["classes"] == [f"class {label}" for label in range(4)]
    ways = json.loads((written / "preprocessing.json").read_text())
    assert ways["pictures"]["content"] | {"max_pixels": 0} == {
        "height": 16,
        "width": 16,
        "channels": 1,
        "resize": "stretch",
        "max_pixels": 0,
    }
    assert len(ways["steps"]) == 6
