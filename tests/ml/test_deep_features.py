from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import start_session
from digits import SPEC, pictures, png_frame, tensor_frame
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import functions as F

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.conversions.stages.columns import tensor_spec
from sparkwater.conversions.stages.shapes import find_shape
from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError
from sparkwater.gpu.networks import build_network
from sparkwater.gpu.networks.inference import ready_network
from sparkwater.ml import DeepFeatures, ImageClassifier


@pytest.fixture(scope="module")
def model():
    """A classifier with the weights that its network begins with: they are as good as any here."""
    return ImageClassifier(epochs=0).fit(tensor_frame(start_session("local[2]"), 40))


def hooked(model, module, images):
    """Return a layer's output by plain PyTorch, in the layout that scoring chose."""
    found = []
    trained = model.fitted.trained
    network = build_network(trained.entry, trained.shape, trained.task.outputs, 0)
    scorer = ready_network(trained)
    network.load_state_dict(scorer.network.state_dict())
    network.eval().to(memory_format=scorer.layout).get_submodule(module).register_forward_hook(
        lambda *call: found.append(call[2].clone())
    )
    with torch.no_grad():
        network(scorer.inputs(torch.from_numpy(images[:, None])))
    return found[0].numpy()


def test_transform_keeps_rows_and_columns_and_gives_the_values_of_forward_hooks(spark, model):
    frame = tensor_frame(spark, 24).withColumn("kept", F.col("id") * 2).coalesce(1)
    stage = model.deepFeatures(["fc1", 0], outputCols=["deep.fc1", "maps"])
    vectors = stage.transform(frame)
    assert vectors.columns == ["id", "features", "label", "kept", "deep.fc1", "maps"]
    assert find_shape(vectors, "deep.fc1") == (500,)  # from its ML attributes
    tensors = stage.copy({stage.outputType: "tensor"}).transform(frame)
    assert tensor_spec(tensors.schema["maps"]) == TensorSpec("float32", (20, 12, 12))
    images = pictures(24)[0]
    for column, module in (("deep.fc1", "fc1"), ("maps", "conv1")):
        expected = hooked(model, module, images)
        both = [frame.select("id", f"`{column}`").collect() for frame in (vectors, tensors)]
        assert [[row["id"] for row in rows] for rows in both] == [list(range(24))] * 2
        assert np.array_equal([row[column].toArray() for row in both[0]], expected.reshape(24, -1))
        assert b"".join(row[column] for row in both[1]) == expected.tobytes()


def test_spark_learns_from_deep_features_in_a_pipeline_that_is_saved(spark, model, tmp_path):
    frame = png_frame(spark, 60).withColumn("label", F.col("id") % 4)  # png_frame's classes
    stages = [
        model.deepFeatures(pooling="average", featuresCol="content"),
        LogisticRegression(featuresCol="deepFeatures", labelCol="label"),
    ]
    fitted = Pipeline(stages=stages).fit(frame)
    scored = fitted.transform(frame)
    assert scored.where("prediction = label").count() > 55
    fitted.save(str(tmp_path / "pipeline"))
    fitted.stages[0].save(str(tmp_path / "stage"))
    expected = scored.select("deepFeatures", "probability").collect()
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    assert loaded.transform(frame).select("deepFeatures", "probability").collect() == expected
    alone = DeepFeatures.load(str(tmp_path / "stage"))
    assert (alone.uid, alone.getPooling(), alone.getFeaturesCol()) == (fitted.stages[0].uid, "average", "content")
    assert alone.fitted == fitted.stages[0].fitted
    (tmp_path / "stage" / "weights.safetensors").write_bytes(b"{}")
    with pytest.raises(CheckpointError):
        DeepFeatures.load(str(tmp_path / "stage"))


def test_invalid_rows_are_treated_as_the_classifier_does(spark, model):
    frame = tensor_frame(spark, 4).withMetadata("features", {})
    frame = frame.withColumn("features", F.when(F.col("id") != 1, F.col("features")))
    frame = with_tensor_spec(frame, "features", SPEC)
    kept = model.deepFeatures(handleInvalid="keep").transform(frame).collect()
    assert [row["deepFeatures"] is None for row in kept] == [False, True, False, False]
    assert model.deepFeatures(handleInvalid="skip", outputType="tensor").transform(frame).count() == 3
    with pytest.raises(Exception, match="invalid row 1: the tensor is null"):
        model.deepFeatures(idCol="id").transform(frame).collect()


def test_refusals_come_before_any_job(spark, model):
    frame = tensor_frame(spark, 4)
    refused = [
        (model.deepFeatures("fc9"), r"layer='fc9' is no layer; .* 0 conv1 \(20 x 12 x 12\)"),
        (model.deepFeatures(["fc1", "fc2"]), "is 2 layers, to become the columns .'deepFeatures'.; set outputCols"),
        (model.deepFeatures(["fc1", "fc2"], outputCols=["a", "a"]), "one name a layer"),
        (model.deepFeatures(pooling="mean"), "pooling='mean'; accepted: flatten, average, max"),
        (model.deepFeatures(outputType="array"), "outputType='array'; accepted: vector, tensor"),
        (model.deepFeatures(outputCol="label"), "there is a column 'label' already"),
        (model.deepFeatures(featuresCol="pixels"), "there is no column 'pixels'"),
        (model.deepFeatures(handleInvalid="drop"), "handleInvalid='drop'"),
        (DeepFeatures(), r"no network; give it a trained model with setModel\(model\)"),
    ]
    for stage, message in refused:
        with pytest.raises((ConfigurationError, SchemaError), match=message):
            stage.transform(frame)
    with pytest.raises(SchemaError, match="was trained on"):
        model.deepFeatures().transform(with_tensor_spec(frame, "features", TensorSpec("float32", SPEC.shape)))
    with pytest.raises(ConfigurationError, match="model is a Pipeline; accepted: a trained ImageClassifierModel"):
        DeepFeatures(model=Pipeline())
    with pytest.raises(TypeError, match=r"layer=True; accepted"):
        model.deepFeatures(True)


def test_params_behave_as_in_spark_ml(model):
    stage = model.copy({model.featuresCol: "pictures"}).deepFeatures()
    assert (stage.getFeaturesCol(), stage.getLayer(), stage.getOutputCol()) == (
        "pictures",
        "penultimate",
        "deepFeatures",
    )
    assert stage.setLayer(["fc1", 2]).setPooling("max").getLayer() == ["fc1", 2]
    assert stage.copy({stage.layer: 3}).fitted is model.fitted
    for param in stage.params:
        suffix = param.name[0].upper() + param.name[1:]
        assert hasattr(stage, f"set{suffix}"), param.name
        assert hasattr(stage, f"get{suffix}"), param.name


def test_notebooks_show_the_networks_of_estimators_and_models(model):
    described = model.describeNetwork()
    assert (described.name, described.input_shape) == ("lenet", (1, 16, 16))
    assert described.layers[-1].output_shape == (4,)
    assert ImageClassifier(imageShape=[28, 28, 1]).describeNetwork(10).parameters == 431_080
    for shown in (model._repr_html_(), ImageClassifier(network="resnet18")._repr_html_()):
        assert "<table>" in shown
        assert "<svg" in shown
    assert "set imageShape" in ImageClassifier(network="torch.nn:Flatten")._repr_html_()
