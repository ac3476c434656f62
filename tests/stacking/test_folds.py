from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import DecisionTreeClassifier, LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.stacking import assign_folds, cross_fit

#: Prints the fold of each of 200 rows, in the order of their ids.
SCRIPT = """
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sparkwater.stacking import assign_folds

settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
spark = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
frame = spark.range(200).selectExpr("id", "id / 7.0 as x", "concat('row ', id) as name", "array(id, id + 1) as a")
print("folds", *(row.fold for row in sorted(assign_folds(frame, 5, seed=3).collect())))
spark.stop()
"""


def rows(spark: SparkSession, count: int = 200) -> DataFrame:
    return spark.range(count).selectExpr("id", "id / 7.0 as x", "concat('row ', id) as name", "array(id, id + 1) as a")


def folds(frame: DataFrame) -> dict[int, int]:
    return {row.id: row.fold for row in frame.select("id", "fold").collect()}


def test_folds_do_not_depend_on_partitions_or_order(spark: SparkSession) -> None:
    frame = rows(spark)
    expected = folds(assign_folds(frame, 5))
    assert folds(assign_folds(frame.repartition(7), 5)) == expected
    assert folds(assign_folds(frame.orderBy(F.rand(1)), 5)) == expected
    assert folds(assign_folds(frame.coalesce(1).orderBy(F.desc("id")), 5)) == expected


def test_folds_are_the_same_in_a_fresh_process_with_another_hash_seed(spark: SparkSession) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    expected = folds(assign_folds(rows(spark), 5, seed=3))
    assert done.stdout.split() == ["folds", *(str(expected[row]) for row in range(200))]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_folds_have_about_equal_sizes(spark: SparkSession, count: int) -> None:
    frame = assign_folds(rows(spark, 3000), count)
    assert frame.schema["fold"].dataType.simpleString() == "int"
    sizes = np.bincount(list(folds(frame).values()))
    assert len(sizes) == count
    assert sizes.sum() == 3000
    spread = np.sqrt(3000 / count * (1 - 1 / count))
    assert np.abs(sizes - 3000 / count).max() < 4 * spread


def test_duplicates_share_a_fold(spark: SparkSession) -> None:
    frame = rows(spark, 100)
    found = assign_folds(frame.union(frame).union(frame).repartition(5), 7)
    assert found.count() == 300
    assert found.groupBy("id").agg(F.countDistinct("fold").alias("n")).where("n != 1").isEmpty()


def test_the_id_alone_decides(spark: SparkSession) -> None:
    frame = rows(spark)
    by_id = folds(assign_folds(frame, 5, idCol="id"))
    assert folds(assign_folds(frame.withColumn("x", F.rand()).drop("a"), 5, idCol="id")) == by_id
    assert folds(assign_folds(frame.withColumn("x", F.col("x") + 1), 5)) != folds(assign_folds(frame, 5))


def test_another_seed_gives_other_folds(spark: SparkSession) -> None:
    frame = rows(spark)
    one, two = (folds(assign_folds(frame, 2, seed=seed)) for seed in (1, 2))
    agree = np.mean([one[row] == two[row] for row in one])
    assert 0.3 < agree < 0.7


def test_odd_column_names_and_nulls_are_hashed(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, None), (None, "x"), (None, None)], "`a.b` int, `c d` string")
    found = assign_folds(frame, 3, foldCol="my fold")
    assert found.columns == ["a.b", "c d", "my fold"]
    assert all(row[2] in (0, 1, 2) for row in found.collect())
    assert all(row[2] in (0, 1, 2) for row in assign_folds(frame, 3, idCol="a.b").collect())


def test_other_columns_are_kept(spark: SparkSession) -> None:
    frame = rows(spark, 20)
    found = assign_folds(frame, 4, foldCol="part")
    assert found.columns == ["id", "x", "name", "a", "part"]
    assert found.drop("part").collect() == frame.collect()


def test_assigning_starts_no_job(spark: SparkSession) -> None:
    frame = spark.range(1).withColumn("x", F.raise_error(F.lit("a job ran")).cast("int"))
    assert assign_folds(frame, 3).columns == ["id", "x", "fold"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"numFolds": 1}, ConfigurationError, "numFolds=1"),
        ({"numFolds": 0}, ConfigurationError, "numFolds=0"),
        ({"numFolds": -3}, ConfigurationError, "numFolds=-3"),
        ({"numFolds": 3, "foldCol": "x"}, SchemaError, "foldCol='x'"),
        ({"numFolds": 3, "idCol": "number"}, SchemaError, "no column 'number'"),
    ],
)
def test_what_cannot_be_folded_is_refused(
    spark: SparkSession, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        assign_folds(rows(spark), **settings)


@pytest.fixture
def labelled(spark: SparkSession) -> DataFrame:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(120, 2))
    labels = (points.sum(axis=1) + rng.normal(size=120) > 0).astype(float)
    data = [(row, *map(float, points[row]), float(labels[row])) for row in range(120)]
    frame = spark.createDataFrame(data, "id long, a double, b double, label double").coalesce(1)
    frame = VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(frame)
    return assign_folds(frame, 3, idCol="id").cache()


def test_cross_fitting_equals_a_plain_loop(labelled: DataFrame) -> None:
    learners = {"logistic": LogisticRegression(maxIter=10), "linear": LinearRegression()}
    found = cross_fit(learners, labelled)
    assert found.columns == [*labelled.columns, "logistic", "linear"]
    expected = {}
    for fold in range(3):
        training, held_out = labelled.where(F.col("fold") != fold), labelled.where(F.col("fold") == fold)
        logistic = LogisticRegression(maxIter=10).fit(training).transform(held_out).select("id", "probability")
        linear = LinearRegression().fit(training).transform(held_out).select("id", "prediction")
        expected |= {row.id: [row.probability.toArray()] for row in logistic.collect()}
        for row in linear.collect():
            expected[row.id].append(row.prediction)
    rows = found.collect()
    assert sorted(row.id for row in rows) == list(range(120))
    for row in rows:
        np.testing.assert_allclose(row.logistic.toArray(), expected[row.id][0], rtol=1e-12)
        np.testing.assert_allclose(row.linear, expected[row.id][1], rtol=1e-12)
    kept = sorted(found.select(labelled.columns).collect())
    assert kept == sorted(labelled.collect())


def test_folds_may_have_any_numbers_and_another_name(labelled: DataFrame) -> None:
    frame = labelled.withColumn("part", F.when(F.col("fold") == 0, -7).otherwise(100).cast("long")).drop("fold")
    found = cross_fit({"p": LogisticRegression(maxIter=2)}, frame, foldCol="part")
    assert found.count() == found.select("id").distinct().count() == 120
    assert found.where("p is null").isEmpty()


def area_under_curve(scores: list[float], labels: list[float]) -> float:
    positive = np.array([s for s, label in zip(scores, labels, strict=True) if label == 1])
    negative = np.array([s for s, label in zip(scores, labels, strict=True) if label == 0])
    above = (positive[:, None] > negative).mean()
    return float(above + (positive[:, None] == negative).mean() / 2)


def test_a_learner_that_memorises_scores_chance_out_of_fold(spark: SparkSession) -> None:
    labels = np.random.default_rng(4).integers(0, 2, 1000)
    frame = spark.createDataFrame([(row, float(labels[row])) for row in range(1000)], "id long, label double")
    digits = [F.col("id").bitwiseAND(1 << place).cast("double").alias(f"digit{place}") for place in range(10)]
    frame = frame.coalesce(1).select("id", "label", *digits)
    frame = VectorAssembler(inputCols=frame.columns[2:], outputCol="features").transform(frame)
    frame = assign_folds(frame, 2, idCol="id").cache()
    tree = DecisionTreeClassifier(maxDepth=20)
    inside = tree.fit(frame).transform(frame).select("label", "probability").collect()
    outside = cross_fit({"probability": tree}, frame).select("label", "probability").collect()
    frame.unpersist()
    seen, unseen = (
        area_under_curve([float(row.probability[1]) for row in found], [row.label for row in found])
        for found in (inside, outside)
    )
    assert seen > 0.95
    assert abs(unseen - 0.5) < 0.1


def test_what_cannot_be_cross_fitted_is_refused(spark: SparkSession, labelled: DataFrame) -> None:
    learners = {"p": LogisticRegression()}
    with pytest.raises(ConfigurationError, match="one learner at least"):
        cross_fit({}, labelled)
    with pytest.raises(SchemaError, match="a column 'label' already"):
        cross_fit({"label": LogisticRegression()}, labelled)
    with pytest.raises(SchemaError, match="no column 'part'"):
        cross_fit(learners, labelled, foldCol="part")
    for name in ("a", "features"):
        with pytest.raises(SchemaError, match=f"foldCol='{name}' is .*accepted: integers"):
            cross_fit(learners, labelled, foldCol=name)
    with pytest.raises(DataError, match="rows are in no fold"):
        cross_fit(learners, labelled.withColumn("fold", F.when(F.col("id") > 2, F.col("fold"))))
    with pytest.raises(DataError, match="holds 1 fold"):
        cross_fit(learners, labelled.withColumn("fold", F.lit(1)))
    with pytest.raises(DataError, match="holds 0 fold"):
        cross_fit(learners, labelled.limit(0))


def test_pipelines_are_learners(labelled: DataFrame) -> None:
    frame = labelled.drop("features")
    assemble = VectorAssembler(inputCols=["a", "b"], outputCol="features")
    pipeline = Pipeline(stages=[assemble, LogisticRegression(maxIter=10)])
    direct = cross_fit({"p": LogisticRegression(maxIter=10)}, labelled).select("id", "p").collect()
    found = cross_fit({"p": pipeline}, frame)
    assert found.columns == [*frame.columns, "p"]
    expected = {row.id: row.p.toArray().tolist() for row in direct}
    assert {row.id: row.p.toArray().tolist() for row in found.collect()} == expected
