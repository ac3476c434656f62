from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import start_session
from pyspark.errors import IllegalArgumentException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import DecisionTreeClassifier, LinearSVC, LogisticRegression, NaiveBayes
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.regression import DecisionTreeRegressor, LinearRegression
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.optimize import minimize
from tables import MeanRegressor, table

from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError, UnsafeLoadError
from sparkwater.ml import ImageClassifier
from sparkwater.stacking import StackedEnsemble, StackedEnsembleModel, cross_fit
from sparkwater.stacking.level_one.deviance import Deviance
from sparkwater.stacking.level_one.learners import kind_of
from sparkwater.stacking.level_one.new_rows import measure
from sparkwater.stacking.level_one.prepared import LevelOneTask
from sparkwater.stacking.meta_learner import NonNegativeRegression, check_meta_learner


@pytest.fixture(scope="module")
def cancer() -> DataFrame:
    """Rows with string labels."""
    frame = table(start_session("local[2]"), "breast_cancer", 300)
    label = F.when(F.col("label") == 1, "benign").otherwise("malignant")
    return frame.withColumn("label", label).withColumn("weight", 1.0 + F.col("id") % 2).cache()


@pytest.fixture(scope="module")
def fitted(cancer: DataFrame) -> StackedEnsembleModel:
    learners = {"logistic": LogisticRegression(maxIter=5), "tree": DecisionTreeClassifier(maxDepth=3)}
    ensemble = StackedEnsemble(
        learners=learners, numFolds=2, idCol="id", includeBasePredictions=True, keepLevelOne=True, weightCol="weight",
        metaLearnerTransform="logit",
    )  # fmt: skip
    return ensemble.fit(cancer)


def test_the_model_is_the_meta_learner_on_the_base_models(cancer: DataFrame, fitted: StackedEnsembleModel) -> None:
    scored = fitted.transform(cancer)
    added = ["prediction", "probability", "rawPrediction", "predictedLabel", "logistic", "tree"]
    assert scored.columns == [*cancer.columns, *added]
    rows = scored.collect()
    assert [row.id for row in rows] == [row.id for row in cancer.collect()]
    assert np.mean([row.label == row.predictedLabel for row in rows]) > 0.9
    weights, intercept = fitted.metaModel.coefficients.toArray(), fitted.metaModel.intercept
    assert (weights >= 0).all()
    values = np.clip([[row.logistic, row.tree] for row in rows], 1e-9, 1 - 1e-9)
    expected = 1 / (1 + np.exp(-(np.log(values / (1 - values)) @ weights + intercept)))
    np.testing.assert_allclose([row.probability[1] for row in rows], expected, rtol=1e-6)
    assert fitted.classes == ["benign", "malignant"]
    base = fitted.baseModels["logistic"][0].transform(cancer.drop("label")).select("probability").collect()
    np.testing.assert_allclose([row.logistic for row in rows], [row.probability[1] for row in base], rtol=1e-12)


def test_the_summary_has_a_leaderboard_and_words(fitted: StackedEnsembleModel) -> None:
    summary = fitted.summary
    board = summary.leaderboard.collect()
    assert sorted(row.learner for row in board) == ["ensemble", "logistic", "tree"]
    assert [row.value for row in board] == sorted(row.value for row in board)
    assert all(row.low <= row.value <= row.high and row.deviation > 0 for row in board)
    weights = {row.learner: row.weight for row in board}
    assert weights["ensemble"] is None
    assert weights["logistic"] + weights["tree"] == pytest.approx(1)
    assert all(row.fitSeconds > 0 and row.msPer1000Rows > 0 for row in board if row.learner != "ensemble")
    assert summary.best in {"logistic", "tree"}
    assert [row.coefficient for row in summary.coefficientTable.collect()] == list(fitted.metaModel.coefficients)
    assert summary.verdict in str(summary)
    assert "300 rows, 2 folds, cross-validation" in str(summary)
    assert sum(fit.rows for fit in summary.fits if fit.learner == "tree") == 300


def test_the_ensembles_own_estimate_is_of_meta_learners_that_did_not_see_the_fold(fitted: StackedEnsembleModel) -> None:
    rows = fitted.levelOne.frame.select("weight", "label", "fold", "logistic", "tree").collect()
    weight, fold = np.array([row.weight for row in rows]), np.array([row.fold for row in rows])
    label = np.array([row.label == "malignant" for row in rows], float)
    values = np.clip([[row.logistic, row.tree] for row in rows], 1e-9, 1 - 1e-9)
    logits = np.column_stack([np.log(values / (1 - values)), np.ones(len(rows))])

    def losses(coefficients: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return weight[chosen] * np.logaddexp(0, -(2 * label[chosen] - 1) * (logits[chosen] @ coefficients))

    total = 0.0
    for held_out in np.unique(fold):
        seen, bounds = fold != held_out, [(0, None), (0, None), (None, None)]
        total += losses(
            minimize(lambda w, seen=seen: losses(w, seen).mean(), np.zeros(3), bounds=bounds).x, ~seen
        ).sum()
    ensemble = next(score for score in fitted.summary.scores if score.learner == "ensemble")
    assert ensemble.value == pytest.approx(total / weight.sum(), rel=1e-2)
    others = {score.learner: score.value for score in fitted.summary.scores}
    assert fitted.summary.difference == pytest.approx(ensemble.value - others[fitted.summary.best])


@pytest.mark.parametrize(
    ("low", "high", "said"), [(-0.2, -0.1, "beats"), (0.1, 0.2, "is worse than"), (-0.1, 0.1, "can't be told apart")]
)
def test_the_verdict_follows_from_the_interval(
    fitted: StackedEnsembleModel, low: float, high: float, said: str
) -> None:
    assert said in replace(fitted.summary, differenceLow=low, differenceHigh=high).verdict


def test_rows_weigh_in_the_metrics(cancer: DataFrame, fitted: StackedEnsembleModel) -> None:
    found = fitted.levelOne
    assert found is not None
    rows = found.frame.select("weight", "label", "tree").collect()
    wrong = [(row.tree > 0.5) != (row.label == "malignant") for row in rows]
    assert found.metrics.error("tree") == pytest.approx(np.average(wrong, weights=[row.weight for row in rows]))
    assert fitted.baseModels["tree"][0].getWeightCol() == "weight"
    assert found.frame.columns == [*cancer.columns, "fold", "logistic", "tree"]


def test_new_rows_measure_the_ensemble_and_each_learner(cancer: DataFrame, fitted: StackedEnsembleModel) -> None:
    label = F.when(F.col("id") == 5, "unknown").otherwise(F.col("label"))
    rows = cancer.where("id < 200").withColumn("label", label)
    context = cancer.sparkSession.sparkContext
    context.setJobGroup("evaluate", "")
    found = fitted.evaluate(rows, weightCol="weight")
    assert 1 <= len(context.statusTracker().getJobIdsForGroup("evaluate")) <= 2  # one, with its shuffle
    context.setLocalProperty("spark.jobGroup.id", None)
    scored = fitted.transform(rows).collect()
    weight = np.array([row.weight for row in scored])
    place = np.array([fitted.classes.index(row.label) if row.label in fitted.classes else -1 for row in scored])
    given = {"ensemble": [row.probability[1] for row in scored]}
    given |= {name: [row[name] for row in scored] for name in ("logistic", "tree")}
    for name, second in given.items():
        both = np.column_stack([1 - np.array(second), second, np.zeros(len(scored))])  # the last one is of the unknown
        loss = -np.log(np.maximum(both[np.arange(len(place)), place], 1e-15))
        one = found.score(name)
        mean = np.average(loss, weights=weight)
        assert one.value == pytest.approx(mean)
        assert one.second == pytest.approx(np.average(both.argmax(axis=1) != place, weights=weight))
        spread = np.average((loss - mean) ** 2, weights=weight)
        assert one.high - one.value == pytest.approx(1.959964 * np.sqrt(spread / weight.sum()))
    assert found.rows == len(scored) > 100
    assert [row.value for row in found.leaderboard.collect()] == sorted(one.value for one in found.scores)
    assert f"{found.score().value:.5f}" in str(found)
    with pytest.raises(ConfigurationError, match="no learner 'net' here; there are"):
        found.score("net")


def test_rows_that_cannot_be_measured_are_refused(cancer: DataFrame, fitted: StackedEnsembleModel) -> None:
    lost = F.when(F.col("id") > 2, F.col("label"))
    for rows, weight, error, message in (
        (cancer.withColumn("label", F.lit(1.0)), None, SchemaError, "labelCol='label' is double; accepted: strings"),
        (cancer, "label", SchemaError, "weightCol='label' is string; accepted: numbers"),
        (cancer.withColumn("label", lost), None, DataError, "2 rows have no usable label"),
        (cancer.withColumn("weight", F.lit(-1)), "weight", DataError, "300 rows have a weight that is null, NaN, inf"),
        (cancer.withColumn("weight", F.lit(0)), "weight", DataError, "weightCol='weight' is 0 in all rows"),
        (cancer.where("id < 0"), None, DataError, "no rows to measure by"),
    ):
        with pytest.raises(error, match=message):
            fitted.evaluate(rows, weight)


def test_labels_that_a_deviance_is_not_defined_for_are_refused(spark: SparkSession) -> None:
    task = LevelOneTask("regression", deviance=Deviance("gammaDeviance"))
    rows = spark.createDataFrame([(3.0, 2.0), (0.0, 2.0), (-1.0, 2.0)], "label double, mean double")
    with pytest.raises(DataError, match="2 rows have no prediction of some learner, or a label that the metric isn't"):
        measure(rows, task, "label", None, {"gamma": F.array("mean")})


def test_a_class_between_those_of_the_training_counts_as_wrong(spark: SparkSession) -> None:
    task = LevelOneTask("classification", (0.0, 2.0))
    rows = [(1.0, [0.1, 0.8, 0.1]), (2.0, [0.2, 0.2, 0.6])]
    frame = spark.createDataFrame(rows, "label double, probability array<double>")
    count, metrics = measure(frame, task, "label", None, {"unfit": F.col("probability")})
    assert (count, metrics.error("unfit")) == (2, 0.5)
    assert metrics.value("unfit") == pytest.approx(-np.log([1e-15, 0.6]).mean())


def test_a_saved_model_predicts_the_same_bits(cancer: DataFrame, fitted: StackedEnsembleModel, tmp_path: Path) -> None:
    path = str(tmp_path / "model")
    PipelineModel([fitted]).save(path)
    loaded = PipelineModel.load(path).stages[0]
    assert loaded.summary == fitted.summary
    columns = ["id", "probability", "tree", "predictedLabel"]
    assert loaded.transform(cancer).select(columns).collect() == fitted.transform(cancer).select(columns).collect()
    inner = next((tmp_path / "model" / "stages").iterdir())
    with pytest.raises(ConfigurationError, match="exists already"):
        loaded.save(str(inner))
    loaded.write().overwrite().save(str(inner))
    assert StackedEnsembleModel.load(str(inner)).summary == fitted.summary
    (inner / "ensemble.json").write_text("{}")
    (inner / ".ensemble.json.crc").unlink()
    with pytest.raises(CheckpointError, match="is damaged"):
        StackedEnsembleModel.load(str(inner))


def test_a_class_of_elsewhere_is_not_loaded(fitted: StackedEnsembleModel, tmp_path: Path) -> None:
    path = tmp_path / "model"
    fitted.save(str(path))
    file = next((path / "bases" / "1" / "0" / "metadata").glob("part-*"))
    file.write_text(json.dumps({**json.loads(file.read_text()), "class": "tables.MeanModel"}))
    for stale in file.parent.glob(".part-*"):
        stale.unlink()
    with pytest.raises(UnsafeLoadError, match=r"asks to load 'tables.MeanModel'"):
        StackedEnsembleModel.load(str(path))
    with pytest.raises(CheckpointError):  # trusted now, but it has no reader
        StackedEnsembleModel.read().allowing("tables").load(str(path))


@pytest.fixture(scope="module")
def diabetes() -> DataFrame:
    return table(start_session("local[2]"), "diabetes", 240).cache()


@pytest.fixture(scope="module")
def wine() -> DataFrame:
    return table(start_session("local[2]"), "wine").cache()


def regressors() -> dict:
    return {"linear": LinearRegression(regParam=0.5), "tree": DecisionTreeRegressor(maxDepth=3)}


def test_learners_without_weight_are_not_asked(diabetes: DataFrame) -> None:
    """A learner that knows the mean only says least where the label is greatest: a negative weight, so none."""
    needs_id = SQLTransformer(statement="SELECT *, id + 1 AS next FROM __THIS__")
    learners = {**regressors(), "mean": Pipeline(stages=[needs_id, MeanRegressor()])}
    model = StackedEnsemble(learners=learners, numFolds=2, idCol="id", seed=43, metaLearner="glm").fit(diabetes)
    assert "mean" in model.summary.skipped
    assert f"having no weight: {', '.join(model.summary.skipped)}" in str(model.summary)
    scored = model.transform(diabetes.drop("id"))  # which the skipped learner would need
    assert RegressionEvaluator().evaluate(scored) < 65
    assert scored.columns == [*diabetes.drop("id").columns, "prediction"]
    with pytest.raises(SchemaError, match="a column 'prediction' already"):
        model.transform(scored)
    assert model.summary.metrics == ("rmse", "mae")
    found = model.evaluate(diabetes)  # all learners, those without weight too
    assert {one.learner for one in found.scores} == {"ensemble", "linear", "tree", "mean"}
    for metric, measured in zip(found.metrics, (found.score().value, found.score().second), strict=True):
        assert measured == pytest.approx(RegressionEvaluator(metricName=metric).evaluate(scored))
    with pytest.raises(DataError, match="240 rows have no usable label"):
        model.evaluate(diabetes.withColumn("label", F.lit(float("nan"))))


def test_the_average_of_the_fold_models_scores_and_a_new_call_takes_them(diabetes: DataFrame, tmp_path: Path) -> None:
    ensemble = StackedEnsemble(
        learners={"linear": LinearRegression()}, numFolds=2, finalModels="average", includeBasePredictions=True,
        passthroughCols=["id", "features"], checkpointDir=str(tmp_path),
    )  # fmt: skip
    model = ensemble.fit(diabetes)
    models = model.baseModels["linear"]
    assert len(models) == 2
    scored = model.transform(diabetes).select("linear").collect()
    parts = [[row.prediction for row in one.transform(diabetes).select("prediction").collect()] for one in models]
    np.testing.assert_allclose([row.linear for row in scored], np.mean(parts, axis=0), rtol=1e-9)
    assert "there is one learner only" in str(model.summary)
    assert len(model.metaModel.coefficients) == 1 + 1 + 10
    again = ensemble.fit(diabetes)
    assert [fit.attempts for fit in again.summary.fits] == [0, 0]
    assert (
        again.transform(diabetes).select("prediction").collect()
        == model.transform(diabetes).select("prediction").collect()
    )


def test_level_one_that_is_to_be_kept_is_freed_where_the_meta_learner_fails(diabetes: DataFrame) -> None:
    broken = LinearRegression(loss="huber", elasticNetParam=0.5)  # which Spark refuses when it is fitted
    persistent = diabetes.sparkSession.sparkContext._jsc.getPersistentRDDs
    diabetes.count()  # which caches it
    before = persistent().size()
    ensemble = StackedEnsemble(
        learners={"mean": MeanRegressor()}, numFolds=2, idCol="id", metaLearner=broken, keepLevelOne=True
    )
    with pytest.raises(IllegalArgumentException, match="huber"):
        ensemble.fit(diabetes)
    assert persistent().size() == before


def test_level_one_frames_serve_several_ensembles(diabetes: DataFrame) -> None:
    ensemble = StackedEnsemble(learners=regressors(), numFolds=2, idCol="id", metaLearner="pool")
    folds = ensemble._folds(diabetes)
    pieces = [cross_fit({name: learner}, diabetes, folds) for name, learner in regressors().items()]
    found = pieces[0].join(pieces[1])
    model = ensemble.fitLevelOne(diabetes, found)
    whole = ensemble.fit(diabetes)
    assert model.summary.coefficients == whole.summary.coefficients
    scores = [[row.prediction for row in one.transform(diabetes).collect()] for one in (model, whole)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-9)
    with pytest.raises(DataError, match="other rows, or the rows in other folds"):
        ensemble.copy({ensemble.seed: 1}).fitLevelOne(diabetes, found)
    with pytest.raises(ConfigurationError, match="there are linear, tree"):
        ensemble.copy({ensemble.learners: {"other": LinearRegression()}}).fitLevelOne(diabetes, found)
    with pytest.raises(ConfigurationError, match="'tree' has other Params"):
        ensemble.copy({ensemble.learners: {"tree": DecisionTreeRegressor()}}).fitLevelOne(diabetes, found)
    with pytest.raises(ConfigurationError, match="kept no fold models"):
        ensemble.copy({ensemble.finalModels: "average"}).fitLevelOne(diabetes, found)


def test_blending_takes_fitted_models_and_no_row_twice(diabetes: DataFrame) -> None:
    training, holdout = diabetes.where("id % 3 < 2"), diabetes.where("id % 3 = 2")
    done = LinearRegression().fit(training)
    ensemble = StackedEnsemble(learners={"linear": done, "tree": DecisionTreeRegressor(maxDepth=3)}, numFolds=2)
    model = ensemble.fitBlending(holdout, training)
    assert model.baseModels["linear"] == (done,)
    assert "blending" in str(model.summary)
    assert model.summary.rows == holdout.count()
    assert RegressionEvaluator().evaluate(model.transform(holdout)) < 65
    with pytest.raises(DataError, match="rows of the hold-out are among the training rows"):
        ensemble.fitBlending(holdout, diabetes)
    with pytest.raises(ConfigurationError, match="'tree' isn't fitted"):
        ensemble.fitBlending(holdout)
    with pytest.raises(ConfigurationError, match="use fitBlending"):
        ensemble.fit(diabetes)


def test_blending_numbers_string_labels_for_the_learners(wine: DataFrame) -> None:
    wine = wine.withColumn("label", F.element_at(F.array(*map(F.lit, "cab")), (F.col("label") + 1).cast("int")))
    ensemble = StackedEnsemble(learners={"tree": DecisionTreeClassifier(maxDepth=4)}, numFolds=2)
    model = ensemble.fitBlending(wine.where("id % 2 = 0"), wine.where("id % 2 = 1"))
    assert model.classes == ["a", "b", "c"]
    assert model.transform(wine).where("label = predictedLabel").count() > 0.85 * wine.count()


def test_ensembles_nest_and_work_in_pipelines_and_cross_validators(diabetes: DataFrame, tmp_path: Path) -> None:
    linear = LinearRegression()
    inner = StackedEnsemble(
        learners={"linear": linear}, numFolds=2, idCol="id", metaLearner=LinearRegression(solver="normal"),
        finalModels="average",
    )  # fmt: skip
    tree = DecisionTreeRegressor(maxDepth=2)
    outer = StackedEnsemble(learners={"tree": tree, "inner": inner}, numFolds=2, idCol="id", finalModels="average")
    outer.save(str(tmp_path / "outer"))
    loaded = StackedEnsemble.load(str(tmp_path / "outer"))
    assert list(loaded.getLearners()) == ["tree", "inner"]
    assert list(loaded.getLearners()["inner"].getLearners()) == ["linear"]
    assert (loaded.getNumFolds(), loaded.getMetaLearner()) == (2, None)
    assert loaded.getLearners()["inner"].getMetaLearner().getSolver() == "normal"
    model = Pipeline(stages=[loaded]).fit(diabetes)
    model.save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model"))
    expected = model.transform(diabetes).select("prediction").collect()
    assert loaded.transform(diabetes).select("prediction").collect() == expected
    # Columns of the inner ensemble's learners are others than those of the outer one's.
    ensemble = model.stages[0].setIncludeBasePredictions(True)
    first, second = (
        {row.id: row.prediction for row in each.transform(diabetes).collect()} for each in ensemble.baseModels["tree"]
    )
    assert all(row.tree == (first[row.id] + second[row.id]) / 2 for row in ensemble.transform(diabetes).collect())
    grid = ParamGridBuilder().addGrid(linear.regParam, [0.0, 1e9]).build()
    best = StackedEnsemble(learners={"linear": linear}, numFolds=2, idCol="id", metaLearner="best")
    validator = CrossValidator(
        estimator=best, estimatorParamMaps=grid, evaluator=RegressionEvaluator(), numFolds=2, seed=1, parallelism=2
    )
    found = validator.fit(diabetes)
    assert found.avgMetrics[0] < found.avgMetrics[1] - 5
    assert isinstance(found.bestModel, StackedEnsembleModel)


def test_an_ensemble_with_a_named_meta_learner_is_copied(diabetes: DataFrame) -> None:
    inner = StackedEnsemble(learners=regressors(), metaLearner="pool")
    assert inner.copy().getMetaLearner() == "pool"
    fitted = StackedEnsemble(learners=regressors(), metaLearner=LinearRegression())
    assert fitted.copy({fitted.metaLearner: "best"}).getMetaLearner() == "best"
    assert inner.copy({inner.metaLearner: LinearRegression()}).getMetaLearner().getRegParam() == 0
    assert StackedEnsemble(learners={"inner": inner}).copy().getLearners()["inner"].getMetaLearner() == "pool"


def test_stages_of_the_package_say_their_kind_and_others_show_it(fitted: StackedEnsembleModel) -> None:
    inner = StackedEnsemble(learners=regressors())
    assert inner.hasParam("probabilityCol")
    check_meta_learner(NonNegativeRegression(), "regression")
    with pytest.raises(ConfigurationError, match="ImageClassifier doesn't fit learners for regression"):
        check_meta_learner(ImageClassifier(), "regression")
    assert [kind_of(stage) for stage in (inner, fitted, ImageClassifier(), NonNegativeRegression())] == [
        "regression", "classification", "classification", "regression",
    ]  # fmt: skip
    others = (NaiveBayes(), Pipeline(stages=[NaiveBayes()]), LinearRegression(), LinearSVC())
    assert [kind_of(stage) for stage in others] == ["classification", "classification", "regression", None]


def test_fitted_learners_of_other_classes_are_refused(wine: DataFrame) -> None:
    two, three = (NaiveBayes().fit(wine.where(f"label < {classes}")) for classes in (2, 3))
    with pytest.raises(DataError, match="'two' was fitted on 2 classes, the hold-out has 3"):
        StackedEnsemble(learners={"three": three, "two": two}, numFolds=2).fitBlending(wine)
    with pytest.raises(DataError, match="learner 'late': 2 probabilities where there are 3 classes"):
        StackedEnsemble(learners={"late": NaiveBayes()}, numFolds=2).fitBlending(
            wine.where("id % 2 = 0"), wine.where("label < 2 and id % 2 = 1")
        )


def test_several_classes_and_another_meta_learner(wine: DataFrame) -> None:
    learners = {"bayes": NaiveBayes(), "tree": DecisionTreeClassifier(maxDepth=4)}
    meta = LogisticRegression(maxIter=5, regParam=0.01)
    model = StackedEnsemble(learners=learners, numFolds=2, idCol="id", metaLearner=meta).fit(wine)
    assert model.metaModel.coefficientMatrix.toArray().shape == (3, 6)
    assert model.summary.columns == ("bayes/0", "bayes/1", "bayes/2", "tree/0", "tree/1", "tree/2")
    scored = model.transform(wine)
    accuracy, loss = (
        MulticlassClassificationEvaluator(metricName=metric).evaluate(scored) for metric in ("accuracy", "logLoss")
    )
    assert accuracy > 0.9
    measured = model.evaluate(wine)
    assert (1 - measured.score().second, measured.score().value) == pytest.approx((accuracy, loss))
    assert measured.score("bayes").value > measured.score().value
    strange = F.get(F.array(F.lit(3.0), F.lit(-1.0), F.lit(0.5)), F.col("id").cast("int"))
    assert model.evaluate(wine.where("id < 3").withColumn("label", strange)).score("bayes").second == 1.0
    by_tree = StackedEnsemble(
        learners={"bayes": learners["bayes"]}, metaLearner=DecisionTreeClassifier(maxDepth=2), numFolds=2, idCol="id",
        finalModels="average",
    )  # fmt: skip
    found = by_tree.fit(wine)
    assert found.summary.coefficients == ()
    assert [score.weight for score in found.summary.scores if score.learner == "bayes"] == [1.0]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"learners": None}, ConfigurationError, "there are no learners"),
        ({"numFolds": 1}, ConfigurationError, "numFolds=1"),
        ({"metaLearnerTransform": "log"}, ConfigurationError, "metaLearnerTransform='log'; accepted: none, logit"),
        ({"metaLearnerTransform": "logit"}, ConfigurationError, "regression has none"),
        ({"finalModels": "best"}, ConfigurationError, "finalModels='best'; accepted: refit, average"),
        ({"metaLearner": NaiveBayes}, ConfigurationError, "NaiveBayes doesn't fit learners for regression"),
        ({"metaLearner": LinearSVC}, ConfigurationError, "LinearSVC doesn't fit learners for regression"),
        (
            {"learners": lambda: {"bayes": NaiveBayes()}, "metaLearner": LinearRegression},
            ConfigurationError,
            "LinearRegression doesn't fit learners for classification",
        ),
        (
            {"learners": lambda: {"bayes": NaiveBayes()}, "metaLearner": LinearSVC},
            ConfigurationError,
            "LinearSVC doesn't fit learners for classification",
        ),
        ({"metaLearner": SQLTransformer}, ConfigurationError, "metaLearner is SQLTransformer; accepted"),
        ({"labelCol": "y"}, SchemaError, "no column 'y'"),
        ({"passthroughCols": ["text"]}, SchemaError, "passthroughCols: 'text' is string"),
        ({"passthroughCols": ["label"]}, ConfigurationError, "passthroughCols: 'label' is the label"),
        ({"weightCol": "text"}, SchemaError, "weightCol='text' is string"),
        ({"groupCol": "id", "timeCol": "id"}, ConfigurationError, "accepted: one of them"),
        ({"embargo": 3.0}, ConfigurationError, "above 0 only with timeCol"),
        ({"parallelism": 0}, ConfigurationError, "parallelism=0"),
    ],
)
def test_what_cannot_work_is_refused_before_any_job(diabetes: DataFrame, settings, error, message) -> None:
    trap = diabetes.withColumns({"label": F.raise_error(F.lit("a job ran")).cast("double"), "text": F.lit("a")})
    settings = {name: value() if callable(value) else value for name, value in settings.items()}
    with pytest.raises(error, match=message):
        StackedEnsemble(**{"learners": {"linear": LinearRegression()}, **settings}).fit(trap)
