"""Pictures with any number of labels each."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MultilabelClassificationEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import ImageClassifier, ImageClassifierModel
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.stacking import StackedEnsemble

#: Labels of the pictures of each class, as SQL; those of class 1 are none.
SETS = {
    "array<string>": "CASE label WHEN 0 THEN array('left', 'far') WHEN 1 THEN array() WHEN 2 THEN array('right') "
    "ELSE array('right', 'far', 'far') END",
    "array<int>": "CASE label WHEN 0 THEN array(0, 5) WHEN 1 THEN array() WHEN 2 THEN array(2) ELSE array(2, 5, 5) END",
}
CLASSES = {"array<string>": ["far", "left", "right"], "array<int>": [0.0, 2.0, 5.0]}


def quick(**params: Any) -> ImageClassifier:
    return ImageClassifier(**{"epochs": 1, "batchSize": 16, "learningRate": 0.05, "idCol": "id", **params})


def labelled(rows: int, kind: str = "array<string>", seed: int = 0) -> DataFrame:
    frame = tensor_frame(start_session("local[2]"), rows, seed=seed)
    source = SETS["array<string>" if kind == "array<string>" else "array<int>"]
    return frame.withColumn("label", F.expr(source).cast(kind)).withColumn("held_out", F.col("id") % 5 == 0)


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    return labelled(80).cache()


@pytest.fixture(scope="module")
def fitted(frame: DataFrame) -> ImageClassifierModel:
    settings: dict[str, Any] = {"epochs": 8, "numWorkers": 2, "stoppingMetric": "subsetError"}
    return quick(**settings, validationIndicatorCol="held_out", overwriteWithBestModel=True).fit(frame)


def test_predictions_are_what_sparks_evaluator_takes(fitted, frame) -> None:
    scored = fitted.transform(frame).cache()
    added = scored.columns[len(frame.columns) :]
    assert added == ["rawPrediction", "probability", "prediction", "predictedLabel"]
    types = [scored.schema[name].dataType.simpleString() for name in added]
    assert types == ["vector", "vector", "array<double>", "array<string>"]
    rows = scored.collect()
    assert [row.id for row in rows] == list(range(80))
    for row in rows:
        odds, shares = row.rawPrediction.toArray(), row.probability.toArray()
        np.testing.assert_allclose(shares, 1 / (1 + np.exp(-odds)), rtol=1e-9)
        assert row.prediction == [float(place) for place in np.flatnonzero(shares > 0.5)]
        assert row.predictedLabel == [fitted.classes[int(place)] for place in row.prediction]
    assert [] in [row.prediction for row in rows]
    assert np.mean([set(row.predictedLabel) == set(row.label) for row in rows]) > 0.9
    numbered = F.transform("label", lambda label: F.array_position(F.lit(fitted.classes), label).cast("double") - 1)
    held_out = scored.where("held_out").withColumn("label", F.array_sort(F.array_distinct(numbered)))
    best = fitted.summary.records[fitted.summary.bestEpoch].validation
    # Spark compares arrays as they are ordered.
    accuracy = MultilabelClassificationEvaluator(metricName="subsetAccuracy").evaluate(held_out)
    assert 1 - accuracy == pytest.approx(best.subsetError)
    # Spark divides by the labels that occur in these rows: all of them.
    loss = MultilabelClassificationEvaluator(metricName="hammingLoss").evaluate(held_out)
    assert loss == pytest.approx(best.hammingLoss)


def test_the_summary_has_the_metrics_of_labels(fitted, frame) -> None:
    summary = fitted.summary
    assert (summary.confusionMatrix, summary.perClass) == (None, None)
    columns = summary.history.columns
    assert columns[:6] == ["epoch", "rows", "loss", "seconds", "rowsPerSecond", "learningRate"]
    assert columns[6:10] == ["logloss", "subsetError", "hammingLoss", "auc"]
    assert columns[10:] == ["validationLogloss", "validationSubsetError", "validationHammingLoss", "validationAuc"]
    rows = summary.perLabel.collect()
    assert [row.label for row in rows] == fitted.classes
    scored = fitted.transform(frame.where("held_out")).collect()
    for row in rows:
        actual = np.array([row.label in each.label for each in scored])
        predicted = np.array([row.label in each.predictedLabel for each in scored])
        hits = (actual & predicted).sum()
        assert row.rows == actual.sum()
        assert row.precision == pytest.approx(hits / predicted.sum())
        assert row.recall == pytest.approx(hits / actual.sum())
        assert row.f1 == pytest.approx(2 * hits / (actual.sum() + predicted.sum()))
        assert 0.5 < row.auc <= 1
    text = str(summary)
    assert "validation rows: logloss " in text
    assert "subsetError " in text
    assert "by class" not in text
    assert TrainingSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
    errors = [record.validation.subsetError for record in summary.records]
    assert summary.bestEpoch == int(np.argmin(errors))


def test_a_saved_model_predicts_the_same(fitted, frame, tmp_path) -> None:
    fitted.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.load(str(tmp_path / "model"))
    assert (loaded.classes, loaded.summary, loaded.weights) == (fitted.classes, fitted.summary, fitted.weights)
    assert loaded.transform(frame).collect() == fitted.transform(frame).collect()


@pytest.mark.parametrize("kind", ["array<double>", "array<bigint>"])
def test_labels_that_are_numbers_of_another_type_have_the_same_classes(kind: str) -> None:
    assert quick(epochs=0).fit(labelled(12, kind)).classes == CLASSES["array<int>"]


def test_labels_that_are_numbers_keep_their_values() -> None:
    frame = labelled(60, "array<int>")
    model = quick(epochs=6).fit(frame)
    assert model.classes == CLASSES["array<int>"]
    scored = model.transform(frame)
    assert "predictedLabel" not in scored.columns
    rows = scored.collect()
    assert {place for row in rows for place in row.prediction} <= set(model.classes)
    assert all(row.probability.size == 6 for row in rows)
    assert not any(row.probability[1] or row.probability[3] or row.probability[4] for row in rows)
    assert np.mean([set(row.prediction) == set(map(float, row.label)) for row in rows]) > 0.7


def test_the_same_rows_in_any_order_and_each_with_its_labels_turned_give_the_same_labels(frame) -> None:
    plain = quick(numWorkers=2).fit(frame)
    shuffled = quick(numWorkers=2).fit(frame.orderBy(F.rand(7)).repartition(5))
    assert shuffled.weights == plain.weights
    # A label that a row names twice counts once.
    assert plain.classes == CLASSES["array<string>"]
    again = quick(epochs=0).fit(frame.withColumn("label", F.array_distinct(F.array_sort("label"))))
    assert again.classes == plain.classes


def with_labels(frame: DataFrame, row: int, expression: str) -> DataFrame:
    return frame.withColumn("label", F.expr(f"CASE WHEN id = {row} THEN {expression} ELSE label END"))


def test_labels_that_can_not_be_used_are_named_or_counted(frame) -> None:
    bad = with_labels(frame, 7, "CAST(NULL AS array<string>)")
    with pytest.raises(DataError, match="row 7: the label is null"):
        quick().fit(bad)
    skipping = quick(handleInvalid="skip").fit(with_labels(bad, 9, "array('far', CAST(NULL AS string))"))
    assert dict(skipping.summary.skippedRows) == {"7": "the label is null", "9": "one of the labels is null"}
    assert skipping.weights == quick().fit(frame.where("id not in (7, 9)")).weights


def test_a_row_without_labels_is_trained_and_a_frame_without_any_is_refused(frame) -> None:
    empty = with_labels(frame, 0, "array()")
    assert quick().fit(empty).summary.numRows == 80
    with pytest.raises(DataError, match="all 80 labels are null"):
        quick().fit(frame.withColumn("label", F.expr("CAST(array() AS array<string>)")))


def test_a_label_that_only_rows_to_validate_on_have_is_learned_too(frame) -> None:
    validation = with_labels(frame.where("held_out"), 0, "array('elsewhere')")
    model = quick(validationDataFrame=validation).fit(frame.where("not held_out"))
    assert model.classes == ["elsewhere", *CLASSES["array<string>"]]
    assert model.summary.numValidationRows == 16
    for change, message in (
        (F.lit("far"), "'label' is string there and array<string> in the others"),
        (F.array(F.lit(1)), "'label' is array<int> there and array<string> in the others"),
    ):
        with pytest.raises(SchemaError, match=f"validationDataFrame doesn't fit .*{message}"):
            quick(validationDataFrame=validation.withColumn("label", change)).fit(frame)


def test_a_warm_start_keeps_the_labels(fitted, frame) -> None:
    again = quick(epochs=0, warmStart=fitted).fit(frame.where("id % 4 < 2"))
    assert (again.classes, again.weights) == (fitted.classes, fitted.weights)
    with pytest.raises(ConfigurationError, match=r"the rows have the label 'up', and .* tells 'far', 'left', 'right'"):
        quick(warmStart=fitted).fit(with_labels(frame, 7, "array('up')"))
    one = frame.withColumn("label", F.lit("far"))
    with pytest.raises(ConfigurationError, match="learned multilabel, and the label is to be learned as classific"):
        quick(warmStart=fitted).fit(one)


def test_stacks_take_learners_of_one_label_a_row(frame) -> None:
    ensemble = StackedEnsemble(learners={"net": quick(), "line": LogisticRegression()}, numFolds=2, idCol="id")
    with pytest.raises(
        SchemaError, match=r"labelCol='label' is array<string>; accepted: numbers \(0, 1, 2, ...\), str"
    ):
        ensemble.fit(frame)
