from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import start_session
from mixed_tables import INPUTS, mixed_frame
from pyspark.ml import Pipeline
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    LinearSVC,
    LogisticRegression,
    NaiveBayes,
    RandomForestClassifier,
)
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import SQLTransformer, VectorAssembler, VectorSlicer
from pyspark.ml.regression import LinearRegression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructType
from sklearn.metrics import log_loss, roc_auc_score
from tables import MeanModel, MeanRegressor, depth, table

from sparkwater.conversions import TableToTensor
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import DeepLearningClassifier
from sparkwater.stacking import Folds, LevelOneFrame, StackedEnsemble, assign_folds, cross_fit
from sparkwater.stacking.folds import role_columns
from sparkwater.stacking.level_one import prepared as preparation
from sparkwater.stacking.level_one.learners import find_learners, hide_columns
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.values import union_all
from sparkwater.stacking.repeats import repeat_folds
from sparkwater.stacking.row_keys import ROW


def forest(**params: str) -> RandomForestClassifier:
    """Return a learner that depends on the order of the rows it reads."""
    return RandomForestClassifier(numTrees=3, maxDepth=2, seed=1, **params)


def level_one(found: LevelOneFrame, key: str = "id") -> dict[object, list[float]]:
    """Return each row's values, all learners' one after the other."""
    rows = found.frame.select(key, *found.names).collect()
    values = {row[0]: np.concatenate([np.atleast_1d(np.array(value, float)) for value in row[1:]]) for row in rows}
    assert len(values) == len(rows)
    return {row: line.tolist() for row, line in values.items()}


@pytest.mark.parametrize(
    ("name", "learners"),
    [
        ("breast_cancer", lambda: {"logistic": LogisticRegression(maxIter=3)}),
        ("wine", lambda: {"tree": DecisionTreeClassifier(maxDepth=3), "bayes": NaiveBayes()}),
        ("diabetes", lambda: {"linear": LinearRegression(regParam=0.1)}),
    ],
)
def test_level_one_equals_a_plain_loop_row_by_row(spark: SparkSession, name: str, learners) -> None:
    learners = learners()
    frame = assign_folds(table(spark, name, 150), 3, idCol="id").cache()
    found = cross_fit(learners, frame)
    expected: dict[int, list[float]] = {row.id: [] for row in frame.select("id").collect()}
    for learner in learners.values():
        for fold in range(3):
            model = learner.fit(frame.where(F.col("fold") != fold))
            column = "probability" if learner.hasParam("probabilityCol") else "prediction"
            for row in model.transform(frame.where(F.col("fold") == fold)).select("id", column).collect():
                values = np.atleast_1d(row[1])
                expected[row.id] += values[1:].tolist() if len(values) == 2 else values.tolist()
    values = level_one(found)
    np.testing.assert_allclose([values[row] for row in expected], list(expected.values()), rtol=1e-6, atol=1e-12)
    assert sorted(found.frame.select(frame.columns).collect()) == sorted(frame.collect())
    frame.unpersist()
    found.unpersist()


@pytest.fixture(scope="module")
def wine() -> DataFrame:
    return table(start_session("local[2]"), "wine").cache()


@pytest.fixture(scope="module")
def numbers() -> DataFrame:
    session = start_session("local[2]")
    return session.range(60).selectExpr("id", "id % 7 as x", "id * 1.5 as label", "id % 3 as part").coalesce(1)


@pytest.fixture(scope="module")
def fitted(wine: DataFrame) -> LevelOneFrame:
    """Two learners, one of which depends on the order of the rows it reads."""
    return cross_fit({"forest": forest(), "bayes": NaiveBayes()}, wine, Folds(3), keepModels=True)


def test_a_learner_gives_the_same_with_or_without_another(wine: DataFrame, fitted: LevelOneFrame) -> None:
    alone = cross_fit({"bayes": NaiveBayes()}, wine, Folds(3))
    assert alone.fingerprint == fitted.fingerprint
    assert level_one(alone) == level_one(fitted.select(["bayes"]))
    joined = alone.join(fitted.select(["forest"]))
    assert level_one(joined) == level_one(fitted.select(["bayes", "forest"]))
    assert joined.metrics.value("forest") == fitted.metrics.value("forest")


def test_many_rows_are_joined_and_scored_as_few_are(
    wine: DataFrame, fitted: LevelOneFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "SMALL_ROWS", 100)
    many = cross_fit({"bayes": NaiveBayes()}, wine, Folds(3))
    assert many.prepared.scorable().rdd.getNumPartitions() == 2
    few = level_one(fitted.select(["bayes"]))
    assert {row: pytest.approx(values, rel=1e-9) for row, values in level_one(many).items()} == few
    assert many.metrics.value("bayes") == pytest.approx(fitted.metrics.value("bayes"))
    many.unpersist()


def test_permuted_and_repartitioned_rows_and_other_names_change_nothing(wine: DataFrame, fitted: LevelOneFrame) -> None:
    moved = wine.orderBy(F.rand(7)).repartition(5).toDF("key", "x", "class")
    learners = {
        "forest": forest(featuresCol="x", labelCol="class"),
        "bayes": NaiveBayes(featuresCol="x", labelCol="class"),
    }
    assert level_one(cross_fit(learners, moved, Folds(3), labelCol="class"), "key") == level_one(fitted)


def test_metrics_are_those_of_the_predictions(fitted: LevelOneFrame) -> None:
    rows = fitted.frame.select("label", "forest", "fold").collect()
    labels, values = [row.label for row in rows], np.array([row.forest for row in rows])
    assert fitted.metrics.value("forest") == pytest.approx(log_loss(labels, np.clip(values, 1e-15, 1)), rel=1e-6)
    assert fitted.metrics.error("forest") == pytest.approx(np.mean(values.argmax(axis=1) != labels))
    table = fitted.metrics.to_frame(fitted.frame.sparkSession).collect()
    assert sorted((row.learner, row.fold or "") for row in table) == [
        (name, fold) for name in ("bayes", "forest") for fold in ("", "0", "1", "2")
    ]


def test_fold_models_are_kept_with_the_fingerprint(fitted: LevelOneFrame) -> None:
    assert [(one.learner, one.fold) for one in fitted.models] == [(n, k) for n in ("forest", "bayes") for k in range(3)]
    assert {one.fingerprint for one in fitted.models} == {fitted.fingerprint}
    assert [fit.attempts for fit in fitted.fits] == [1] * 6
    foreign = replace(fitted, models=(*fitted.models[:5], replace(fitted.models[5], fingerprint="another")))
    with pytest.raises(DataError, match=r"'bayes', fold 2, has fingerprint another, .* may have seen the rows"):
        foreign.check_same(fitted.prepared)


def test_pieces_that_do_not_fit_together_are_refused(numbers: DataFrame, fitted: LevelOneFrame) -> None:
    def piece(rows: DataFrame, seed: int = 42) -> LevelOneFrame:
        return cross_fit({f"mean-{seed}": MeanRegressor()}, rows, Folds(2, idCol="id", seed=seed))

    found = piece(numbers)
    with pytest.raises(DataError, match="other rows, or the rows in other folds"):
        found.join(piece(numbers, 1))
    with pytest.raises(DataError, match="don't fit together"):
        found.join(piece(numbers.where("id > 3")))
    with pytest.raises(DataError, match="different labels"):
        found.join(piece(numbers.withColumn("label", F.col("label") + (F.col("id") == 5).cast("int"))))
    with pytest.raises(SchemaError, match="both level-one frames have a learner 'bayes'"):
        fitted.join(fitted)
    with pytest.raises(ConfigurationError, match="there are forest, bayes"):
        fitted.select(["tree"])


def test_rows_in_another_order_at_each_evaluation_leak_nothing(spark: SparkSession) -> None:
    labels = np.random.default_rng(4).integers(0, 2, 2000)
    frame = spark.createDataFrame([(row, float(labels[row])) for row in range(2000)], "id long, label double")
    digits = [F.col("id").bitwiseAND(1 << place).cast("double").alias(f"digit{place}") for place in range(11)]
    frame = VectorAssembler(inputCols=[f"digit{place}" for place in range(11)], outputCol="features").transform(
        frame.select("id", "label", *digits)
    )
    chance = F.udf("double")(lambda: np.random.default_rng().random()).asNondeterministic()  # type: ignore[arg-type]
    shuffled = frame.select("id", "features", "label").repartition(3).sortWithinPartitions(chance())
    assert len({shuffled.first().id for _ in range(4)}) > 1
    found = cross_fit({"tree": DecisionTreeClassifier(maxDepth=11)}, shuffled, Folds(2))
    rows = found.frame.select("id", "label", "tree").collect()
    assert sorted(row.id for row in rows) == list(range(2000))
    assert abs(roc_auc_score([row.label for row in rows], [row.tree for row in rows]) - 0.5) < 0.05
    inside = DecisionTreeClassifier(maxDepth=11).fit(frame).transform(frame).select("label", "probability").collect()
    assert roc_auc_score([row.label for row in inside], [row.probability[1] for row in inside]) > 0.95


def test_a_failed_fit_is_retried_alone_and_a_new_call_goes_on(numbers: DataFrame, tmp_path: Path) -> None:
    def fail_at(*wrong: int):
        def fail(number: int) -> None:
            if number in wrong:
                raise RuntimeError("lost")

        return fail

    once = MeanRegressor(fail_at(2))
    found = cross_fit({"mean": once}, numbers, Folds(2), parallelism=1)
    assert (once.fits, sorted(fit.attempts for fit in found.fits)) == (3, [1, 2])

    twice = MeanRegressor(fail_at(2, 3))
    with pytest.raises(RuntimeError, match="lost"):
        cross_fit({"mean": twice}, numbers, Folds(2), parallelism=1, checkpointDir=str(tmp_path))
    assert twice.fits == 3
    resumed = MeanRegressor()
    moved = numbers.repartition(4)
    again = cross_fit({"mean": resumed}, moved, Folds(2), parallelism=1, checkpointDir=str(tmp_path))
    assert (resumed.fits, [fit.attempts for fit in again.fits]) == (1, [0, 1])
    assert level_one(again) == level_one(found)
    other = MeanRegressor()
    cross_fit({"mean": other}, numbers.where("id > 0"), Folds(2), parallelism=1, checkpointDir=str(tmp_path))
    assert other.fits == 2
    with pytest.raises(DataError, match="is empty"):
        cross_fit({"mean": other}, numbers.limit(1), Folds(2), checkpointDir=str(tmp_path))
    assert not list(tmp_path.glob("writing-*"))


def test_fits_run_side_by_side(numbers: DataFrame) -> None:
    together = threading.Barrier(2, timeout=60)
    learner = MeanRegressor(lambda number: together.wait())
    found = cross_fit({"a": learner, "b": learner}, numbers, Folds(2), parallelism=2)
    assert len(found.fits) == learner.fits == 4


def test_rows_near_to_a_span_of_time_are_not_trained_on(numbers: DataFrame) -> None:
    found = cross_fit({"mean": MeanRegressor()}, numbers, Folds(3, timeCol="id", embargo=5.0))
    spans = {row.fold: (row.a, row.b) for row in found.frame.groupBy("fold").agg(
        F.min("id").alias("a"), F.max("id").alias("b")).collect()}  # fmt: skip
    for row in found.frame.select("fold", "mean").distinct().collect():
        first, last = spans[row.fold]
        assert row.mean == pytest.approx(np.mean([i * 1.5 for i in range(60) if i < first - 5 or i > last + 5]))


def test_duplicates_share_a_fold_and_each_has_its_prediction(numbers: DataFrame) -> None:
    doubled = numbers.union(numbers.where("id < 20"))
    found = cross_fit({"mean": MeanRegressor()}, doubled, Folds(3, foldAssignment="modulo"))
    rows = found.frame.groupBy("id").agg(F.count("mean").alias("rows"), F.count_distinct("fold").alias("folds"))
    assert {(row.rows, row.folds) for row in rows.where("id < 20").collect()} == {(2, 1)}
    assert found.frame.count() == 80


def test_rows_that_a_fold_of_the_same_seed_left_out_have_folds_of_their_own(numbers: DataFrame) -> None:
    folds = Folds(2, idCol="id")
    outside = folds.assign(numbers).where("fold = 1").drop("fold")
    prepared = prepare(outside, folds, "regression", "label")
    sizes = [fold.rows.rows for fold in prepared.folds]
    assert sum(sizes) == outside.count()
    assert min(sizes) > sum(sizes) / 4
    prepared.frame.unpersist()


@pytest.mark.parametrize("identity", ["id", None])
def test_learners_see_the_same_rows_in_the_same_order(numbers: DataFrame, identity: str | None) -> None:
    orders = []
    for frame in (numbers, numbers.orderBy(F.desc("id")), numbers.repartition(5).orderBy(F.rand(2))):
        prepared = prepare(frame.coalesce(1), "part", "regression", "label", idCol=identity)
        orders.append([row.id for row in prepared.all_rows().collect()])
        prepared.frame.unpersist()
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0]) == list(range(60))


def test_folds_may_be_any_category(numbers: DataFrame) -> None:
    frame = numbers.withColumn("part", F.expr("concat('part ', part)"))
    found = cross_fit({"mean": MeanRegressor()}, frame, "part")
    assert [fit.fold for fit in found.fits] == ["part 0", "part 1", "part 2"]
    assert found.frame.columns == [*frame.columns, "mean"]


def test_string_labels_and_pipelines(wine: DataFrame) -> None:
    frame = wine.withColumn("label", F.element_at(F.array(*map(F.lit, "cab")), (F.col("label") + 1).cast("int")))
    double = SQLTransformer(statement="SELECT *, features AS copied FROM __THIS__")
    pipeline = Pipeline(stages=[double, NaiveBayes(featuresCol="copied")])
    found = cross_fit({"bayes": pipeline}, frame, Folds(2, idCol="id"))
    assert found.task.classes == ("a", "b", "c")
    rows = found.frame.select("label", "bayes").collect()
    assert np.mean(["abc"[int(np.argmax(row.bayes.toArray()))] == row.label for row in rows]) > 0.75


@pytest.mark.parametrize(
    ("learners", "error", "message"),
    [
        (dict, ConfigurationError, "there are no learners"),
        (lambda: {"label": NaiveBayes()}, SchemaError, "a column 'label' already"),
        (lambda: {"a": LinearSVC()}, ConfigurationError, "gives no probability column"),
        (lambda: {"a": NaiveBayes(probabilityCol="")}, ConfigurationError, "gives no probability column"),
        (
            lambda: {"a": NaiveBayes(), "b": LinearRegression()},
            ConfigurationError,
            "'a' is a classifier and 'b' a regressor",
        ),
        (lambda: {"a": KMeans()}, ConfigurationError, "learns from no label"),
        (lambda: {"a": NaiveBayes(labelCol="y")}, ConfigurationError, "labelCol='y', the others learn 'label'"),
        (lambda: {"a": NaiveBayes(featuresCol="x")}, SchemaError, "featuresCol='x'; the columns are id, features"),
        (lambda: {"a": NaiveBayes(probabilityCol="id")}, SchemaError, "write over the column 'id'"),
        (lambda: {"a": "forest"}, ConfigurationError, "'a' is str; accepted"),
    ],
)
def test_learners_that_cannot_be_stacked_are_refused_before_any_job(wine, learners, error, message) -> None:
    with pytest.raises(error, match=message):
        cross_fit(learners(), wine.withColumn("label", F.raise_error(F.lit("a job ran")).cast("double")), Folds(3))


@pytest.mark.parametrize(
    ("change", "folds", "message"),
    [
        ({"part": "if(id > 2, part, null)"}, "part", "3 rows are in no fold"),
        ({"part": "1"}, "part", "holds 1 fold"),
        ({"id": "1"}, Folds(3, idCol="id"), "each row needs its own"),
        ({"id": "if(id > 2, id, null)"}, Folds(3, idCol="id"), "have the id None"),
        ({"label": "if(id > 2, label, null)"}, Folds(3), "3 rows have no usable label"),
        ({"id": "1", "x": "1", "label": "1.0", "part": "1"}, Folds(3), "is empty"),
    ],
)
def test_rows_that_cannot_be_cross_fitted_are_refused(numbers: DataFrame, change, folds, message) -> None:
    frame = numbers.withColumns({name: F.expr(text) for name, text in change.items()})
    learner = MeanRegressor()
    with pytest.raises(DataError, match=message):
        cross_fit({"mean": learner}, frame, folds)
    assert learner.fits == 0


def test_classes_that_a_fold_never_sees_are_refused(wine: DataFrame) -> None:
    frame = wine.withColumn("part", F.when(F.col("label") == 2, 0).otherwise(F.col("id") % 3))
    with pytest.raises(DataError, match=r"all rows of 2.0 are in fold 0"):
        cross_fit({"bayes": NaiveBayes()}, frame, "part")
    with pytest.raises(DataError, match="one class only"):
        cross_fit({"bayes": NaiveBayes()}, wine.withColumn("label", F.lit(1.0)), Folds(3))
    with pytest.raises(SchemaError, match="foldCol='features' is vector; accepted: integers"):
        cross_fit({"bayes": NaiveBayes()}, wine, "features")


@pytest.mark.parametrize("rows", ["WHERE id != 3", "UNION ALL SELECT * FROM __THIS__ WHERE id = 3"])
def test_a_learner_that_loses_or_doubles_rows_is_refused(numbers: DataFrame, rows: str) -> None:
    changing = Pipeline(stages=[SQLTransformer(statement=f"SELECT * FROM __THIS__ {rows}"), MeanRegressor()])
    with pytest.raises(DataError, match="rows were scored where there are"):
        cross_fit({"mean": changing}, numbers, Folds(2))


def test_a_learner_that_gives_one_row_in_place_of_another_is_refused(numbers: DataFrame) -> None:
    # Rows 3 and 6 are in the same fold, so each fold has as many as before.
    rows = "WHERE id != 3 UNION ALL SELECT * FROM __THIS__ WHERE id = 6"
    changing = Pipeline(stages=[SQLTransformer(statement=f"SELECT * FROM __THIS__ {rows}"), MeanRegressor()])
    with pytest.raises(DataError, match="20 rows were scored where there are 20, or not the same ones"):
        cross_fit({"mean": changing}, numbers, "part")


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_learner_without_predictions_is_refused(numbers: DataFrame, value: float | None) -> None:
    class Silent(MeanRegressor):
        def _fit(self, dataset: DataFrame) -> MeanModel:
            return self._copyValues(MeanModel(mean=value))

    with pytest.raises(DataError, match="30 rows have no prediction, or NaN; mend or leave out such rows"):
        cross_fit({"mean": Silent()}, numbers, Folds(2))


def test_the_rows_are_evaluated_once_for_all_fits(numbers: DataFrame) -> None:
    evaluated = numbers.sparkSession.sparkContext.accumulator(0)

    def count(value: int) -> int:
        evaluated.add(1)
        return value

    counting = F.udf(count, "long").asNondeterministic()
    cross_fit({"a": MeanRegressor(), "b": MeanRegressor()}, numbers.withColumn("x", counting("x")), Folds(3))
    assert evaluated.value == 60


def test_learners_read_columns_of_their_own(wine: DataFrame) -> None:
    halves = [VectorSlicer(inputCol="features", outputCol=f"half{half}", indices=range(6 * half, 6 * half + 6))
              for half in (0, 1)]  # fmt: skip
    frame = halves[1].transform(halves[0].transform(wine))
    learners = {f"bayes{half}": NaiveBayes(featuresCol=f"half{half}") for half in (0, 1)}
    found = cross_fit(learners, frame, Folds(2, idCol="id"))
    assert {fit.rows for fit in found.fits if fit.learner == "bayes0"} == {fit.rows for fit in found.fits[2:]}
    alone = cross_fit({"bayes": NaiveBayes(featuresCol="half1")}, frame, Folds(2, idCol="id"))
    rows = {row.id: row.bayes for row in alone.frame.select("id", "bayes").collect()}
    both = found.frame.select("id", "bayes0", "bayes1").collect()
    assert all(row.bayes1 == rows[row.id] != row.bayes0 for row in both)


@pytest.mark.usefixtures("spark")  # Spark's own stages have a part in its JVM
def test_columns_that_say_where_a_row_goes_are_no_features() -> None:
    def left_out(stage) -> list[str]:
        return stage.getOrDefault("ignoredCols" if stage.hasParam("ignoredCols") else "excludedCols")

    def hidden(stage):
        (found,) = find_learners({"one": stage}, StructType().add("id", LongType()), "label")
        return hide_columns(found, ["id", "site"]).stage

    network = DeepLearningClassifier(ignoredCols=["id", "note"])
    assert left_out(hidden(network)) == ["id", "note", "site"]
    assert left_out(network) == ["id", "note"]
    named = DeepLearningClassifier(inputCols=["id", "size"])
    assert hidden(named).getInputCols() == ["id", "size"]
    assert left_out(hidden(named)) == left_out(hidden(DeepLearningClassifier(featuresCol="id"))) == []
    pipeline = hidden(Pipeline(stages=[TableToTensor(), NaiveBayes()]))
    assert left_out(pipeline.getStages()[0]) == ["id", "site"]
    within = hidden(StackedEnsemble(learners={"network": network, "bayes": NaiveBayes()}))
    assert left_out(within.getLearners()["network"]) == ["id", "note", "site"]


def test_the_columns_of_a_stack_are_those_of_its_rows() -> None:
    columns = ["patient", "id", "size", "day", "weight", "split"]
    folds = Folds(groupCol="patient")
    assert role_columns(folds, columns, "id", "weight") == ["patient", "id", "weight"]
    assert role_columns("split", columns, None, None) == ["split"]
    assert role_columns(Folds(timeCol="day", idCol="id"), columns) == ["id", "day"]


def test_a_learner_of_all_columns_does_not_see_the_folds(spark: SparkSession) -> None:
    frame = mixed_frame(spark, 60).drop("kind").withColumn("split", F.col("id") % 2)
    learner = Pipeline(stages=[TableToTensor(excludedCols=["price"]), MeanRegressor()])
    learner.getStages()[1]._set(labelCol="price")
    fitted = cross_fit({"mean": learner}, frame, "split", labelCol="price", idCol="id", keepModels=True)
    for model in fitted.models:
        assert [column.name for column in model.model.stages[0].report.columns] == INPUTS
    fitted.unpersist()


def test_repeats_are_the_mean_of_predictions_by_models_that_never_saw_the_row(spark: SparkSession) -> None:
    # Row i has the label 2^i, so that a sum of labels names its rows.
    frame = spark.range(12).selectExpr("id", "pow(2.0D, id) as label").cache()
    ensemble = StackedEnsemble(
        learners={"mean": MeanRegressor()}, numFolds=3, repeats=2, idCol="id", foldAssignment="modulo",
        metaLearner="best", finalModels="average", keepLevelOne=True,
    )  # fmt: skip
    model = ensemble.fit(frame)
    level_one = model.levelOne
    assert len(level_one.models) == len(level_one.fits) == 6
    assert len({fit.fold for fit in level_one.fits}) == 6
    # Each model's training rows, read off its mean: those of the folds that it doesn't hold out.
    trained = [round(one.model.mean * 8) for one in level_one.models]
    found = {row.id: row.mean for row in level_one.frame.collect()}
    for row in range(12):
        unseen = [sums / 8 for sums in trained if not sums >> row & 1]
        assert len(unseen) == 2
        assert found[row] == pytest.approx(np.mean(unseen))
    assert len({tuple(sorted(trained[start : start + 3])) for start in (0, 3)}) == 2
    level_one.check_same(level_one.prepared)  # so that it serves further ensembles, with its models
    level_one.unpersist()


def test_many_repeats_make_a_plan_as_deep_as_few_do(numbers: DataFrame) -> None:
    base = cross_fit({"mean": MeanRegressor()}, numbers, Folds(3, idCol="id"))
    shown = {row[ROW]: row["mean"][0] for row in base.values.collect()}

    def repeat(folds: Folds | str) -> LevelOneFrame:
        shift = float(folds.seed)
        return replace(base, values=base.values.select(ROW, F.transform("mean", lambda one: one + shift).alias("mean")))

    depths = []
    for count in (3, 9):
        found = repeat_folds(repeat, Folds(3, seed=0), count)
        seeds = [number * 15_485_863.0 for number in range(count)]
        expected = {row: sum(mean + seed for seed in seeds) / count for row, mean in shown.items()}
        assert {row[ROW]: row["mean"][0] for row in found.values.collect()} == pytest.approx(expected)
        depths.append(depth(found.values))
        found.unpersist()
    assert depths[0] == depths[1]
    base.unpersist()


def test_a_union_of_many_is_as_deep_as_one_of_few_and_keeps_their_order(spark: SparkSession) -> None:
    few, many = (union_all([spark.range(part, part + 1) for part in range(count)]) for count in (3, 21))
    assert [row.id for row in many.collect()] == list(range(21))
    assert depth(few) == depth(many)


@pytest.mark.parametrize(("settings", "message"), [
    ({"foldCol": "id"}, "repeats=2 with foldCol='id': the folds would be the same each time; accepted: 1"),
    ({"timeCol": "id"}, "repeats=2 with timeCol='id'"),
])  # fmt: skip
def test_repeats_of_folds_that_no_seed_moves_are_refused(spark: SparkSession, settings, message: str) -> None:
    frame = spark.range(9).selectExpr("id", "1.0D as label", "raise_error('a job ran') as text")
    with pytest.raises(ConfigurationError, match=message):
        StackedEnsemble(learners={"mean": MeanRegressor()}, repeats=2, **settings).fit(frame)
