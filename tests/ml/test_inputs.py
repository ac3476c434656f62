"""Features that are no pictures, and several features columns."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ROOT, start_session
from digits import pictures, png, png_frame
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import functions as F

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml import ImageClassifier, ImageClassifierModel
from sparkwater.ml.columns.features import checked_features, resolve_features

BOTH = {"featuresCols": ["content", "numbers"], "network": "user_networks:PictureAndTable", "imageShape": [16, 16, 1]}


@pytest.fixture(autouse=True)
def _files(spark):
    spark.sparkContext.addPyFile(str(ROOT / "tests" / "user_networks.py"))


def accuracy(rows):
    return np.mean([row["label"] == row["prediction"] for row in rows])


def token_frame(spark, rows, seed):
    """Sequences of 12 tokens, in which the one of the label is frequent."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(4, 16, (rows, 12)).astype("<i4")
    labels = np.arange(rows) % 4
    tokens[:, ::3] = labels[:, None]
    data = [(bytearray(row.tobytes()), int(label)) for row, label in zip(tokens, labels, strict=True)]
    frame = spark.createDataFrame(data, "features binary, label int")
    return with_tensor_spec(frame, "features", TensorSpec("int32", (12,)))


def test_sequences_of_tokens_train_a_recurrent_network(spark, tmp_path):
    estimator = ImageClassifier(
        network="user_networks:Gru", numWorkers=2, epochs=8, batchSize=16, optimizer="adam", learningRate=0.02
    )
    model = estimator.fit(token_frame(spark, 120, 0))
    assert model.fitted.trained.scaling.mean == ()
    unseen = token_frame(spark, 80, 1)
    rows = model.transform(unseen).collect()
    assert accuracy(rows) > 0.95
    path = str(tmp_path / "model")
    model.save(path)
    loaded = ImageClassifierModel.read().allowing("user_networks").load(path)
    assert loaded.transform(unseen).collect() == rows
    with pytest.raises(
        SchemaError, match=r"column 'features' holds tensors int64\[12\]; this model was trained on int32"
    ):
        loaded.transform(with_tensor_spec(token_frame(spark, 4, 1), "features", TensorSpec("int64", (12,))))


def both_frame(spark, rows, seed):
    """Labels 0 to 3: their first bit is in the picture, their second in the numbers."""
    images, bits = pictures(rows, 2, seed)
    labels = np.arange(rows) % 4
    sides = (labels // 2) * 10.0 + np.random.default_rng(seed).normal(size=rows)
    data = [
        (row, bytearray(png(image)), float(side), float(row % 7), int(label))
        for row, (image, side, label) in enumerate(zip(images, sides, labels, strict=True))
    ]
    frame = spark.createDataFrame(data, "id int, content binary, side double, noise double, label int")
    assert (bits == labels % 2).all()
    return VectorAssembler(inputCols=["side", "noise"], outputCol="numbers").transform(frame)


@pytest.fixture(scope="module")
def both():
    spark = start_session("local[2]")
    spark.sparkContext.addPyFile(str(ROOT / "tests" / "user_networks.py"))
    return ImageClassifier(**BOTH, numWorkers=2, epochs=8, batchSize=16, learningRate=0.02).fit(
        both_frame(spark, 120, 0)
    )


def test_picture_and_numbers_train_a_network_of_two_inputs(spark, both, tmp_path):
    unseen = both_frame(spark, 80, 1)
    rows = both.transform(unseen).collect()
    assert accuracy(rows) > 0.9  # each column alone can't pass 0.5
    path = str(tmp_path / "model")
    both.save(path)
    loaded = ImageClassifierModel.read().allowing("user_networks").load(path)
    assert loaded.transform(unseen).collect() == rows
    assert loaded.fitted == both.fitted
    assert loaded.deepFeatures("penultimate").transform(unseen).where("deepFeatures is not null").count() == 80


def test_row_with_one_bad_column_of_two_is_kept_with_nulls_and_named(spark, both):
    frame = both_frame(spark, 6, 2)
    frame = frame.withColumn("content", F.when(F.col("id") != 1, F.col("content")))
    frame = frame.withColumn("side", F.when(F.col("id") == 3, float("nan")).otherwise(F.col("side")))
    frame = VectorAssembler(inputCols=["side", "noise"], outputCol="numbers", handleInvalid="keep").transform(
        frame.drop("numbers")
    )
    kept = both.copy({both.handleInvalid: "keep"}).transform(frame).collect()
    assert [row["prediction"] is None for row in kept] == [False, True, False, True, False, False]
    one_null = frame.where("id = 1")
    with pytest.raises(Exception, match=r"invalid row 1: content: .*null"):
        both.copy({both.idCol: "id"}).transform(one_null).collect()


def test_each_column_is_converted_once(spark):
    frame = both_frame(spark, 4, 0)
    features = resolve_features(frame.schema, ["content", "numbers"], [16, 16, 1], None)
    checked = frame.select(checked_features(frame, features).alias("checked")).select(
        "checked.tensor", "checked.problem"
    )
    assert checked._jdf.queryExecution().executedPlan().toString().count("ArrowEvalPython") == 2


def test_two_wrong_lengths_do_not_make_a_right_one(spark):
    frame = spark.createDataFrame([(bytearray(3), bytearray(1)), (bytearray(2), bytearray(2))], "a binary, b binary")
    for name in ("a", "b"):
        frame = with_tensor_spec(frame, name, TensorSpec("uint8", (2,)))
    features = resolve_features(frame.schema, ["a", "b"], None, None)
    first, second = frame.select(checked_features(frame, features).alias("c")).select("c.*").collect()
    assert (first["tensor"], first["problem"]) == (None, "a: the tensor has 3 bytes where uint8[2] has 2")
    assert (bytes(second["tensor"]), second["problem"]) == (bytes(4), None)


def test_wrong_columns_are_refused_before_any_job(spark, both):
    spark.sparkContext.setJobGroup("inputs", "must stay empty")
    frame = both_frame(spark, 4, 0)
    with pytest.raises(SchemaError, match="trained on 2 features columns; there are 1"):
        both.copy({both.featuresCols: ["content"]}).transform(frame)
    with pytest.raises(SchemaError, match="column 'numbers' is vector, which gives float32 tensors"):
        both.copy({both.featuresCols: ["numbers", "content"]}).transform(frame)
    with pytest.raises(ConfigurationError, match=r"'lenet' doesn't take 2 inputs of shapes \[1, 28, 28\], \[2\]"):
        ImageClassifier(featuresCols=["content", "numbers"]).fit(frame)
    with pytest.raises(ConfigurationError, match="TensorAssembler"):
        ImageClassifier(**{**BOTH, "featuresCols": ["content", "list"]}).fit(frame.withColumn("list", F.array("side")))
    with pytest.raises(ConfigurationError, match=r"doesn't take tensors of shape \[2\], which are no pictures"):
        ImageClassifier(featuresCol="numbers").fit(frame)
    with pytest.raises(ConfigurationError, match="augmentation is for one column of pictures"):
        ImageClassifier(**BOTH, augmentation=[{"name": "flip"}]).fit(frame)
    with pytest.raises(SchemaError, match="trained on 2 features columns; there are 1"):
        both.deepFeatures(featuresCols=["content"]).transform(frame)
    with pytest.raises(SchemaError, match="there is no column 'absent'"):
        ImageClassifier(featuresCols=["content", "absent"]).fit(png_frame(spark, 4))
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("inputs")) == []
    spark.sparkContext._jsc.clearJobGroup()
