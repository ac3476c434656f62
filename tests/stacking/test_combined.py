"""Meta-learners with names: never worse than the best learner by their own estimate, and what the summary says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import start_session
from pyspark.ml.classification import DecisionTreeClassifier, NaiveBayes
from pyspark.ml.regression import DecisionTreeRegressor
from pyspark.sql import DataFrame
from sklearn import datasets
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import MeanRegressor, table

from sparkwater.errors import ConfigurationError
from sparkwater.stacking import GreedySelection, LogPool, Pool, StackedEnsemble, StackedEnsembleModel
from sparkwater.stacking.combined import combiners_of, fit_given
from sparkwater.stacking.combiners.blocks import Block, Layout, LocalBlocks
from sparkwater.stacking.combiners.choice import Choice, choose
from sparkwater.stacking.combiners.solvers import fit_linear
from sparkwater.stacking.meta_learner import LevelOneInput

CLASSIFIERS = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=50)),
    "bayes": GaussianNB(),
    "neighbours": KNeighborsClassifier(15),
    "forest": RandomForestClassifier(8, random_state=0),
    "constant": DummyClassifier(strategy="prior"),
    "noise": DummyClassifier(strategy="stratified", random_state=0),
}
REGRESSORS = {
    "ridge": Ridge(1.0),
    "neighbours": make_pipeline(StandardScaler(), KNeighborsRegressor(15)),
    "forest": RandomForestRegressor(8, random_state=0),
    "constant": DummyRegressor(),
    "far": DummyRegressor(strategy="quantile", quantile=1.0),
}

#: Tables with the learners on them; a name twice is a learner twice.
SETS = [
    ("iris", "logistic bayes neighbours"), ("iris", "bayes bayes constant"), ("iris", "noise neighbours"),
    ("wine", "logistic forest bayes"), ("wine", "constant noise forest"),
    ("breast_cancer", "logistic forest neighbours bayes"), ("breast_cancer", "bayes noise constant"),
    ("breast_cancer", "logistic logistic"), ("digits", "logistic forest bayes constant"),
    ("diabetes", "ridge forest neighbours"), ("diabetes", "ridge ridge constant"), ("diabetes", "far constant forest"),
    ("linnerud", "ridge forest constant"),
]  # fmt: skip


def level_one(name: str, learners: str, folds: int = 5) -> tuple[Block, Layout]:
    """Return out-of-fold predictions by scikit-learn of a table that it brings."""
    data = getattr(datasets, f"load_{name}")()
    target = data.target if data.target.ndim == 1 else data.target[:, 0]
    chosen = np.random.default_rng(0).permutation(len(target))[:400]
    features, target = data.data[chosen], target[chosen].astype(float)
    number = np.arange(len(target)) % folds
    classes = name not in ("diabetes", "linnerud")
    known: dict[str, BaseEstimator] = CLASSIFIERS if classes else REGRESSORS
    split = [(np.flatnonzero(number != fold), np.flatnonzero(number == fold)) for fold in range(folds)]
    method = "predict_proba" if classes else "predict"
    outputs = [cross_val_predict(known[one], features, target, cv=split, method=method) for one in learners.split()]
    values = np.stack([one.reshape(len(target), -1) for one in outputs], axis=1)
    width = 1 if values.shape[2] == 2 else values.shape[2]
    return Block(values, target, np.ones(len(target)), number, classes), Layout(values.shape[1], width, classes)


def chosen(block: Block, layout: Layout, given: str = "auto", folds: int = 5) -> Choice:
    kind = "classification" if layout.classification else "regression"
    methods = {name: one.fit_of for name, one in combiners_of(given, kind, layout.width).items()}
    if kind == "regression" and given == "auto":
        methods["glm"] = fit_linear
    return choose(LocalBlocks([block]), layout, methods, folds)


def mean(losses) -> float:
    return sum(one.first for one in losses) / sum(one.weight for one in losses)


@pytest.mark.parametrize(("name", "learners"), SETS)
def test_the_ensemble_is_never_worse_than_its_best_learner(name: str, learners: str) -> None:
    found = chosen(*level_one(name, learners))
    assert mean(found.whole) <= min(map(mean, found.learners))
    assert all(weight >= 0 for weight in found.combination.weights)


def test_learners_that_can_be_improved_are_not_left_alone() -> None:
    assert chosen(*level_one("breast_cancer", "bayes noise constant")).name == "logPool"
    assert chosen(*level_one("diabetes", "ridge ridge constant")).name == "glm"


@pytest.fixture(scope="module")
def wine() -> DataFrame:
    return table(start_session("local[2]"), "wine").cache()


@pytest.fixture(scope="module")
def fitted(wine: DataFrame) -> StackedEnsembleModel:
    learners = {"bayes": NaiveBayes(), "tree": DecisionTreeClassifier(maxDepth=4)}
    return StackedEnsemble(learners=learners, numFolds=2, idCol="id", keepLevelOne=True).fit(wine)


def test_the_summary_shows_the_estimate_of_each_that_was_tried(fitted: StackedEnsembleModel) -> None:
    summary = fitted.summary
    assert [one.name for one in summary.tried] == ["best", "selection", "pool", "logPool", "auto"]
    assert all(one.low <= one.value <= one.high for one in summary.tried)
    assert f"meta-learner: {summary.metaLearner} (logLoss of those that were tried: best " in str(summary)
    assert "is worse than" not in str(summary)
    scores = {score.learner: score for score in summary.scores}
    assert scores["ensemble"].value <= min(scores["bayes"].value, scores["tree"].value)
    assert summary.columns == ("bayes", "tree")
    (weights,) = summary.coefficients
    assert {name: scores[name].weight for name in summary.columns} == {
        name: pytest.approx(weight / sum(weights)) for name, weight in zip(summary.columns, weights, strict=True)
    }
    # The learners' own metrics are those that Spark measured.
    for name in summary.columns:
        assert scores[name].value == pytest.approx(fitted.levelOne.metrics.value(name))
        assert scores[name].deviation == pytest.approx(fitted.levelOne.metrics.deviation(name))


def test_the_model_combines_what_its_base_models_say_and_is_saved(
    wine: DataFrame, fitted: StackedEnsembleModel, tmp_path: Path
) -> None:
    wanted = fitted.copy({fitted.includeBasePredictions: True})
    rows = wanted.transform(wine).collect()
    outputs = np.array([[row.bayes.toArray(), row.tree.toArray()] for row in rows])
    block = Block(outputs, np.zeros(len(rows)), np.ones(len(rows)), np.zeros(len(rows), np.int64), True)
    np.testing.assert_allclose(
        [row.probability.toArray() for row in rows], fitted.metaModel.combination.apply(block), rtol=1e-9, atol=1e-12
    )
    fitted.save(str(tmp_path / "model"))
    loaded = StackedEnsembleModel.load(str(tmp_path / "model"))
    assert loaded.summary == fitted.summary
    columns = ["id", "probability", "prediction"]
    assert loaded.transform(wine).select(columns).collect() == fitted.transform(wine).select(columns).collect()


class OwnPool(Pool):
    """A user's combiner."""


@pytest.mark.parametrize(
    "given", ["logPool", "selection", OwnPool(), LogPool(bias=True), GreedySelection(metric="error")]
)
def test_a_named_combiner_is_taken_and_measured_by_itself(fitted: StackedEnsembleModel, given) -> None:
    reads = LevelOneInput(("bayes", "tree"), fitted.levelOne.task)
    found = fit_given(fitted.levelOne, reads, given, 1)
    assert [one.name for one in found.tried] == [found.name]
    assert found.model.getWidth() == 3
    assert found.model.getBiases() == [] or isinstance(given, LogPool)
    assert found.metrics.value("ensemble") == pytest.approx(found.tried[0].value)


def test_a_learner_that_says_half_is_doubled_by_a_linear_regression() -> None:
    rng = np.random.default_rng(1)
    label = rng.normal(size=200)
    outputs = (0.5 * label + 3 + 0.01 * rng.normal(size=200))[:, None, None]
    found = chosen(Block(outputs, label, np.ones(200), np.arange(200) % 5, False), Layout(1, 1, False))
    assert found.name == "glm"
    np.testing.assert_allclose([*found.combination.weights, *found.combination.biases], [2, -6], rtol=0.02)


@pytest.mark.usefixtures("spark")  # Spark's own stages have a part in its JVM
def test_names_are_saved_with_an_ensemble(tmp_path: Path) -> None:
    learners = {"tree": DecisionTreeRegressor()}
    for given in ("pool", Pool(), None):
        ensemble = StackedEnsemble(learners=learners, metaLearner=given)
        ensemble.write().overwrite().save(str(tmp_path / "ensemble"))
        loaded = StackedEnsemble.load(str(tmp_path / "ensemble")).getMetaLearner()
        assert loaded == given if not isinstance(given, Pool) else isinstance(loaded, Pool)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metaLearner": "mean"}, "metaLearner='mean' for regression; accepted: auto, best, selection, pool, glm, or"),
        ({"metaLearner": "logPool"}, "metaLearner='logPool' for regression; accepted: auto, best, selection, pool"),
        ({"metaLearner": LogPool()}, "pools probabilities; regression has none"),
        ({"calibration": "isotonic"}, "calibration='isotonic' is for probabilities; regression has none"),
        ({"calibration": "platt"}, "calibration='platt'; accepted: none, temperature, isotonic, auto"),
        ({"metaLearner": "pool", "passthroughCols": ["x"]}, "metaLearner='pool' reads the learners' predictions alone"),
    ],
)
def test_meta_learners_that_do_not_fit_are_refused_before_any_job(spark, settings, message: str) -> None:
    frame = spark.range(9).selectExpr("id as x", "raise_error('a job ran') as text", "1.0D as label")
    ensemble = StackedEnsemble(learners={"mean": MeanRegressor()}, **settings)
    with pytest.raises(ConfigurationError, match=message):
        ensemble.fit(frame)


@pytest.mark.parametrize("how", ["temperature", "isotonic"])
def test_a_calibrated_model_is_what_numpy_makes_of_the_plain_one(
    wine: DataFrame, fitted: StackedEnsembleModel, tmp_path: Path, how: str
) -> None:
    reads = LevelOneInput(("bayes", "tree"), fitted.levelOne.task)
    found = fit_given(fitted.levelOne, reads, fitted.summary.metaLearner, 1, how).examined
    assert found.name == how
    assert [one.name for one in found.tried] == ["none", how]
    model = fitted.copy()
    model.fitted = replace(fitted.fitted, calibration=found.calibration)
    plain = np.stack([row.probability.toArray() for row in fitted.transform(wine).collect()])
    block = Block(plain[:, None], np.zeros(len(plain)), np.ones(len(plain)), np.zeros(len(plain), np.int64), True)
    expected = found.calibration.apply(block)
    model.save(str(tmp_path / "model"))
    loaded = StackedEnsembleModel.load(str(tmp_path / "model"))
    assert loaded.fitted.calibration == found.calibration
    rows = loaded.transform(wine).collect()
    np.testing.assert_allclose(np.stack([row.probability.toArray() for row in rows]), expected, rtol=1e-9, atol=1e-12)
    assert [row.prediction for row in rows] == expected.argmax(axis=1).tolist()


def test_the_summary_has_diagnostics_of_all_rows_whatever_combines_them(fitted: StackedEnsembleModel) -> None:
    reads = LevelOneInput(("bayes", "tree"), fitted.levelOne.task)
    glm = fit_given(fitted.levelOne, reads, "glm", 1, "auto")
    assert glm.model.coefficientMatrix.toArray().shape == (3, 6)
    assert glm.model.getRegParam() == 1 / fitted.summary.rows
    found = glm.examined
    assert [one.name for one in found.tried] == []  # two folds
    for one in (fitted.summary.diagnostics, found.diagnostics):
        assert sum(map(sum, one.confusion)) == sum(each.rows for each in one.reliability) == fitted.summary.rows
        assert len(one.correlation) == 3
    wrong = {score.learner: score.second for score in fitted.summary.scores}["ensemble"]
    hits = sum(line[place] for place, line in enumerate(fitted.summary.diagnostics.confusion))
    assert 1 - hits / fitted.summary.rows == pytest.approx(wrong)
    assert fitted.summary.reliability.count() == len(fitted.summary.diagnostics.reliability)
    assert fitted.summary.classes == ("0", "1", "2")
