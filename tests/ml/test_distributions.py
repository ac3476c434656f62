"""Quantiles, ordered classes and calibrated probabilities, through Spark."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn import metrics

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.gpu.tasks import ClassificationTask, OrdinalTask, QuantilesTask
from sparkwater.gpu.tasks.curves import GAINS_COLUMNS, THRESHOLD_COLUMNS
from sparkwater.ml import ImageClassifier, ImageClassifierModel, ImageRegressor, ImageRegressorModel
from sparkwater.ml.reports.summary import TrainingSummary

COMMON: dict[str, Any] = {"batchSize": 16, "learningRate": 0.03, "validationIndicatorCol": "held_out", "idCol": "id"}
ORDER = ["small", "medium", "large", "huge"]


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    return tensor_frame(start_session("local[2]"), 100).withColumn("held_out", F.col("id") % 5 == 0).cache()


def same_after_json(summary: TrainingSummary) -> bool:
    return TrainingSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary


@pytest.fixture(scope="module")
def numbers(frame: DataFrame) -> DataFrame:
    return frame.withColumn("label", 100 + 10 * F.col("label") + F.col("id") % 3).cache()


@pytest.fixture(scope="module")
def quantiles(numbers: DataFrame) -> ImageRegressorModel:
    settings = {"distribution": "quantile", "quantiles": [0.1, 0.5, 0.9], "epochs": 8, "numWorkers": 2}
    return ImageRegressor(**COMMON, **settings).fit(numbers)


def test_quantiles_are_a_vector_that_rises_beside_the_median(quantiles, numbers, tmp_path) -> None:
    scored = quantiles.transform(numbers)
    assert scored.columns == [*numbers.columns, "prediction", "quantiles"]
    assert scored.schema["quantiles"].metadata == {"ml_attr": {"num_attrs": 3}}
    rows = scored.collect()
    levels = np.array([row["quantiles"].toArray() for row in rows])
    assert (np.diff(levels, axis=1) >= 0).all()
    assert [row.prediction for row in rows] == levels[:, 1].tolist()
    assert RegressionEvaluator(metricName="r2").evaluate(scored) > 0.7
    quantiles.save(str(tmp_path / "model"))
    loaded = ImageRegressorModel.load(str(tmp_path / "model"))
    assert loaded.fitted.trained.task == quantiles.fitted.trained.task
    assert isinstance(loaded.fitted.trained.task, QuantilesTask)
    assert loaded.setQuantilesCol("").transform(numbers).columns == [*numbers.columns, "prediction"]


def test_the_summary_says_how_the_quantiles_fit(quantiles, numbers) -> None:
    summary, task = quantiles.summary, quantiles.fitted.trained.task
    best = summary.records[summary.bestEpoch].validation
    held_out = quantiles.transform(numbers.where("held_out")).collect()
    labels, levels = (
        np.array([row.label for row in held_out]),
        np.array([row["quantiles"].toArray() for row in held_out]),
    )
    table = summary.perQuantile.collect()
    assert [row["quantile"] for row in table] == list(task.quantiles) == [0.1, 0.5, 0.9]
    for place, row in enumerate(table):
        loss = metrics.mean_pinball_loss(labels, levels[:, place], alpha=task.quantiles[place])
        assert row["pinballLoss"] == pytest.approx(loss, rel=1e-5)
        assert row["shareBelow"] == pytest.approx(np.mean(labels <= levels[:, place]))
    assert best.meanDeviance == pytest.approx(np.mean([row["pinballLoss"] for row in table]))
    assert best.coverage == pytest.approx(np.mean((labels >= levels[:, 0]) & (labels <= levels[:, 2])))
    assert same_after_json(summary)
    assert "  quantile  pinballLoss  shareBelow" in str(summary)
    assert (summary.thresholds, summary.gainsLift, summary.bestThreshold) == (None, None, None)


def test_a_warm_start_keeps_the_quantiles(quantiles, numbers) -> None:
    settings = {**COMMON, "distribution": "quantile", "epochs": 0, "warmStart": quantiles}
    again = ImageRegressor(**settings, quantiles=[0.1, 0.5, 0.9]).fit(numbers.where("id < 50"))
    assert again.fitted.trained.task == quantiles.fitted.trained.task
    with pytest.raises(ConfigurationError, match=r"learned quantiles=\[0.1, 0.5, 0.9\], and now they are \[0.2"):
        ImageRegressor(**settings, quantiles=[0.2, 0.5, 0.9]).fit(numbers)
    with pytest.raises(
        ConfigurationError, match=r"learned quantiles, and the label is to be learned as regression|it must be"
    ):
        ImageRegressor(**settings).fit(numbers)


@pytest.fixture(scope="module")
def sizes(frame: DataFrame) -> DataFrame:
    names = F.array(*(F.lit(name) for name in ORDER))
    return frame.withColumn("label", F.get(names, F.col("label"))).cache()


@pytest.fixture(scope="module")
def ordered(sizes: DataFrame) -> ImageClassifierModel:
    return ImageClassifier(**COMMON, ordinal=ORDER, epochs=8, numWorkers=2, stoppingMetric="meanRankError").fit(sizes)


def test_ordered_classes_have_the_columns_of_a_classifier(ordered, sizes, tmp_path) -> None:
    assert (ordered.classes, ordered.kind) == (ORDER, "classification")
    ordered.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.load(str(tmp_path / "model"))
    assert isinstance(loaded.fitted.trained.task, OrdinalTask)
    scored = loaded.transform(sizes)
    rows = scored.collect()
    shares = np.array([row.probability.toArray() for row in rows])
    assert shares.shape == (100, 4)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert [row.prediction for row in rows] == shares.argmax(axis=1).tolist()
    assert [row.predictedLabel for row in rows] == [ORDER[int(row.prediction)] for row in rows]
    np.testing.assert_allclose(np.exp([row.rawPrediction.toArray() for row in rows]), shares)
    numbered = scored.withColumn("label", F.array_position(F.array(*map(F.lit, ORDER)), F.col("label")) - F.lit(1.0))
    held_out, best = numbered.where("held_out"), ordered.summary.records[ordered.summary.bestEpoch].validation
    evaluate = lambda metric: MulticlassClassificationEvaluator(metricName=metric).evaluate(held_out)  # noqa: E731
    assert 1 - evaluate("accuracy") == pytest.approx(best.error)
    assert evaluate("logLoss") == pytest.approx(best.logloss, rel=1e-4)
    assert evaluate("accuracy") > 0.7
    assert ordered.summary.confusionMatrix.labels == tuple(ORDER)
    assert ordered.summary.resolved["ordinal"] == ORDER
    assert same_after_json(ordered.summary)


def test_an_order_that_does_not_fit_is_refused(ordered, sizes, frame) -> None:
    with pytest.raises(DataError, match=r"holds 'huge', which ordinal=\['small', 'medium', 'large'\] doesn't name"):
        ImageClassifier(ordinal=ORDER[:3]).fit(sizes)
    with pytest.raises(ConfigurationError, match=r"learned the order 'small', .* keeps the classes"):
        ImageClassifier(ordinal=ORDER[::-1], warmStart=ordered).fit(sizes)
    with pytest.raises(ConfigurationError, match="ordinal=True is for numbers; labelCol='label' is string"):
        ImageClassifier(ordinal=True).fit(sizes)
    for params in ({"classWeight": "balanced"}, {"labelSmoothing": 0.1}, {**COMMON, "calibrate": True}):
        with pytest.raises(ConfigurationError, match="doesn't go with ordinal=True; leave it unset"):
            ImageClassifier(ordinal=True, **params).fit(frame)
    with pytest.raises(
        ConfigurationError, match=r"stoppingMetric='auc'; accepted for labelCol='label', .*: logloss, error"
    ):
        ImageClassifier(ordinal=True, stoppingMetric="auc").fit(frame)


@pytest.fixture(scope="module")
def halves(frame: DataFrame) -> DataFrame:
    # Some labels are wrong, so that a network that is sure is wrong at times.
    return frame.withColumn("label", ((F.col("label") > 1) != (F.col("id") % 7 == 0)).cast("int")).cache()


@pytest.fixture(scope="module")
def calibrated(halves: DataFrame) -> ImageClassifierModel:
    return ImageClassifier(**COMMON, epochs=6, numWorkers=2, calibrate=True).fit(halves)


def test_calibrated_probabilities_are_those_of_the_validation_rows(calibrated, halves, tmp_path) -> None:
    calibrated.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.load(str(tmp_path / "model"))
    task, found = loaded.fitted.trained.task, calibrated.summary.resolved["calibration"]
    assert isinstance(task, ClassificationTask)
    assert task.temperature == found["temperature"] != 1
    loss = MulticlassClassificationEvaluator(metricName="logLoss").evaluate(loaded.transform(halves.where("held_out")))
    assert loss == pytest.approx(found["after"], rel=1e-4)
    best = calibrated.summary.records[calibrated.summary.bestEpoch].validation
    assert found["after"] < found["before"] == pytest.approx(best.logloss, rel=1e-6)
    assert "  calibration: {'temperature': " in str(calibrated.summary)
    assert same_after_json(calibrated.summary)


def test_the_summary_of_two_classes_has_thresholds_and_gains(calibrated) -> None:
    summary = calibrated.summary
    best = summary.records[summary.bestEpoch].validation
    thresholds, gains = summary.thresholds, summary.gainsLift
    assert thresholds.columns == list(THRESHOLD_COLUMNS)
    assert gains.columns == list(GAINS_COLUMNS)
    rows = thresholds.collect()
    assert max(row.f1 for row in rows) == pytest.approx(best.maxF1)
    assert summary.bestThreshold == next(row.threshold for row in rows if row.f1 == max(row.f1 for row in rows))
    assert gains.collect()[-1].dataFraction == 1
    assert f"F1 is highest, {best.maxF1:.4f}, for probabilities of the second class from" in str(summary)
    assert summary.perQuantile is None
