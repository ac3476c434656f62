"""Params of the recipe, of weights, validation and stopping, through Spark."""

from __future__ import annotations

import pytest
from digits import tensor_frame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import ImageClassifier, ImageClassifierModel


def weighted_frame(spark, rows=60, classes=2):
    """Two classes, three rows of one to each of the other; a weight, and every fifth row to validate on."""
    frame = tensor_frame(spark, rows, classes).where("label = 0 or id % 3 = 0")
    return frame.withColumn("weight", (F.col("id") % 4).cast("double")).withColumn("held_out", F.col("id") % 5 == 0)


def test_weights_validation_augmentation_and_stopping_through_spark(spark, tmp_path):
    frame = weighted_frame(spark).withColumn("weight", F.when(F.col("id") != 1, F.col("weight")).otherwise(-1.0))
    frame = frame.withColumn("weight", F.when(F.col("id") != 2, F.col("weight")))
    total = frame.count()
    estimator = ImageClassifier(
        weightCol="weight",
        validationIndicatorCol="held_out",
        classWeight="balanced",
        stoppingMetric="auc",
        augmentation=[{"name": "shift", "pixels": 1}, {"name": "erase"}],
        optimizer="adam",
        learningRate=0.003,
        learningRateSchedule="oneCycle",
        warmupEpochs=0.5,
        maxNorm=3.0,
        clipNorm=5.0,
        labelSmoothing=0.05,
        epochs=3.5,
        batchSize=16,
        handleInvalid="skip",
        idCol="id",
    )
    estimator.save(str(tmp_path / "estimator"))
    model = ImageClassifier.load(str(tmp_path / "estimator")).fit(frame)
    summary = model.summary
    reasons = dict(summary.skippedRows)
    assert reasons.get("2") == "the weight is null"
    assert "1" not in reasons or reasons["1"] == "the weight is -1.0"
    assert summary.numRows + summary.numValidationRows + summary.numWeightless + summary.numSkipped == total
    assert summary.numWeightless == frame.where("weight = 0").count()
    assert summary.numValidationRows == frame.where("weight > 0 and held_out").count() > 0
    history = summary.history.collect()
    assert len(history) == 4
    assert history[3]["rows"] < history[0]["rows"] == summary.numRows
    assert all(0 <= row["validationAuc"] <= 1 and row["validationTopKError"] is None for row in history)
    assert summary.bestEpoch == max(range(4), key=lambda epoch: history[epoch]["validationAuc"])
    assert summary.stoppedBy == "epochs"
    sums = {row["label"]: row["total"] for row in training_weights(frame)}
    assert model.fitted.trained.task.class_weights == pytest.approx(
        [sum(sums.values()) / (2 * sums[label]) for label in (0, 1)]
    )
    model.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.load(str(tmp_path / "model"))
    assert loaded.summary == summary
    assert loaded.transform(frame).collect() == model.transform(frame).collect()


def training_weights(frame):
    used = frame.where("weight >= 0 and not held_out")
    return used.groupBy("label").agg(F.sum("weight").alias("total")).collect()


def test_no_epochs_give_a_model_that_transforms(spark):
    frame = weighted_frame(spark)
    model = ImageClassifier(epochs=0, classWeight={"0": 2}).fit(frame)
    assert model.fitted.trained.task.class_weights == (2.0, 1.0)
    assert model.summary.history.count() == 0
    assert model.transform(frame).where("prediction is null").count() == 0


def test_settings_that_do_not_fit_the_columns_or_the_labels_are_refused(spark):
    frame = weighted_frame(spark)
    with pytest.raises(SchemaError, match="weightCol='held_out' is boolean; accepted: numbers from 0 up"):
        ImageClassifier(weightCol="held_out").fit(frame)
    with pytest.raises(SchemaError, match="validationIndicatorCol='weight' is double; accepted: booleans"):
        ImageClassifier(validationIndicatorCol="weight").fit(frame)
    with pytest.raises(SchemaError, match="there is no column 'missing'"):
        ImageClassifier(weightCol="missing").fit(frame)
    with pytest.raises(ConfigurationError, match="with 2 classes no row is beyond topK=5"):
        ImageClassifier(stoppingMetric="topKError").fit(frame)
    with pytest.raises(ConfigurationError, match="auc is defined for 2 classes; there are 3"):
        ImageClassifier(stoppingMetric="auc").fit(tensor_frame(spark, 6, 3))
    with pytest.raises(ConfigurationError, match=r"classWeight names the label 7\.0, which no row has"):
        ImageClassifier(classWeight={7: 2.0}).fit(frame)
    with pytest.raises(ConfigurationError, match="classWeight has 3 weights; there are 2 classes"):
        ImageClassifier(classWeight=[1, 2, 3]).fit(frame)
    with pytest.raises(ConfigurationError, match="take no weightCol"):
        ImageClassifier(weightCol="weight").fitPetastorm("file:///nowhere")
    nan = frame.withColumn("weight", F.when(F.col("id") == 3, float("nan")).otherwise(1.0))
    with pytest.raises(DataError, match="row 3: the weight is NaN"):
        ImageClassifier(weightCol="weight", idCol="id").fit(nan)
