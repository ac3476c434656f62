"""Params of the recipe, of weights, validation and stopping, through Spark."""

from __future__ import annotations

import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import ImageClassifier, ImageClassifierModel


def weighted_frame(spark, rows=60, classes=2):
    """Two classes, three rows of one to each of the other; a weight, and every fifth row to validate on."""
    frame = tensor_frame(spark, rows, classes).where("label = 0 or id % 3 = 0")
    return frame.withColumn("weight", (F.col("id") % 4).cast("double")).withColumn("held_out", F.col("id") % 5 == 0)


#: The row without a weight, and the one with a weight below 0.
NULL, NEGATIVE = 2, 3

RECIPE = {
    "weightCol": "weight",
    "validationIndicatorCol": "held_out",
    "classWeight": "balanced",
    "stoppingMetric": "auc",
    "augmentation": [{"name": "shift", "pixels": 1}, {"name": "erase"}],
    "optimizer": "adam",
    "learningRate": 0.003,
    "learningRateSchedule": "oneCycle",
    "warmupEpochs": 0.5,
    "maxNorm": 3.0,
    "clipNorm": 5.0,
    "labelSmoothing": 0.05,
    "epochs": 3.5,
    "batchSize": 16,
    "handleInvalid": "skip",
    "idCol": "id",
}


@pytest.fixture(scope="module")
def frame():
    rows = weighted_frame(start_session("local[2]"))
    weight = F.when(F.col("id") == NEGATIVE, -1.0).when(F.col("id") != NULL, F.col("weight"))
    return rows.withColumn("weight", weight).cache()


@pytest.fixture(scope="module")
def model(frame, tmp_path_factory):
    """A model of the whole recipe, fitted by an estimator that was saved and loaded."""
    path = str(tmp_path_factory.mktemp("recipe") / "estimator")
    ImageClassifier(**RECIPE).save(path)
    return ImageClassifier.load(path).fit(frame)


def test_rows_without_a_usable_weight_are_skipped_and_named(frame, model):
    assert sorted(frame.where("id in (2, 3)").select("id", "weight").collect()) == [(NULL, None), (NEGATIVE, -1.0)]
    assert dict(model.summary.skippedRows) == {str(NULL): "the weight is null", str(NEGATIVE): "the weight is -1.0"}


def test_each_row_is_trained_on_validated_on_without_weight_or_skipped(frame, model):
    summary = model.summary
    assert summary.numSkipped == 2
    assert summary.numWeightless == frame.where("weight = 0").count() > 0
    assert summary.numValidationRows == frame.where("weight > 0 and held_out").count() > 0
    assert summary.numRows == frame.where("weight > 0 and not held_out").count()
    assert summary.numRows + summary.numValidationRows + summary.numWeightless + summary.numSkipped == frame.count()


def test_half_an_epoch_at_the_end_has_fewer_rows(model):
    rows = [row["rows"] for row in model.summary.history.collect()]
    assert len(rows) == 4
    assert rows[3] < rows[0] == model.summary.numRows
    assert model.summary.stoppedBy == "epochs"


def test_the_best_epoch_is_that_of_the_metric_asked_for(model):
    history = model.summary.history.collect()
    assert all(0 <= row["validationAuc"] <= 1 and row["validationTopKError"] is None for row in history)
    assert model.summary.bestEpoch == max(range(4), key=lambda epoch: history[epoch]["validationAuc"])


def test_balanced_classes_weigh_alike_by_the_weights_of_their_rows(frame, model):
    used = frame.where("weight >= 0 and not held_out")
    sums = {row["label"]: row["total"] for row in used.groupBy("label").agg(F.sum("weight").alias("total")).collect()}
    assert model.fitted.trained.task.class_weights == pytest.approx(
        [sum(sums.values()) / (2 * sums[label]) for label in (0, 1)]
    )


def test_a_saved_model_has_the_same_summary_and_predictions(frame, model, tmp_path):
    model.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.load(str(tmp_path / "model"))
    assert loaded.summary == model.summary
    assert loaded.transform(frame).collect() == model.transform(frame).collect()


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
