from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from conftest import saying
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions.stages.plain_values import hash_columns
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.stacking import assign_folds
from sparkwater.stacking.folds import time_value


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


@pytest.mark.parametrize("settings", [{}, {"idCol": "id"}, {"groupCol": "name"}])
def test_rows_that_were_written_and_read_keep_their_folds(
    spark: SparkSession, tmp_path: Path, settings: dict[str, str]
) -> None:
    columns = [
        "cast(id as int) as id", "cast(id % 50 as tinyint) as small",
        "concat('row ', shiftright(id, 2)) as name", "id / 7.0 as x",
        "array(id, id + 1) as a", "map('a', named_struct('b', id), 'c', named_struct('b', 3)) as m",
        "date_add(date'2024-01-01', cast(id as int)) as day", "timestamp_seconds(id / 7.0D) as at",
    ]  # fmt: skip
    frame = spark.range(200).selectExpr(*columns)
    frame.write.parquet(str(tmp_path / "rows"))
    back = spark.read.parquet(str(tmp_path / "rows"))
    assert (frame.schema["id"].nullable, back.schema["id"].nullable) == (False, True)
    expected = folds(assign_folds(frame, 5, **settings))
    assert folds(assign_folds(back, 5, **settings)) == expected
    wider = back.withColumns({"id": F.col("id").cast("long"), "small": F.col("small").cast("int")})
    assert folds(assign_folds(wider, 5, **settings)) == expected
    assert len(set(expected.values())) == 5


@pytest.mark.parametrize("kind", ["date", "timestamp_ntz"])
def test_spans_of_days_do_not_depend_on_the_time_zone(spark: SparkSession, kind: str) -> None:
    # In Berlin the clock went from 2 to 3 on the 31st of March.
    times = [f"2024-03-31 0{hour}:{minute}:00.5" for hour in (1, 2, 3) for minute in (10, 50)]
    if kind == "date":
        times = [f"2024-03-{day}" for day in (29, 30, 31)]
    frame = spark.createDataFrame([(row, text) for row, text in enumerate(times)], "id int, time string")
    frame = frame.withColumn("time", F.col("time").cast(kind))
    found = []
    for zone in ("Europe/Berlin", "America/Los_Angeles"):
        with saying(spark, "spark.sql.session.timeZone", zone):
            found.append([row[0] for row in frame.orderBy("id").select(time_value(frame.schema, "time")).collect()])
    assert found[0] == found[1] == (np.array(times, "datetime64[us]").astype(float) / 1e6).tolist()


@pytest.mark.parametrize("count", [2, 3, 10])
def test_folds_have_about_equal_sizes(spark: SparkSession, count: int) -> None:
    frame = assign_folds(rows(spark, 3000), count)
    assert frame.schema["fold"].dataType.simpleString() == "int"
    sizes = np.bincount(list(folds(frame).values()))
    assert len(sizes) == count
    assert sizes.sum() == 3000
    spread = np.sqrt(3000 / count * (1 - 1 / count))
    assert np.abs(sizes - 3000 / count).max() < 4 * spread


@pytest.mark.parametrize("assignment", ["modulo", "stratified"])
def test_dealt_folds_differ_by_one_row_at_most(spark: SparkSession, assignment: str) -> None:
    frame = rows(spark, 203).withColumn("label", F.expr("case when id < 11 then 'rare' when id < 90 then 'b' end"))
    frame = frame.fillna("c", ["label"])
    options = {"foldAssignment": assignment, "labelCol": "label"}
    found = assign_folds(frame, 5, **options)
    expected = folds(found)
    sizes = np.bincount(list(expected.values()))
    assert (sizes.sum(), sizes.max() - sizes.min()) == (203, 1)
    if assignment == "stratified":
        counts = found.groupBy("label").pivot("fold").count().collect()
        assert len(counts) == 3
        assert all(max(row[1:]) - min(row[1:]) <= 1 for row in counts)
    assert folds(assign_folds(frame.repartition(5).orderBy(F.rand(3)), 5, **options)) == expected
    assert folds(assign_folds(frame, 5, **options, seed=1)) != expected
    doubled = assign_folds(frame.union(frame.where("id < 60")), 5, **options)
    assert doubled.count() == 263
    assert doubled.groupBy("id").agg(F.count_distinct("fold").alias("n")).where("n != 1").isEmpty()


def test_rows_of_a_group_share_a_fold(spark: SparkSession) -> None:
    found = assign_folds(rows(spark, 100).withColumn("group", F.expr("concat('g', id % 7)")), 3, groupCol="group")
    groups = found.groupBy("group").agg(F.count_distinct("fold").alias("n"), F.first("fold").alias("fold")).collect()
    assert [row.n for row in groups] == [1] * 7
    assert sorted(np.bincount([row.fold for row in groups])) == [2, 2, 3]


@pytest.mark.parametrize("kind", ["double", "timestamp"])
def test_folds_of_time_are_spans_that_follow_each_other(spark: SparkSession, kind: str) -> None:
    frame = rows(spark, 100).withColumn("time", F.expr("cast(cast(id / 2 as int) * 60 as double)").cast(kind))
    found = assign_folds(frame.orderBy(F.rand(2)), 4, timeCol="time")
    spans = found.groupBy("fold").agg(F.min("id").alias("a"), F.max("id").alias("b"), F.count("*").alias("n"))
    spans = spans.orderBy("fold").collect()
    assert [row.fold for row in spans] == [0, 1, 2, 3]
    assert all(left.b < right.a for left, right in itertools.pairwise(spans))
    assert all(24 <= row.n <= 26 for row in spans)


def test_spans_of_time_are_of_equal_numbers_of_rows_where_they_can_be(spark: SparkSession) -> None:
    frame = rows(spark, 12)
    assert folds(assign_folds(frame, 4, timeCol="id")) == {row: row // 3 for row in range(12)}
    assert folds(assign_folds(frame, 2, timeCol="id")) == {row: row // 6 for row in range(12)}


def test_a_label_of_as_many_rows_as_folds_is_in_each_of_them(spark: SparkSession) -> None:
    frame = rows(spark, 20).withColumn("label", F.expr("if(id < 4, 'rare', 'b')"))
    found = assign_folds(frame, 4, foldAssignment="stratified", labelCol="label")
    assert sorted(folds(found.where("label = 'rare'")).values()) == [0, 1, 2, 3]
    with pytest.raises(DataError, match="'rare' has 4 rows, fewer than numFolds=5"):
        assign_folds(frame, 5, foldAssignment="stratified", labelCol="label")


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
    moved = spark.createDataFrame([(1, None), (None, 1)], "a int, b int")
    moved = moved.select(hash_columns(moved.schema, ["a", "b"])).distinct()
    assert moved.count() == 2


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
        ({"numFolds": 3, "foldAssignment": "best"}, ConfigurationError, "foldAssignment='best'; accepted: random"),
        ({"numFolds": 3, "foldAssignment": "stratified"}, ConfigurationError, "needs labelCol"),
        ({"numFolds": 3, "groupCol": "x", "timeCol": "x"}, ConfigurationError, "accepted: one of them"),
        ({"numFolds": 3, "groupCol": "x", "foldAssignment": "modulo"}, ConfigurationError, "leave foldAssignment"),
        ({"numFolds": 3, "timeCol": "name"}, SchemaError, "timeCol='name' is string"),
        ({"numFolds": 3, "foldAssignment": "stratified", "labelCol": "id"}, DataError, "has 1 rows, fewer than"),
    ],
)
def test_what_cannot_be_folded_is_refused(
    spark: SparkSession, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        assign_folds(rows(spark), **settings)
