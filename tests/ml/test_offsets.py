"""Offsets through Spark: rates of counts, log-odds of two classes, scoring, files and folds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.errors import PySparkException
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.conversions import from_numpy
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import ImageClassifier, ImageRegressor, ImageRegressorModel
from sparkwater.stacking import Folds, cross_fit

ROWS = 400

SETTINGS: dict[str, Any] = {
    "distribution": "poisson", "network": "mlp", "networkArguments": {"hidden": [16]}, "optimizer": "adam",
    "learningRate": 0.02, "batchSize": 40, "epochs": 12,
}  # fmt: skip


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    """Counts of events in exposures that differ by a factor of about 1,000, at rates that two numbers decide."""
    generator = np.random.default_rng(3)
    numbers = generator.normal(size=(ROWS, 2)).astype(np.float32)
    rates = np.exp(0.5 + 0.8 * numbers[:, 0].astype(float) - 0.5 * numbers[:, 1])
    exposures = np.exp(generator.normal(0, 1.5, ROWS))
    columns = {
        "id": np.arange(ROWS),
        "features": numbers,
        "label": generator.poisson(rates * exposures).astype(float),
        "rate": rates,
        "exposure": np.log(exposures),
        "none": np.zeros(ROWS),
    }
    rows = from_numpy(start_session("local[2]"), columns)
    return rows.withColumn("held_out", F.col("id") % 4 == 0).cache()


@pytest.fixture(scope="module")
def model(frame: DataFrame) -> ImageRegressorModel:
    learner = ImageRegressor(
        **SETTINGS, offsetCol="exposure", validationIndicatorCol="held_out", numWorkers=2, idCol="id"
    )
    return learner.fit(frame)


def error_of_rates(model: ImageRegressorModel, frame: DataFrame) -> float:
    """Return the root mean square of the logarithms of predicted rates over true ones, for an exposure of 1."""
    alone = model.transform(frame.withColumn("exposure", F.lit(0)))
    return alone.select(F.sqrt(F.avg(F.log(F.col("prediction") / F.col("rate")) ** 2))).first()[0]


def test_rates_are_found_beside_exposures_and_not_without_them(model, frame) -> None:
    with_exposures = error_of_rates(model, frame)
    without = error_of_rates(ImageRegressor(**SETTINGS).fit(frame), frame)
    assert with_exposures < 0.25, with_exposures
    assert without > 3 * with_exposures, (with_exposures, without)
    # The mean that the network begins with is that of events by exposure, as without any network.
    counts, exposures = frame.where("not held_out").agg(F.sum("label"), F.sum(F.exp("exposure"))).first()
    assert model.summary.resolved["labelCenter"] == pytest.approx(math.log(counts / exposures), rel=1e-5)


def test_evaluators_find_the_metrics_of_the_rows_to_validate_on(model, frame) -> None:
    best = model.summary.records[model.summary.bestEpoch].validation
    found = RegressionEvaluator(metricName="mae").evaluate(model.transform(frame.where("held_out")))
    assert found == pytest.approx(best.mae, rel=1e-5)


def test_predictions_are_multiplied_by_the_exponentials_of_offsets(model, frame) -> None:
    scored = model.transform(frame).select("id", "exposure", F.col("prediction").alias("beside"))
    alone = model.transform(frame.withColumn("exposure", F.lit(0))).select("id", "prediction")
    for row in scored.join(alone, "id").collect():
        assert row.beside == pytest.approx(row.prediction * math.exp(row.exposure), rel=1e-9)


def test_a_saved_model_scores_by_its_offsets_and_asks_for_them(model, frame, tmp_path) -> None:
    model.save(str(tmp_path / "model"))
    loaded = ImageRegressorModel.load(str(tmp_path / "model"))
    assert loaded.getOffsetCol() == "exposure"
    assert loaded.transform(frame).collect() == model.transform(frame).collect()
    with pytest.raises(SchemaError, match="there is no column 'exposure'; the columns are"):
        loaded.transform(frame.drop("exposure"))
    with pytest.raises(SchemaError, match="offsetCol='exposure' is string; accepted: numbers"):
        loaded.transform(frame.withColumn("exposure", F.lit("1")))


def test_rows_without_a_usable_offset_are_scored_as_asked(model, frame) -> None:
    unusable = F.when(F.col("id") == 7, None).when(F.col("id") == 8, math.nan).when(F.col("id") == 9, -math.inf)
    bad = frame.withColumn("exposure", unusable.otherwise(F.col("exposure"))).coalesce(1)
    with pytest.raises(PySparkException, match="invalid row 9: the offset is -Infinity"):
        model.transform(bad.where(F.col("id") == 9)).collect()
    keeping, skipping = (
        model.copy({model.handleInvalid: mode}).transform(bad).select("id", "prediction").collect()
        for mode in ("keep", "skip")
    )
    assert [row.id for row in keeping if row.prediction is None] == [7, 8, 9]
    whole = {row.id: row.prediction for row in model.transform(frame).collect() if row.id not in (7, 8, 9)}
    assert {row.id: row.prediction for row in skipping} == pytest.approx(whole, rel=1e-6)
    assert [row for row in keeping if row.id in whole] == skipping


def test_a_row_without_a_usable_offset_is_no_row_to_train_on(frame) -> None:
    bad = frame.withColumn("exposure", F.when(F.col("id") != 7, F.col("exposure")))
    learner = ImageRegressor(**{**SETTINGS, "epochs": 1}, offsetCol="exposure", idCol="id")
    with pytest.raises(DataError, match="row 7: the offset is null"):
        learner.fit(bad)
    skipping = learner.copy({learner.handleInvalid: "skip"}).fit(bad)
    assert skipping.summary.skippedRows == (("7", "the offset is null"),)
    others = learner.fit(frame.where("id != 7"))
    assert skipping.weights == others.weights
    assert skipping.summary.resolved["labelCenter"] == others.summary.resolved["labelCenter"]


def test_offsets_of_0_are_none_and_those_of_a_frame_to_validate_on_are_its_own(frame) -> None:
    settings = {**SETTINGS, "distribution": "gaussian", "epochs": 1}
    plain, zeros = (ImageRegressor(**settings, offsetCol=offset).fit(frame) for offset in (None, "none"))
    assert zeros.fitted.trained.task == plain.fitted.trained.task
    assert zeros.summary.objectiveHistory == pytest.approx(plain.summary.objectiveHistory, rel=1e-5)
    marked = ImageRegressor(**settings, offsetCol="exposure", validationIndicatorCol="held_out").fit(frame)
    training, validation = frame.where("not held_out"), frame.where("held_out")
    apart = ImageRegressor(**settings, offsetCol="exposure", validationDataFrame=validation).fit(training)
    assert apart.weights == marked.weights
    assert apart.summary.records[0].validation == marked.summary.records[0].validation
    with pytest.raises(SchemaError, match=r"validationDataFrame doesn't fit .*: there is no column 'exposure'"):
        ImageRegressor(**settings, offsetCol="exposure", validationDataFrame=validation.drop("exposure")).fit(training)


def test_folds_are_trained_and_scored_with_their_offsets(frame) -> None:
    learner = ImageRegressor(**{**SETTINGS, "epochs": 6}, offsetCol="exposure")
    level_one = cross_fit({"net": learner}, frame.select("id", "features", "label", "exposure"), Folds(2), idCol="id")
    near, far = (
        level_one.frame.where(condition).agg(F.avg("net")).first()[0] for condition in ("exposure < -1", "exposure > 1")
    )
    assert far > 8 * near


def test_offsets_of_two_classes_are_log_odds_and_of_more_are_refused(spark) -> None:
    frame = tensor_frame(spark, 24, classes=2).withColumn("known", F.col("id") - 10.0)
    model = ImageClassifier(epochs=0, offsetCol="known").fit(frame)
    plain = model.copy()
    plain.clear(plain.offsetCol)
    scored = model.transform(frame).collect()
    odds = [
        [row.rawPrediction[1] - row.rawPrediction[0] for row in rows]
        for rows in (scored, plain.transform(frame).collect())
    ]
    assert odds[0] == pytest.approx([value + i - 10 for i, value in enumerate(odds[1])], abs=1e-5)
    for row in scored:
        assert row.probability[1] == pytest.approx(1 / (1 + math.exp(row.rawPrediction[0] - row.rawPrediction[1])))
        assert row.prediction == (row.probability[1] > 0.5)
    more = tensor_frame(spark, 8).withColumn("known", F.lit(1.0))
    with pytest.raises(
        ConfigurationError, match="offsetCol='known': offsets are added to the log-odds of 2 classes; there are 4"
    ):
        ImageClassifier(epochs=0, offsetCol="known").fit(more)
    four = ImageClassifier(epochs=0).fit(more)
    with pytest.raises(ConfigurationError, match="offsetCol='known': offsets are added to the log-odds of 2 classes"):
        four.copy({four.offsetCol: "known"}).transform(more)


def test_rows_that_are_streamed_take_no_offsets(spark) -> None:
    with pytest.raises(ConfigurationError, match="rows that are streamed take no weightCol, offsetCol, "):
        ImageRegressor(offsetCol="known").fitPetastorm("file:///nowhere")
