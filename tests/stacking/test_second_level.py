"""A second level: no label reaches its own prediction, and it is taken only where it gains more than its interval."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from pyspark.errors import IllegalArgumentException
from pyspark.ml.classification import DecisionTreeClassifier, NaiveBayes
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import DecisionTreeRegressor, LinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.dummy import DummyRegressor
from tables import MeanRegressor

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import SklearnRegressor
from sparkwater.stacking import StackedEnsemble, StackedEnsembleModel, cross_fit
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.prepared import FOLD, FoldRows
from sparkwater.stacking.level_one.records import FitRecord, Scored
from sparkwater.stacking.level_one.values import LEARNER, LEFT_OUT, VALUES
from sparkwater.stacking.row_keys import ROW
from sparkwater.stacking.scores import Levels
from sparkwater.stacking.second_level import cross_fit_second, find_second, outside


@pytest.fixture(scope="module")
def groups() -> DataFrame:
    """Rows of three folds whose labels differ by fold, so that the labels of a fold would be worth knowing."""
    spark = start_session("local[2]")
    return spark.range(30).selectExpr("id", "id % 3 as part", "100.0D * (id % 3) * (id % 3) + id as label").coalesce(1)


def expected_of(rows: list[Any], fold: int) -> float:
    """Return what a line over the means of others gives for a fold that none of its parts saw."""
    outside = [row for row in rows if row.part != fold]
    others = sorted({row.part for row in outside})
    means = {part: np.mean([row.label for row in outside if row.part != part]) for part in others}
    line = np.polyfit([means[row.part] for row in outside], [row.label for row in outside], 1)
    return float(np.polyval(line, np.mean([row.label for row in outside])))


def test_a_prediction_of_the_second_level_follows_from_other_folds_alone(groups: DataFrame, tmp_path: Path) -> None:
    learner = MeanRegressor()
    level_one = cross_fit({"mean": learner}, groups, "part", checkpointDir=str(tmp_path))
    second = find_second({"line": LinearRegression()}, "regression", ("mean",))
    found = cross_fit_second(level_one, second, (), 2)
    assert learner.fits == 3 + 3  # once without each two folds
    rows = found.frame.select("part", "label", "line").collect()
    for fold in range(3):
        (value,) = {round(row.line, 6) for row in rows if row.part == fold}
        assert value == pytest.approx(expected_of(rows, fold))
        # On level one as it is, a line tells a fold's mean exactly: S_k is S less the sum of all others.
        assert abs(value - np.mean([row.label for row in rows if row.part == fold])) > 50
    found.values.unpersist()
    again = cross_fit_second(level_one, second, (), 2)  # on from finished fits of the first level
    assert learner.fits == 6
    assert sorted(again.frame.select("id", "line").collect()) == sorted(found.frame.select("id", "line").collect())
    two = replace(level_one, prepared=replace(level_one.prepared, folds=level_one.prepared.folds[:2]))
    with pytest.raises(DataError, match="holds 2 folds; a second level needs 3 or more"):
        cross_fit_second(two, second, (), 2)


def test_fits_of_all_pairs_of_folds_in_one_job_leave_out_both(groups: DataFrame, tmp_path: Path) -> None:
    """Of four folds a row has three predictions, of which each fold's second level must take its own."""
    rows = groups.withColumn("part", F.concat(F.lit("fold "), F.col("id") % 4))
    rows = rows.withColumn("features", array_to_vector(F.array(F.col("id").cast("double"))))
    learners = {"mean": SklearnRegressor(estimator=DummyRegressor())}
    level_one = cross_fit(learners, rows, "part", checkpointDir=str(tmp_path))
    second = find_second({"line": LinearRegression()}, "regression", ("mean",))
    found = cross_fit_second(level_one, second, (), 2)
    lines = {row.part: row.line for row in found.frame.select("part", "line").collect()}
    truth = groups.select((F.col("id") % 4).alias("part"), "label").collect()
    assert lines == {f"fold {fold}": pytest.approx(expected_of(truth, fold)) for fold in range(4)}
    assert len(list(tmp_path.glob("*/pairs/mean-*/*/fit.json"))) == 6
    for one in (found, level_one):
        one.unpersist()


def test_predictions_outside_of_a_fold_are_read_from_its_own_pairs_alone(groups: DataFrame) -> None:
    """Else plans would grow with the square of the folds: each of n folds has n - 1 of the n (n - 1) / 2 pairs."""
    spark = groups.sparkSession
    rows = prepare(groups.withColumn("part", F.col("id") % 6), "part", "regression", "label")
    pairs = rows.in_pairs()

    def scored(pair: FoldRows) -> Scored:
        values = spark.range(2).select(
            F.lit(0).alias(ROW),
            F.element_at(F.array(*(F.lit(one.value) for one in pair.alone)), F.col("id").cast("int") + 1).alias(FOLD),
            F.array(F.lit(1.0)).alias(VALUES),
            F.lit("mean").alias(LEARNER),
            F.lit(str(pair.value)).alias(LEFT_OUT),
        )
        return Scored((FitRecord("mean", str(pair.value), 2, 0.0, 0.0, 1),), values)

    found = outside(rows.folds[2], pairs, [scored(pair) for pair in pairs.folds], ["mean"])
    assert len(pairs.folds) == 15
    assert found._jdf.queryExecution().analyzed().toString().count("Range (") == 5
    rows.frame.unpersist()


def test_a_class_that_is_in_two_folds_only_is_refused(groups: DataFrame) -> None:
    rows = groups.selectExpr("id", "part", "if(id < 2, 'rare', if(id % 2 = 0, 'a', 'b')) as label", "id % 5 as x")
    rows = rows.withColumn("features", array_to_vector(F.array(F.col("x").cast("double"))))
    second = {"tree": DecisionTreeClassifier()}
    asked = StackedEnsemble(learners={"bayes": NaiveBayes()}, foldCol="part", idCol="id", secondLevelLearners=second)
    with pytest.raises(DataError, match="the rows of 'rare' are in 2 folds only; a second level leaves out two"):
        asked.fit(rows)


def test_predictions_are_freed_where_another_learner_fails(groups: DataFrame) -> None:
    level_one = cross_fit({"mean": MeanRegressor()}, groups, "part")
    broken = LinearRegression(loss="huber", elasticNetParam=0.5)  # which Spark refuses when it is fitted
    second = find_second({"line": LinearRegression(), "broken": broken}, "regression", ("mean",))
    persistent = groups.sparkSession.sparkContext._jsc.getPersistentRDDs
    before = persistent().size()
    with pytest.raises(IllegalArgumentException, match="huber"):
        cross_fit_second(level_one, second, (), 1)
    assert persistent().size() == before
    level_one.unpersist()


@pytest.fixture(scope="module")
def waves() -> DataFrame:
    """Rows whose label is a wave of their only feature, which no line follows."""
    spark = start_session("local[2]")
    rows = spark.range(90).selectExpr("id", "id / 90.0D as x", "id % 3 as part")
    label = F.sin(F.col("x") * 12) + 0.1 * F.cos(F.col("id") * 7.0)
    return rows.withColumns({"features": array_to_vector(F.array("x")), "label": label}).coalesce(1).cache()


def ensemble(**params: Any) -> StackedEnsemble:
    return StackedEnsemble(learners={"linear": LinearRegression()}, foldCol="part", idCol="id", **params)


def test_a_second_level_that_helps_is_taken_scored_and_saved(waves: DataFrame, tmp_path: Path) -> None:
    asked = ensemble(secondLevelLearners={"tree": DecisionTreeRegressor(maxDepth=5)}, secondLevelCols=["x"])
    asked.save(str(tmp_path / "ensemble"))
    loaded = StackedEnsemble.load(str(tmp_path / "ensemble"))
    assert loaded.getSecondLevelLearners()["tree"].getMaxDepth() == 5
    assert list(loaded.copy({loaded.seed: 1}).getSecondLevelLearners()) == ["tree"]
    model = loaded.fit(waves)
    summary = model.summary
    assert summary.levels is not None
    assert summary.levels.taken
    assert "second level: taken (rmse" in str(summary)
    assert [score.learner for score in summary.scores if score.value < 0.5] == ["tree", "ensemble"]
    assert summary.levels.one == pytest.approx(next(one.value for one in summary.scores if one.learner == "linear"))
    assert summary.skipped == ("linear",)  # which the tree reads all the same
    line, tree = model.baseModels["linear"][0], model.baseModels["tree"][0]
    assert tree.numFeatures == 2
    first = [row.prediction for row in line.transform(waves).orderBy("id").collect()]
    expected = [tree.predict(Vectors.dense([value, row / 90])) for row, value in enumerate(first)]
    scored = model.transform(waves.drop("label"))
    assert [row.prediction for row in scored.orderBy("id").collect()] == pytest.approx(expected, rel=1e-12)
    model.save(str(tmp_path / "model"))
    again = StackedEnsembleModel.load(str(tmp_path / "model"))
    assert again.summary == summary
    assert again.transform(waves).select("prediction").collect() == scored.select("prediction").collect()


def test_a_second_level_that_is_of_no_use_is_not_taken(waves: DataFrame) -> None:
    model = ensemble(secondLevelLearners={"stump": DecisionTreeRegressor(maxDepth=0)}).fit(waves)
    assert model.summary.levels is not None
    assert not model.summary.levels.taken
    assert "second level: not taken, as it gains less than its interval" in str(model.summary)
    assert {one.learner for one in model.summary.scores} == {"linear", "stump", "ensemble"}
    assert list(model.baseModels) == ["linear"]
    assert model.summary.learners == ("linear",)


@pytest.mark.parametrize(("high", "taken"), [(-1e-9, True), (0.0, False), (0.1, False)])
def test_a_gain_counts_beyond_its_interval_alone(high: float, taken: bool) -> None:
    assert Levels("logLoss", 0.5, 0.4, -0.1, -0.2, high).taken == taken


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"secondLevelLearners": None}, "secondLevelCols are for secondLevelLearners, of which there are none"),
        ({"metaLearner": "glm"}, "secondLevelLearners with metaLearner='glm'"),
        ({"metaLearner": LinearRegression}, "secondLevelLearners with metaLearner=LinearRegression"),
        ({"repeats": 2, "foldCol": None}, "secondLevelLearners with repeats=2"),
        ({"foldCol": None, "numFolds": 2}, "secondLevelLearners with numFolds=2; a second level takes 3 folds or more"),
        ({"foldCol": None, "timeCol": "x", "embargo": 0.1}, "secondLevelLearners with embargo=0.1"),
        ({"passthroughCols": ["x"]}, "secondLevelLearners with passthroughCols"),
        (
            {"secondLevelLearners": lambda: {"linear": LinearRegression()}},
            "'linear' is the name of a column or another learner",
        ),
        (
            {"secondLevelLearners": {"mean": MeanRegressor()}},
            r"secondLevelLearners\['mean'\] is MeanRegressor; accepted",
        ),
        ({"secondLevelCols": ["part", "y"]}, "no column 'y'"),
        ({"secondLevelCols": ["x", "label"]}, "secondLevelCols: 'label' is the label"),
        ({"secondLevelCols": ["text"]}, "secondLevelCols: 'text' is string; accepted: numbers"),
    ],
)
def test_second_levels_that_can_t_be_are_refused_before_any_job(waves: DataFrame, settings, message: str) -> None:
    trap = waves.withColumns({"label": F.raise_error(F.lit("a job ran")).cast("double"), "text": F.lit("a")})
    params = {"secondLevelLearners": {"tree": DecisionTreeRegressor()}, "secondLevelCols": ["x"], "foldCol": "part"}
    settings = {name: value() if callable(value) else value for name, value in settings.items()}
    with pytest.raises((ConfigurationError, SchemaError), match=message):
        StackedEnsemble(**{"learners": {"linear": LinearRegression()}, **params, **settings}).fit(trap)


def test_blending_has_no_second_level(waves: DataFrame) -> None:
    with pytest.raises(ConfigurationError, match="secondLevelLearners with fitBlending"):
        ensemble(secondLevelLearners={"tree": DecisionTreeRegressor()}).fitBlending(waves, waves)
