"""Learners of tables on raw columns: from fit to saved models, pipelines and stacks."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import start_session
from mixed_tables import INPUTS, mixed_frame
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.sql import functions as F

from sparkwater.ml import (
    DeepLearningClassifier,
    DeepLearningRegressor,
)

#: A tiny network that learns the small table in a second.
QUICK: dict[str, Any] = {"recipe": "mlp", "hidden": [16], "epochs": 12, "batchSize": 16, "learningRate": 0.02}


def classifier(**params: Any) -> DeepLearningClassifier:
    return DeepLearningClassifier(**{**QUICK, "labelCol": "kind", "inputCols": INPUTS, **params})


def regressor(**params: Any) -> DeepLearningRegressor:
    return DeepLearningRegressor(**{**QUICK, "labelCol": "price", "inputCols": INPUTS, **params})


@pytest.fixture(scope="module")
def frame():
    return mixed_frame(start_session("local[2]"), 160).cache()


@pytest.fixture(scope="module")
def held_out():
    """Other rows, some of a colour that no row to train on has."""
    return mixed_frame(start_session("local[2]"), 60, seed=1, colours=("red", "green", "blue", "violet")).cache()


@pytest.fixture(scope="module")
def classes(frame, tmp_path_factory):
    """A classifier of the rows whose id is no multiple of 4, and the folder of its checkpoints."""
    folder = str(tmp_path_factory.mktemp("table"))
    marked = frame.withColumn("later", F.col("id") % 4 == 0)
    return classifier(validationIndicatorCol="later", checkpointDir=folder).fit(marked), folder


@pytest.fixture(scope="module")
def numbers(frame):
    return regressor(ignoredCols=["id", "kind"]).fit(frame)


def test_classes_of_raw_rows_are_learned(classes, held_out) -> None:
    model, _ = classes
    scored = model.transform(held_out)
    assert scored.columns == [*held_out.columns, "rawPrediction", "probability", "prediction", "predictedLabel"]
    assert model.classes == ["big", "small"]
    right = scored.where("predictedLabel = kind").count()
    assert right / held_out.count() > 0.8
    assert model.getInputCols() == INPUTS


def test_numbers_of_raw_rows_are_learned(numbers, held_out) -> None:
    scored = numbers.transform(held_out)
    r2 = RegressionEvaluator(labelCol="price", metricName="r2").evaluate(scored)
    assert r2 > 0.7


def test_without_columns_all_are_read_that_have_no_other_part(frame) -> None:
    learner = DeepLearningRegressor(labelCol="price", idCol="id", ignoredCols=["kind"], epochs=0)
    assert learner.fit(frame.withColumn("prediction", F.lit(1.0))).getInputCols() == INPUTS
    weighted = learner.copy().setWeightCol("count").setIgnoredCols([])
    assert weighted.fit(frame.na.fill(1, ["count"])).getInputCols() == ["size", "colour", "flag", "day", "kind"]


def test_partitioning_changes_neither_weights_nor_predictions(classes, frame, held_out) -> None:
    model, _ = classes
    marked = frame.withColumn("later", F.col("id") % 4 == 0).repartition(5, "price")
    assert classifier(validationIndicatorCol="later").fit(marked).weights == model.weights
    apart = model.transform(held_out.repartition(7)).orderBy("id").collect()
    assert apart == model.transform(held_out).orderBy("id").collect()
