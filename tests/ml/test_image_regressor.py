"""Numbers from pictures: labels of all kinds, what Spark makes of the predictions, and trainings that go on."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch
from conftest import start_session
from digits import tensor_frame
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError, UnsafeLoadError
from sparkwater.gpu.tasks import RegressionTask
from sparkwater.ml import ImageClassifier, ImageClassifierModel, ImageRegressor, ImageRegressorModel
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.stacking import Folds, StackedEnsemble, cross_fit


def quick(**params: Any) -> ImageRegressor:
    return ImageRegressor(**{"epochs": 2, "batchSize": 16, "learningRate": 0.02, **params})


def numbers(rows: int, seed: int = 0) -> DataFrame:
    """Pictures with a number that their class decides: 100, 103.7, 107.4 or 111.1."""
    frame = tensor_frame(start_session("local[2]"), rows, seed=seed)
    label = 100 + F.col("label") * 3.7
    return frame.withColumn("label", label).withColumn("held_out", F.col("id") % 5 == 0)


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    return numbers(80).cache()


@pytest.fixture(scope="module")
def first(frame: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRegressorModel, str]:
    """A model that learned something; its folder has it saved, and its checkpoints."""
    folder = str(tmp_path_factory.mktemp("regressor"))
    settings: dict[str, Any] = {"epochs": 8, "validationIndicatorCol": "held_out", "stoppingMetric": "rmse"}
    model = quick(**settings, numWorkers=2, checkpointDir=f"{folder}/checkpoints").fit(frame)
    model.save(f"{folder}/model")
    return model, folder


def test_predictions_are_what_sparks_evaluators_take_and_metrics_are_theirs(first, frame) -> None:
    model, _ = first
    scored = model.transform(frame).cache()
    assert scored.columns == [*frame.columns, "prediction"]
    assert scored.schema["prediction"].dataType.simpleString() == "double"
    assert [row.id for row in scored.collect()] == list(range(80))
    held_out, best = scored.where("held_out"), model.summary.records[model.summary.bestEpoch].validation
    for metric in ("rmse", "mae", "r2"):
        value = RegressionEvaluator(metricName=metric).evaluate(held_out)
        assert value == pytest.approx(best[metric], rel=1e-5)
    assert best.meanDeviance == pytest.approx(best.rmse**2)
    assert best.r2 > 0.9
    assert RegressionEvaluator(metricName="r2").evaluate(model.transform(numbers(40, seed=1))) > 0.9


def test_the_summary_has_the_metrics_of_numbers(first) -> None:
    summary = first[0].summary
    history = summary.history
    metrics = ["rmse", "mae", "r2", "meanDeviance", "rmsle"]
    validation = ["validationRmse", "validationMae", "validationR2", "validationMeanDeviance", "validationRmsle"]
    assert history.columns == [
        "epoch", "rows", "loss", "seconds", "rowsPerSecond", "learningRate", *metrics, *validation
    ]  # fmt: skip
    rows = history.collect()
    assert [row["rmse"] for row in rows] == [record.training.rmse for record in summary.records]
    assert [row["validationR2"] for row in rows] == [record.validation.r2 for record in summary.records]
    assert (summary.confusionMatrix, summary.perClass, summary.perLabel, summary.labelScores) == (None, None, None, ())
    text = str(summary)
    assert "validation rows: rmse " in text
    assert "distribution: gaussian" in text
    assert "by class" not in text
    assert TrainingSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
    assert summary.resolved["labelCenter"] == pytest.approx(105.55)
    assert summary.resolved["labelScale"] == pytest.approx(3.7 * math.sqrt(1.25), rel=1e-5)


def test_a_saved_model_is_the_same_and_no_other_class_loads_it(first, frame, tmp_path) -> None:
    model, folder = first
    loaded = ImageRegressorModel.load(f"{folder}/model")
    assert (loaded.weights, loaded.summary, loaded.uid) == (model.weights, model.summary, model.uid)
    assert loaded.fitted.trained.task == model.fitted.trained.task
    assert loaded.transform(frame).collect() == model.transform(frame).collect()
    with pytest.raises(UnsafeLoadError, match="ImageRegressorModel"):
        ImageClassifierModel.load(f"{folder}/model")
    quick(distribution="quantile", quantileAlpha=0.9).save(str(tmp_path / "estimator"))
    again = ImageRegressor.load(str(tmp_path / "estimator"))
    assert (again.getDistribution(), again.getQuantileAlpha(), again.getHuberDelta()) == ("quantile", 0.9, 1.0)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_in_any_order_and_partitioning_give_the_same_bits(spark, workers: int) -> None:
    # Sums of these labels differ in their last bits by their order.
    rows = tensor_frame(spark, 90).withColumn("label", 1e6 + F.sqrt(F.col("id") * 0.1) / 3)
    rows = rows.withColumn("weight", 1 / (1.0 + F.col("id") % 7))
    values = [1 / (1 + i % 7) * (math.sqrt(i * 0.1) / 3) for i in range(90)]
    assert sum(values) != sum(reversed(values))
    other = rows.orderBy(F.rand(7)).coalesce(1) if workers == 1 else rows.orderBy(F.col("id").desc()).repartition(5)
    models = [quick(numWorkers=workers, weightCol="weight", epochs=1).fit(given) for given in (rows, other)]
    assert len({model.fitted.trained.task for model in models}) == 1
    assert len({model.weights for model in models}) == 1


@pytest.mark.parametrize(
    ("distribution", "params"),
    [
        ("laplace", {}),
        ("huber", {"huberDelta": 0.5}),
        ("poisson", {}),
        ("quantile", {"quantileAlpha": 0.9}),
        ("gamma", {}),
        ("tweedie", {"tweediePower": 1.3}),
    ],
)
def test_each_distribution_learns_through_spark(frame, distribution: str, params: dict[str, Any]) -> None:
    model = quick(distribution=distribution, **params, epochs=6, learningRate=0.05).fit(frame)
    task = model.fitted.trained.task
    assert task.distribution == model.summary.resolved["distribution"] == distribution
    assert (task.quantile, task.delta) == (params.get("quantileAlpha", 0.5), params.get("huberDelta", 1.0))
    assert task.power == params.get("tweediePower", 1.5)
    losses = model.summary.objectiveHistory
    assert losses[-1] < losses[0]
    values = [row.prediction for row in model.transform(frame).collect()]
    assert 85 < min(values) < max(values) < 125


@pytest.mark.parametrize("kind", ["int", "float", "decimal(10,2)", "long"])
def test_labels_of_any_number_type_are_numbers(frame, kind: str) -> None:
    model = quick(epochs=0).fit(frame.withColumn("label", F.col("label").cast(kind)))
    assert model.fitted.trained.task.center == pytest.approx(105.5, abs=0.6)


#: Labels that can't be used, a distribution that refuses each of them, and what is said.
UNUSABLE: list[tuple[float | None, str, str]] = [
    (None, "gaussian", "the label is null; accepted: finite numbers"),
    (float("nan"), "gaussian", "the label is nan; accepted: finite numbers"),
    (float("-inf"), "gaussian", "the label is -inf; accepted: finite numbers"),
    (float("-inf"), "laplace", "the label is -inf; accepted: finite numbers"),
    (-2.0, "poisson", "the label is -2.0; accepted: numbers from 0 up, for distribution='poisson'"),
    (0.0, "gamma", "the label is 0.0; accepted: numbers above 0, for distribution='gamma'"),
    (-2.0, "tweedie", "the label is -2.0; accepted: numbers from 0 up, for distribution='tweedie'"),
]


@pytest.mark.parametrize(("value", "distribution", "reason"), UNUSABLE)
def test_each_distribution_says_which_labels_it_takes(value, distribution: str, reason: str) -> None:
    task = RegressionTask(distribution)
    targets = task.encode(pa.array([value, 3.0], pa.float64()))
    assert targets.valid.tolist() == [False, True]
    assert task.refusal(value) == reason


def test_labels_that_can_not_be_used_are_named_or_counted(frame) -> None:
    for distribution in ("gaussian", "poisson"):
        refused = {7 + row: case for row, case in enumerate(UNUSABLE) if case[1] == distribution}
        label = F.col("label")
        for row, (value, _, _) in refused.items():
            label = F.when(F.col("id") == row, F.lit(value)).otherwise(label)
        bad = frame.withColumn("label", label)
        learner = quick(distribution=distribution, epochs=1, idCol="id")
        first, reason = min((row, case[2]) for row, case in refused.items())
        with pytest.raises(DataError, match=f"row {first}: {reason}"):
            learner.fit(bad.where(~F.col("id").isin([*refused.keys() - {first}])))
        skipping = learner.copy({learner.handleInvalid: "skip"}).fit(bad)
        assert (skipping.summary.numSkipped, skipping.summary.numRows) == (len(refused), 80 - len(refused))
        assert sorted(skipping.summary.skippedRows) == sorted((str(row), case[2]) for row, case in refused.items())
        if distribution != "gaussian":
            continue
        without = learner.fit(frame.where(~F.col("id").isin([*refused])))
        keeping = learner.copy({learner.handleInvalid: "keep"}).fit(bad)
        assert skipping.weights == keeping.weights == without.weights
        assert keeping.summary.numSkipped == len(refused)
        # Scoring reads no labels.
        assert keeping.transform(bad).where("prediction is not null").count() == 80


def test_labels_that_nothing_can_be_learned_from_are_refused(frame) -> None:
    with pytest.raises(DataError, match="none of 80 rows has a label to train on; accepted: finite numbers"):
        quick().fit(frame.withColumn("label", F.lit(None).cast("double")))
    with pytest.raises(DataError, match="all labels are 0; distribution='poisson' needs one above 0"):
        quick(distribution="poisson").fit(frame.withColumn("label", F.lit(0)))
    constant = quick(epochs=1).fit(frame.withColumn("label", F.lit(0.1)))
    assert constant.summary.records[0].training.r2 is None


def test_rows_to_validate_on_from_a_frame_of_their_own_are_those_of_a_column(frame) -> None:
    marked = quick(validationIndicatorCol="held_out", distribution="laplace").fit(frame)
    training, validation = frame.where("not held_out"), frame.where("held_out")
    apart = quick(validationDataFrame=validation, distribution="laplace").fit(training)
    assert apart.weights == marked.weights
    assert [record.validation for record in apart.summary.records] == [
        record.validation for record in marked.summary.records
    ]
    # Units are those of the rows to train on.
    far = quick(epochs=0.5, distribution="laplace", validationDataFrame=validation.withColumn("label", F.lit(1e6))).fit(
        training
    )
    assert far.fitted.trained.task == apart.fitted.trained.task
    with pytest.raises(SchemaError, match=r"validationDataFrame doesn't fit .*'label' is string; accepted: numbers"):
        quick(validationDataFrame=validation.withColumn("label", F.lit("1"))).fit(training)


def test_a_warm_start_predicts_what_the_first_model_predicts_and_goes_on(first) -> None:
    model, folder = first
    other = numbers(40, seed=5).withColumn("label", F.col("label") + 0.5).cache()
    classes, expected = tensor_frame(other.sparkSession, 8), model.transform(other).collect()
    for start in (model, f"{folder}/model", f"{folder}/checkpoints"):
        again = quick(epochs=0, warmStart=start).fit(other)
        assert again.weights == model.weights
        assert again.fitted.trained.task == model.fitted.trained.task
        assert again.transform(other).collect() == expected
    for start in (model, f"{folder}/checkpoints"):
        with pytest.raises(ConfigurationError, match="learned regression, and the label is to be learned as classif"):
            ImageClassifier(warmStart=start).fit(classes)
    with pytest.raises((ConfigurationError, CheckpointError, UnsafeLoadError), match="ImageRegressorModel"):
        ImageClassifier(warmStart=f"{folder}/model").fit(classes)
    warm = quick(warmStart=model, distribution="huber", learningRate=0.005, epochs=1).fit(other)
    assert warm.summary.objectiveHistory[0] < quick(epochs=1).fit(other).summary.objectiveHistory[0] / 2
    with pytest.raises(ConfigurationError, match="learned distribution='gaussian', and now it is 'poisson'"):
        quick(warmStart=model, distribution="poisson").fit(other)


def test_a_network_goes_on_neither_from_counts_nor_from_classes(frame) -> None:
    counts = quick(epochs=0, distribution="poisson").fit(frame)
    with pytest.raises(
        ConfigurationError, match="the model of warmStart learned distribution='poisson', and now it is 'gaussian'"
    ):
        quick(warmStart=counts).fit(frame)
    classes = ImageClassifier(epochs=0).fit(tensor_frame(frame.sparkSession, 8))
    with pytest.raises(
        ConfigurationError,
        match="the model of warmStart learned classification, and the label is to be learned as regression",
    ):
        quick(warmStart=classes).fit(frame)


def test_a_done_training_is_read_from_its_checkpoints(first, frame) -> None:
    model, folder = first
    settings: dict[str, Any] = {"epochs": 8, "validationIndicatorCol": "held_out", "stoppingMetric": "rmse"}
    again = quick(**settings, numWorkers=2, checkpointDir=f"{folder}/checkpoints").fit(frame)
    assert again.summary.resumedAt == 8 * 4
    assert again.weights == model.weights
    assert [record.validation for record in again.summary.records] == [
        record.validation for record in model.summary.records
    ]


def test_features_and_weights_of_a_regressor_serve_others(first, frame, tmp_path) -> None:
    model, _ = first
    deep = model.deepFeatures("fc1", outputCol="deep")
    line = LinearRegression(featuresCol="deep", regParam=0.1, maxIter=20)
    scored = Pipeline(stages=[deep, line]).fit(frame).transform(frame)
    assert RegressionEvaluator(metricName="r2").evaluate(scored) > 0.9
    path = tmp_path / "weights.safetensors"
    path.write_bytes(model.weights)
    frozen = ImageClassifier(epochs=1, weights=str(path), freeze="backbone").fit(tensor_frame(frame.sparkSession, 40))
    before, after = (safetensors.torch.load(each.weights) for each in (model, frozen))
    changed = {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc2"}
    assert after["fc2.weight"].shape[0] == 4
    back = quick(epochs=1, weights=str(path), freeze="backbone").fit(frame)
    assert torch.equal(safetensors.torch.load(back.weights)["fc1.weight"], before["fc1.weight"])


def test_it_is_chosen_by_cross_validation_in_a_pipeline(frame) -> None:
    network = quick()
    grid = ParamGridBuilder().addGrid(network.learningRate, [1e-6, 0.02]).build()
    chosen = CrossValidator(
        estimator=Pipeline(stages=[network]),
        estimatorParamMaps=grid,
        evaluator=RegressionEvaluator(),
        numFolds=2,
        seed=1,
    ).fit(frame)
    assert chosen.avgMetrics[1] < chosen.avgMetrics[0]
    assert isinstance(chosen.bestModel.stages[0], ImageRegressorModel)


def test_it_is_stacked_beside_a_line(frame) -> None:
    vectors = F.udf(lambda label: [float(label) % 7], "array<double>")("label")
    rows = frame.withColumn("number", array_to_vector(vectors)).cache()
    learners = {"net": quick(epochs=1), "line": LinearRegression(featuresCol="number")}
    model = StackedEnsemble(learners=learners, numFolds=2, idCol="id").fit(rows)
    assert model.kind == "regression"
    scored = model.transform(rows).cache()
    assert np.isfinite([row.prediction for row in scored.collect()]).all()
    (alone,) = model.fitted.bases[0].models
    assert RegressionEvaluator().evaluate(scored) < RegressionEvaluator().evaluate(alone.transform(rows))
    with pytest.raises(ConfigurationError, match=r"'classes' is a classifier and '\w+' a regressor"):
        cross_fit({**learners, "classes": ImageClassifier()}, rows, Folds(2), idCol="id")
