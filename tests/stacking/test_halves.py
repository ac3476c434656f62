"""Halves of two folds keep together what folds keep together."""

from __future__ import annotations

import pytest
from conftest import start_session
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.stacking import Folds
from sparkwater.stacking.level_one.halves import HALF, halve
from sparkwater.stacking.level_one.prepare import prepare

ROWS = 80


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    columns = ["id", "id div 8 as site", "id div 4 as twin", "sqrt(id) as day", "id * 1.0D as label"]
    return start_session("local[2]").range(ROWS).selectExpr(*columns).cache()


def halves(frame: DataFrame, folds: Folds | str, unit: str, **columns: str) -> dict[tuple, set[int]]:
    """Return the halves in which each unit of a fold is."""
    made = prepare(frame, folds, "regression", "label", **columns)
    found: dict[tuple, set[int]] = {}
    for row in halve(made).select(made.foldCol, F.col(unit), HALF).collect():
        found.setdefault((row[0], row[1]), set()).add(row[2])
    made.frame.unpersist()
    return found


@pytest.mark.parametrize(
    ("folds", "unit"),
    [
        (Folds(numFolds=2, groupCol="site"), "site"),
        (Folds(numFolds=2, timeCol="site"), "site"),
        (Folds(numFolds=2), "twin"),
    ],
)
def test_rows_that_share_a_fold_on_purpose_share_a_half(frame: DataFrame, folds: Folds, unit: str) -> None:
    rows = frame.select("twin", F.col("twin").cast("double").alias("label")) if unit == "twin" else frame
    found = halves(rows, folds, unit)
    assert all(len(parts) == 1 for parts in found.values())
    for fold in (0, 1):
        assert {half for (value, _), parts in found.items() if value == fold for half in parts} == {0, 1}


def test_halves_of_time_are_the_earlier_and_the_later_rows(frame: DataFrame) -> None:
    found = halves(frame, Folds(numFolds=2, timeCol="day"), "day")
    for fold in (0, 1):
        early, late = (
            [day for (value, day), (half,) in found.items() if (value, half) == (fold, part)] for part in (0, 1)
        )
        assert max(early) < min(late)
        assert 15 <= len(early) <= 25


def test_a_fold_of_one_group_or_time_has_no_halves(frame: DataFrame) -> None:
    two = frame.withColumn("site", F.col("id") % 2)
    for folds in (Folds(numFolds=2, groupCol="site"), Folds(numFolds=2, timeCol="site")):
        assert halve(prepare(two, folds, "regression", "label")) is None


def test_most_rows_at_the_last_time_leave_the_earlier_ones_a_half(frame: DataFrame) -> None:
    late = frame.withColumn("day", F.expr("if(id < 10, id, if(id < 40, 10, if(id < 50, id, 90)))"))
    found = halves(late, Folds(numFolds=2, timeCol="day"), "day")
    assert {day for (_, day), parts in found.items() if parts == {1}} == {10, 90}
