"""Learners of scikit-learn in cross-fitting and ensembles: all their folds are tasks of one Spark job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from conftest import start_session
from pyspark.ml.classification import NaiveBayes
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import table

from sparkwater.errors import ConfigurationError
from sparkwater.ml import SklearnClassifier
from sparkwater.ml.sklearn.estimators import seeded
from sparkwater.ml.sklearn.inputs import feature_columns, row_columns
from sparkwater.ml.sklearn.rows import KEY
from sparkwater.stacking import (
    Folds,
    GridSearch,
    LevelOneFrame,
    StackedEnsemble,
    StackedEnsembleModel,
    assign_folds,
    cross_fit,
)

ESTIMATORS = {"forest": RandomForestClassifier(4), "bayes": GaussianNB()}


@pytest.fixture(scope="module")
def wine() -> DataFrame:
    return assign_folds(table(start_session("local[2]"), "wine"), 2, idCol="id").cache()


def learners(**params: Any) -> dict[str, SklearnClassifier]:
    return {name: SklearnClassifier(estimator=one, **params) for name, one in ESTIMATORS.items()}


def level_one(found: LevelOneFrame) -> dict[int, list[list[float]]]:
    rows = found.frame.select("id", *found.names).collect()
    return {row.id: [list(np.atleast_1d(row[name])) for name in found.names] for row in rows}


def in_order(frame: DataFrame) -> list[Any]:
    """Return the rows in the order in which estimators learn them."""
    key = row_columns(frame, feature_columns(frame, "features", None), "label", None)[-1]
    return frame.select("*", key).orderBy(KEY).collect()


def test_level_one_is_scikit_learn_s_own_bit_for_bit_by_the_tasks_of_one_job(wine: DataFrame) -> None:
    context = wine.sparkSession.sparkContext
    context.setJobGroup("one job", "")
    try:
        found = cross_fit(learners(), wine, parallelism=1)
        tracker = context.statusTracker()
        stages = {stage for job in tracker.getJobIdsForGroup("one job") for stage in tracker.getJobInfo(job).stageIds}
    finally:
        context.setJobGroup("", "")
    tasks = [info.numTasks for info in map(tracker.getStageInfo, stages) if info and info.numCompletedTasks]
    assert 4 in tasks  # two learners, two folds
    rows = in_order(wine)
    features = np.array([row.features.toArray() for row in rows])
    labels, folds = np.array([int(row.label) for row in rows]), PredefinedSplit([row.fold for row in rows])
    values = level_one(found)
    for place, estimator in enumerate(ESTIMATORS.values()):
        expected = cross_val_predict(seeded(estimator, 42), features, labels, cv=folds, method="predict_proba")
        assert [values[row.id][place] for row in rows] == expected.tolist()
    assert [(fit.learner, fit.attempts) for fit in found.fits] == [("forest", 1)] * 2 + [("bayes", 1)] * 2
    assert [fit.rows for fit in found.fits[:2]] == [fold.rows.rows for fold in found.prepared.folds]
    moved = cross_fit(learners(), wine.orderBy(F.rand(3)).repartition(5))
    assert level_one(moved) == values
    moved.unpersist()
    found.unpersist()


def test_spans_of_time_strings_as_labels_and_other_learners_go_with_them(wine: DataFrame) -> None:
    frame = wine.drop("fold").withColumn("label", F.concat(F.lit("class "), F.col("label").cast("int")))
    frame = frame.withColumn("when", F.col("id") % 50)
    folds = Folds(2, timeCol="when", embargo=3.0)
    mixed = cross_fit({**learners(), "spark": NaiveBayes()}, frame, folds, keepModels=True)
    alone = {model.fold: model.model.trained.rows for model in mixed.models if model.learner == "bayes"}
    trained = {fold.value: mixed.prepared.training(fold).count() for fold in mixed.prepared.folds}
    assert alone == trained
    assert sum(trained.values()) < frame.count()
    values = level_one(mixed)
    for model in (one for one in mixed.models if one.learner == "bayes"):
        inside = mixed.prepared.scorable(next(fold for fold in mixed.prepared.folds if fold.value == model.fold))
        for row in model.model.transform(inside).select("id", "probability").collect():
            assert values[row.id][1] == pytest.approx(row.probability.toArray(), rel=1e-12)
    mixed.unpersist()


def test_a_new_call_goes_on_from_kept_fits_and_asks_consent_for_its_own(wine: DataFrame, tmp_path: Path) -> None:
    trees = SklearnClassifier(estimator=lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=2, verbose=-1))
    given = {"trees": trees, "bayes": learners()["bayes"]}
    first = cross_fit({"trees": trees}, wine, checkpointDir=str(tmp_path), keepModels=True)
    both = cross_fit(given, wine, checkpointDir=str(tmp_path), keepModels=True)
    assert [fit.attempts for fit in both.fits] == [0, 0, 1, 1]
    assert level_one(both.select(["trees"])) == level_one(first)
    assert len(both.models) == 4
    other = SklearnClassifier(estimator=lightgbm.LGBMClassifier(n_estimators=3, min_child_samples=2, verbose=-1))
    again = cross_fit({"trees": other}, wine, checkpointDir=str(tmp_path))
    assert [fit.attempts for fit in again.fits] == [1, 1]


def test_too_many_rows_and_estimators_that_fail_are_refused(wine: DataFrame) -> None:
    with pytest.raises(ConfigurationError, match="there are 178 rows and maxRows=100"):
        cross_fit(learners(maxRows=100), wine)
    failing = SklearnClassifier(estimator=make_pipeline(StandardScaler(with_std="x"), GaussianNB()))
    with pytest.raises(ConfigurationError, match=r"learner 'bad', fold 0: Pipeline can't learn these rows: \w*Error"):
        cross_fit({"bad": failing}, wine)


def test_a_learner_that_fails_leaves_the_fits_of_others_in_the_checkpoint(wine: DataFrame, tmp_path: Path) -> None:
    failing = SklearnClassifier(estimator=make_pipeline(StandardScaler(with_std="x"), GaussianNB()))
    bayes = learners()["bayes"]
    with pytest.raises(ConfigurationError, match="learner 'bad', fold 0"):
        cross_fit({"bad": failing, "bayes": bayes}, wine, checkpointDir=str(tmp_path), keepModels=True)
    again = cross_fit({"bayes": bayes}, wine, checkpointDir=str(tmp_path), keepModels=True)
    assert [fit.attempts for fit in again.fits] == [0, 0]


def test_weights_go_to_those_that_take_them_in_searches_too(wine: DataFrame) -> None:
    search = GridSearch(
        estimator=SklearnClassifier(estimator=KNeighborsClassifier()), space={"maxRows": [1000]}, weightCol="id"
    )
    learner, _ = search.check_fit(wine)  # nothing runs; it would refuse weights
    assert learner.stage.getWeightCol() is None


def test_an_ensemble_of_them_scores_and_is_saved(wine: DataFrame, tmp_path: Path) -> None:
    frame = wine.drop("fold")
    model = StackedEnsemble(learners=learners(), numFolds=2, idCol="id").fit(frame)
    assert set(model.baseModels) == set(ESTIMATORS)
    one = learners()["forest"].fit(frame)
    features = np.array([row.features.toArray() for row in frame.collect()])
    refitted = model.baseModels["forest"][0].estimator
    np.testing.assert_array_equal(refitted.predict_proba(features), one.estimator.predict_proba(features))
    model.save(str(tmp_path / "model"))
    loaded = StackedEnsembleModel.load(str(tmp_path / "model"))
    scored = loaded.transform(frame)
    assert scored.where("prediction = label").count() > 170
    assert scored.select("probability").collect() == model.transform(frame).select("probability").collect()
