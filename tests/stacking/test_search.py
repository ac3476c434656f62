"""Searches on real rows: a learner whose predictions are known, and Spark's own."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from pyspark.ml import Pipeline
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.regression import LinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from tables import MeanModel, MeanRegressor, depth, table

from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml import DeepLearningRegressor
from sparkwater.stacking import (
    GridSearch,
    LevelOneFrame,
    RandomSearch,
    SearchModel,
    StackedEnsemble,
    assign_folds,
    cross_fit,
)
from sparkwater.stacking.combiners.blocks import SMALLEST
from sparkwater.stacking.row_keys import ROW
from sparkwater.stacking.search.exploring import Explored, Rows
from sparkwater.stacking.search.finishing import finish
from sparkwater.stacking.search.records import Trial


class Shifted(MeanRegressor):
    """Predicts the mean label and a shift; fails for shifts below zero. Counts the fits of all its copies."""

    shift = Param(Params._dummy(), "shift", "what is added", TypeConverters.toFloat)

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"fits": 0}
        self._setDefault(shift=0.0)

    def copy(self, extra: Any = None) -> Any:
        return Params.copy(self, extra)

    def _fit(self, dataset: DataFrame) -> MeanModel:
        with self.lock:
            self.counts["fits"] += 1
        shift = self.getOrDefault(self.shift)
        if shift < 0:
            raise RuntimeError(f"a shift of {shift}\nand a long trace")
        mean = dataset.agg(F.avg(self.getLabelCol())).first()[0]
        return self._copyValues(MeanModel(mean=mean + shift))


@pytest.fixture(scope="module")
def rows() -> DataFrame:
    spark = start_session("local[2]")
    return assign_folds(table(spark, "diabetes", 60), 2, idCol="id").withColumn("weight", 1.0 + F.col("id") % 3).cache()


def expected_rmse(rows: DataFrame, shift: float) -> float:
    """Return the weighted out-of-fold error of `Shifted`."""
    data = rows.select("label", "fold", "weight").toPandas()
    folds = data.fold.to_numpy()
    means = np.array([data.label[folds != fold].mean() for fold in folds])
    return float(np.sqrt(np.average((means + shift - data.label) ** 2, weights=data.weight)))


@pytest.fixture(scope="module")
def searched(rows: DataFrame) -> tuple[Shifted, SearchModel]:
    learner = Shifted()
    search = GridSearch(
        estimator=learner, space={"shift": [60.0, 5.0, -1.0, 30.0]}, foldCol="fold", idCol="id", weightCol="weight"
    )
    return learner, search.fit(rows)


def test_trials_have_the_errors_of_a_plain_loop_on_the_same_folds(rows: DataFrame, searched: Any) -> None:
    found = {one["params"]["shift"]: one for one in searched[1].trials.collect()}
    for shift in (60.0, 5.0, 30.0):
        line = found[str(shift)]
        assert line.value == pytest.approx(expected_rmse(rows, shift))
        assert line.low < line.value < line.high
        assert (line.metric, line.error) == ("rmse", None)
        assert line.seconds > 0
    assert [one.trial for one in searched[1].trials.collect()] == [1, 3, 0, 2]
    assert searched[1].summary.folds == 2


def test_a_failed_trial_is_kept_with_its_error_and_the_others_go_on(searched: Any) -> None:
    failed = searched[1].summary.trials[2]
    assert (failed.value, failed.error) == (None, "RuntimeError: a shift of -1.0")
    assert "trial 2 failed: RuntimeError: a shift of -1.0" in str(searched[1].summary)
    assert failed.learner not in searched[1].levelOne.names


def test_the_model_is_the_best_trial_fitted_on_all_rows(rows: DataFrame, searched: Any) -> None:
    model = searched[1]
    mean = rows.agg(F.avg("label")).first()[0]
    assert model.summary.bestTrial.params == {"shift": 5.0}
    assert [row.prediction for row in model.transform(rows).collect()] == pytest.approx([mean + 5] * 60)
    assert model.kind == "regression"


def test_everything_tried_is_stacked_without_another_fit_of_the_folds(rows: DataFrame, searched: Any) -> None:
    learner, model = searched
    assert model.levelOne.names == tuple(one.learner for one in model.summary.trials if one.error is None)
    before = learner.counts["fits"]
    ensemble = model.ensemble()
    scores = {one.learner for one in ensemble.summary.scores}
    assert scores == {"ensemble", *model.levelOne.names}
    assert learner.counts["fits"] - before == len(ensemble.baseModels)  # once each, on all rows
    assert model.summary.best in ensemble.baseModels
    assert len(ensemble.baseModels) < len(model.levelOne.names)  # one of them has no weight
    best = model.ensemble("best")
    assert list(best.baseModels) == [model.summary.best]
    scored = [one.transform(rows).select("id", "prediction").collect() for one in (best, model)]
    assert scored[0] == scored[1]


def test_labels_of_strings_come_back_and_models_are_saved(rows: DataFrame, tmp_path) -> None:
    spark = rows.sparkSession
    named = table(spark, "wine", 80).withColumn("label", F.concat(F.lit("kind "), F.col("label").cast("int")))
    bayes = NaiveBayes()
    search = RandomSearch(estimator=bayes, space={bayes.smoothing: [0.5, 2.0]}, numFolds=2, idCol="id", seed=3)
    search.save(str(tmp_path / "search"))
    loaded = RandomSearch.load(str(tmp_path / "search"))
    assert (loaded.getNumFolds(), loaded.getSeed(), loaded.getMaxModels()) == (2, 3, 20)
    first, second = search.fit(named), loaded.fit(named)
    assert [one.params for one in first.summary.trials] == [one.params for one in second.summary.trials]
    assert [one.value for one in first.summary.trials] == [one.value for one in second.summary.trials]
    first.save(str(tmp_path / "model"))
    again = SearchModel.load(str(tmp_path / "model"))
    assert again.summary == first.summary
    scored = again.transform(named).select("id", "predictedLabel", "prediction").collect()
    assert scored == first.transform(named).select("id", "predictedLabel", "prediction").collect()
    assert all(row.predictedLabel == f"kind {row.prediction:.0f}" for row in scored)
    with pytest.raises(ConfigurationError, match="the out-of-fold predictions aren't there"):
        again.ensemble()
    with pytest.raises(SchemaError, match="'predictedLabel' already"):
        again.transform(named.withColumn("predictedLabel", F.lit("")))


def test_probabilities_of_what_a_search_stacks_are_calibrated_where_that_is_asked_for(searched: Any) -> None:
    wine = table(start_session("local[2]"), "wine", 80)
    model = GridSearch(estimator=NaiveBayes(), space={"smoothing": [0.5, 2.0]}, numFolds=2, idCol="id").fit(wine)
    plain, calibrated = (model.ensemble("best", calibration=how) for how in ("none", "temperature"))
    assert (plain.summary.calibration, calibrated.summary.calibration) == ("", "temperature")
    first, second = (
        [row.probability.toArray() for row in one.transform(wine).orderBy("id").collect()]
        for one in (plain, calibrated)
    )
    (weight,) = calibrated.fitted.calibration.weights
    raised = np.maximum(first, SMALLEST) ** weight  # a temperature divides the logarithms
    np.testing.assert_allclose(second, raised / raised.sum(axis=1, keepdims=True), rtol=1e-6, atol=1e-12)
    with pytest.raises(ConfigurationError, match="calibration='isotonic' is for probabilities; regression has none"):
        searched[1].ensemble(calibration="isotonic")
    with pytest.raises(ConfigurationError, match="calibration='platt'; accepted: none, temperature"):
        searched[1].ensemble(calibration="platt")


def test_many_trials_make_a_plan_as_deep_as_few_do(rows: DataFrame) -> None:
    base = cross_fit({"mean": MeanRegressor()}, rows, "fold", idCol="id")
    (learner,), by_fold = base.learners, base.metrics.byFold["mean"]

    def trial(number: int) -> LevelOneFrame:
        name = f"shifted-{number}"
        values = base.values.select(ROW, F.transform("mean", lambda value: value + number).alias(name))
        metrics = replace(base.metrics, byFold={name: by_fold})
        return replace(base, learners=(replace(learner, name=name),), values=values, fits=(), metrics=metrics)

    depths = []
    for count in (3, 60):
        frames = [trial(number) for number in range(count)]
        # The last one ran beside the trial after which the search ended.
        trials = [Trial(number, f"shifted-{number}", {}, 1.0) for number in range(count - 1)]
        explored = Explored(trials, frames)
        found = finish(Rows(base.prepared), explored)
        assert found.names == tuple(found.metrics.byFold) == tuple(one.learner for one in trials)
        values = found.values.collect()
        assert len(values) == 60
        assert all(row[f"shifted-{n}"][0] == row["shifted-0"][0] + n for row in values for n in range(count - 1))
        depths.append(depth(found.values))
        assert found.values.is_cached
        explored.unpersist()  # as a search does whose last fits fail
        assert not found.values.is_cached
    assert depths[0] == depths[1]
    base.unpersist()


def test_a_search_goes_on_from_finished_fits(rows: DataFrame, tmp_path) -> None:
    class Counted(LinearRegression):
        fits: dict[str, int] = {"fits": 0}
        lock = threading.Lock()

        def _fit(self, dataset: DataFrame) -> Any:
            with self.lock:
                self.fits["fits"] += 1
            return super()._fit(dataset)

    def search(values: list[float]) -> SearchModel:
        learner = Counted(maxIter=1, solver="normal")
        return GridSearch(
            estimator=learner, space={"regParam": values}, foldCol="fold", idCol="id", checkpointDir=str(tmp_path)
        ).fit(rows)

    first = search([0.1])
    assert Counted.fits["fits"] == 3
    more = search([10.0, 0.1])  # on from two fits, and one on all rows if it is the best
    assert Counted.fits["fits"] == (5 if more.summary.bestTrial.number == 1 else 6)
    assert more.summary.trials[1].value == first.summary.trials[0].value


def test_when_all_fail_the_first_reason_is_the_error(rows: DataFrame) -> None:
    search = GridSearch(estimator=Shifted(), space={"shift": [-3.0, -2.0]}, foldCol="fold", idCol="id")
    with pytest.raises(ConfigurationError, match=r"none of the 2 trial\(s\) .*the first: RuntimeError: a shift of -3"):
        search.fit(rows)


def test_time_that_is_too_short_leaves_the_first_trial(rows: DataFrame) -> None:
    search = GridSearch(
        estimator=Shifted(), space={"shift": [1.0, 2.0, 3.0]}, foldCol="fold", idCol="id", maxRuntimeSecs=0.001
    )
    model = search.fit(rows)
    assert [one.params["shift"] for one in model.summary.trials] == [1.0]
    assert model.summary.ended == "no more trials fit into maxRuntimeSecs=0.001"


def test_what_ran_beside_the_last_trial_doesn_t_count(rows: DataFrame) -> None:
    search = GridSearch(
        estimator=Shifted(), space={"shift": [40.0, 20.0, 20.5, 0.0]}, foldCol="fold", idCol="id", stoppingRounds=1,
        parallelism=8,
    )  # fmt: skip
    model = search.fit(rows)
    assert [one.params["shift"] for one in model.summary.trials] == [40.0, 20.0, 20.5]
    assert len(model.levelOne.names) == 3
    assert model.summary.bestTrial.params == {"shift": 20.0}


def test_a_search_is_a_learner_of_an_ensemble(rows: DataFrame) -> None:
    inner = GridSearch(estimator=Shifted(), space={"shift": [0.0, 50.0]}, numFolds=2, idCol="id")
    learners = {"search": Pipeline(stages=[inner]), "shifted": Shifted()}
    model = StackedEnsemble(learners=learners, numFolds=2, idCol="id", metaLearner="best").fit(rows.drop("fold"))
    values = {one.learner: one.value for one in model.summary.scores}
    assert values["search"] == pytest.approx(values["shifted"])
    assert all(one.models[0].stages[-1].levelOne is None for one in model.fitted.bases if one.name == "search")


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (lambda: GridSearch(), "estimator is NoneType; accepted: a Spark ML Estimator"),
        (lambda: GridSearch(estimator=Shifted()), "the space is empty"),
        (lambda: GridSearch(estimator=Shifted(), space={"depth": [1]}), "'depth', which is not there"),
        (lambda: GridSearch(estimator=Shifted(), space={"shift": [1]}, numFolds=1), "numFolds=1"),
        (lambda: GridSearch(estimator=Shifted(), space={"shift": [1]}, maxModels=-1), "maxModels=-1"),
        (lambda: GridSearch(estimator=Shifted(), space={"shift": [1]}, parallelism=0), "parallelism=0"),
    ],
)
def test_refusals_come_before_any_job(rows: DataFrame, search: Any, message: str) -> None:
    group = "refusals of searches"
    rows.sparkSession.sparkContext.setJobGroup(group, "")
    try:
        with pytest.raises(ConfigurationError, match=message):
            search().fit(rows)
        assert not rows.sparkSession.sparkContext.statusTracker().getJobIdsForGroup(group)
    finally:
        rows.sparkSession.sparkContext.setLocalProperty("spark.jobGroup.id", None)


def test_a_distribution_needs_a_search_that_ends() -> None:
    from scipy.stats import uniform

    space = {"shift": uniform(0, 1)}
    for search, message in (
        (GridSearch(estimator=Shifted(), space=space), "gives shift a distribution; a grid takes lists"),
        (RandomSearch(estimator=Shifted(), space=space, maxModels=0), "the search would never end"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            search.fit(start_session("local[2]").createDataFrame([(1.0,)], "label double"))


def test_columns_that_say_where_a_row_goes_are_no_features(rows: DataFrame) -> None:
    network = DeepLearningRegressor(labelCol="label")
    search = GridSearch(estimator=network, space={"epochs": [1]}, foldCol="fold", idCol="id", weightCol="weight")
    learner, _ = search.check_fit(rows)  # nothing runs
    assert set(learner.stage.getIgnoredCols()) == {"fold", "id", "weight"}
