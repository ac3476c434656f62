"""Columns at a glance: facts of all kinds of columns, in two jobs."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import numpy as np
import pytest
from conftest import start_session
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.conversions.tables.statistics.sketch import NumberSketch
from sparkwater.flow.views.data.bins import Bar
from sparkwater.flow.views.data.columns import ColumnView, describe_columns, distinct_values
from sparkwater.flow.views.data.facts import KnownFacts

SCHEMA = (
    "`a.b` double, whole int, big decimal(20, 2), flag boolean, colour string, day date, at timestamp, content binary, "
    "list array<string>, map map<string, int>, inner struct<x: int>, same double, nothing double, features binary"
)


@pytest.fixture(scope="module")
def made():
    """Return rows of all types; the facts follow from their number alone."""
    nan, inf = math.nan, math.inf
    rows = []
    for n in range(100):
        number = {0: None, 1: nan, 2: inf, 3: -inf}.get(n, float(n % 5))
        rows.append(
            (
                number,
                n - 10,
                Decimal(n) / 4,
                n % 4 == 0 if n > 9 else None,
                "red" if n < 60 else "x" * 300 + str(n % 2),
                datetime.date(2000 + n % 30, 1, 1),
                datetime.datetime(2024, 1, 1 + n % 3, 12),
                bytearray(n),
                ["a"] * (n % 3),
                {"k": n},
                (n,) if n % 2 else None,
                7.5,
                None,
                bytearray(4),
            )
        )
    return rows


@pytest.fixture(scope="module")
def found(made):
    spark = start_session("local[2]")
    frame = with_tensor_spec(spark.createDataFrame(made, SCHEMA), "features", TensorSpec("float32", (1,)))
    vectors = spark.createDataFrame([(Vectors.sparse(9, [1], [2.0]),), (Vectors.dense([1.0, 2.0]),), (None,)], ["v"])
    return frame, describe_columns(frame), describe_columns(vectors)


def test_columns_of_all_kinds(found):
    frame, view, vectors = found
    columns = {column.name: column for column in view.columns}
    assert view.rows == 100
    assert [column.name for column in view.columns] == frame.columns

    number = columns["a.b"]
    assert (number.missing, number.infinite, number.zeros) == (2, 2, 19)
    assert (number.minimum, number.maximum, number.distinct, number.exact) == ("0", "4", 5, True)
    given = np.array([n % 5 for n in range(4, 100)], float)
    assert float(number.mean) == pytest.approx(given.mean(), rel=1e-5)
    assert float(number.deviation) == pytest.approx(given.std(), rel=1e-5)
    assert sum(bar.rows for bar in number.bars) == 96

    assert (columns["whole"].minimum, columns["whole"].maximum, columns["whole"].zeros) == ("-10", "89", 1)
    assert columns["whole"].bars[0] == Bar("-10 to -6", 5)
    assert columns["big"].type == "decimal, 20 digits, 2 after the point"
    assert (columns["big"].maximum, columns["big"].distinct) == ("24.75", 100)
    assert columns["flag"].type == "true or false"
    assert (columns["flag"].missing, columns["flag"].bars) == (10, (Bar("false", 68), Bar("true", 22)))
    assert columns["day"].type == "date"
    assert (columns["day"].minimum, columns["day"].maximum) == ("2000-01-01", "2029-01-01")
    assert (columns["day"].bars[0], len(columns["day"].bars)) == (Bar("2000", 4), 30)
    assert [bar.label for bar in columns["at"].bars] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert columns["at"].maximum == "2024-01-03 12:00:00"
    assert columns["same"].bars == (Bar("7.5", 100),)
    assert (columns["same"].mean, columns["same"].deviation, columns["same"].zeros) == ("7.5", "0", 0)
    assert (columns["nothing"].missing, columns["nothing"].minimum, columns["nothing"].bars) == (100, None, ())

    assert (columns["content"].kind, columns["content"].measured, columns["content"].maximum) == (
        "bytes",
        "size in bytes",
        "99",
    )
    assert (columns["list"].type, columns["list"].maximum) == ("list of text", "2")
    assert (columns["map"].type, columns["map"].mean) == ("map from text to whole number", "1")
    assert (columns["inner"].type, columns["inner"].missing, columns["inner"].bars) == ("group of 1 field", 50, ())
    assert (columns["features"].type, columns["features"].missing) == ("tensor, float32 1", 0)
    vector = vectors.columns[0]
    assert (vector.kind, vector.missing, vector.minimum, vector.maximum) == ("vector", 1, "2", "9")


def test_long_texts_are_cut_and_still_told_apart(found):
    colour = {column.name: column for column in found[1].columns}["colour"]
    assert colour.distinct == 3
    assert colour.bars[0] == Bar("red", 60)
    assert all(len(bar.label) < 230 for bar in colour.bars)


def test_facts_are_the_same_in_any_partitioning(found):
    frame, view, _ = found
    assert describe_columns(frame.repartition(5)) == view


def test_few_levels_are_shown_and_the_others_counted(spark):
    frame = spark.range(100).select(F.concat(F.lit("level "), F.col("id") % 30).alias("name"))
    (column,) = describe_columns(frame, levels=4).columns
    assert [bar.rows for bar in column.bars] == [4, 4, 4, 4]
    assert (column.others, column.distinct, column.exact) == (84, 30, True)


def test_a_frame_without_rows_and_one_without_columns(spark):
    empty = spark.createDataFrame([], "a double, b string, c binary")
    view = describe_columns(empty)
    assert view.rows == 0
    assert [(column.name, column.missing, column.bars) for column in view.columns] == [
        ("a", 0, ()),
        ("b", 0, ()),
        ("c", 0, ()),
    ]
    assert describe_columns(spark.range(3).select()).columns == ()


def test_columns_of_the_same_name_and_with_odd_names(spark):
    frame = spark.range(3).selectExpr("id", "id + 1 as id", "id as `a``b`", "null as c")
    view = describe_columns(frame)
    assert [(column.name, column.maximum) for column in view.columns] == [
        ("id", "2"),
        ("id", "3"),
        ("a`b", "2"),
        ("c", None),
    ]
    assert view.columns[3].missing == 3


def test_only_columns_that_are_asked_for_are_measured_and_once(spark):
    frame = spark.range(5).selectExpr("id", "id * 2 as twice", "raise_error('not asked for') as other", "id as again")
    facts, jobs = KnownFacts(), spark.sparkContext.statusTracker().getJobIdsForGroup
    assert facts.known(frame, [1]) is None
    assert frame not in facts
    view = facts.measured(frame, [3, 1])
    assert [(column.name, column.maximum) for column in view.columns] == [("again", "4"), ("twice", "8")]
    assert view.rows == 5
    assert view == facts.known(frame, [3, 1])
    assert view.columns == describe_columns(frame, [3, 1]).columns
    before = len(jobs())
    assert facts.measured(frame, [1]).columns == view.columns[1:]
    assert len(jobs()) == before
    assert facts.known(frame, [0, 1]) is None
    assert [column.name for column in facts.measured(frame, [0, 1]).columns] == ["id", "twice"]
    assert facts.known(frame, [0, 1, 3]).rows == 5


def test_different_values_are_estimated_within_the_error_that_is_said():
    values = np.random.default_rng(0).normal(size=200_000)
    distinct, exact = distinct_values(NumberSketch.empty(1_024).plus(values))
    assert not exact
    assert distinct == pytest.approx(200_000, rel=0.1)
    assert distinct_values(NumberSketch.empty(16).plus(np.array([1.0, 1.0, 2.0]))) == (2, True)


def test_facts_in_words():
    column = ColumnView("n", "number", "number", distinct=1200, exact=False)
    assert column.distinct_text == "about 1,200"
    assert column.alt == "n: no histogram"


def test_many_small_partitions_are_measured_by_few_tasks():
    spark = start_session("local[2]")
    tracker = spark.sparkContext.statusTracker()
    frame = spark.range(0, 100, 1, 60)
    spark.sparkContext.setJobGroup("facts", "columns at a glance")
    try:
        assert describe_columns(frame).rows == 100
    finally:
        spark.sparkContext._jsc.clearJobGroup()
    stages = [stage for job in tracker.getJobIdsForGroup("facts") for stage in tracker.getJobInfo(job).stageIds]
    tasks = [found.numTasks for found in map(tracker.getStageInfo, stages) if found]
    assert tasks
    assert max(tasks) == 8
