"""Rows to validate on as a share of all rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.ml import ImageClassifier
from sparkwater.ml.columns.roles import RowColumns, Share
from sparkwater.stacking import assign_folds

CONTENT = ("features", "label")


def quick(**params: Any) -> ImageClassifier:
    return ImageClassifier(**{"epochs": 2, "batchSize": 16, "learningRate": 0.02, **params})


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    return tensor_frame(start_session("local[2]"), 120).withColumn("weight", 1.0 + F.col("id") % 3).cache()


def chosen(frame: DataFrame, fraction: float, seed: int = 42) -> set[int]:
    return {row.id for row in frame.where(Share(CONTENT, fraction, seed).chosen()).collect()}


def test_a_share_is_of_content_and_seed_alone(spark) -> None:
    numbers = spark.range(4000).select("id", (F.col("id") % 1000).alias("features"), F.lit("a").alias("label"))
    tenth = chosen(numbers, 0.1)
    assert 60 * 4 < len(tenth) < 145 * 4
    assert {(row + 1000) % 4000 for row in tenth} == tenth  # the rows of the same content
    assert chosen(numbers.orderBy(F.rand(1)).repartition(5), 0.1) == tenth
    assert tenth < chosen(numbers, 0.3)
    assert chosen(numbers, 0.1, seed=43) & tenth != tenth
    assert chosen(numbers.withColumn("label", F.lit("b")), 0.1) & tenth != tenth
    assert chosen(numbers.withColumn("features", F.lit(None).cast("long")), 1 - 1e-9) == set(range(4000))


def test_a_share_of_the_rows_outside_of_a_fold_is_a_share(spark) -> None:
    numbers = spark.range(4000).select("id", F.col("id").alias("features"), F.lit(1).alias("label"))
    outside = (
        assign_folds(numbers.select("features", "label"), 5).where("fold != 1").withColumn("id", F.col("features"))
    )
    assert 250 < len(chosen(outside, 0.1)) < 390


def test_it_gives_what_the_same_rows_marked_by_a_column_give(frame) -> None:
    marked_rows = frame.withColumn("held_out", Share(CONTENT, 0.2, 7).chosen())
    settings: dict[str, Any] = {"weightCol": "weight", "seed": 7, "numWorkers": 2}
    marked = quick(**settings, validationIndicatorCol="held_out").fit(marked_rows)
    share = quick(**settings, validationFraction=0.2).fit(frame.orderBy(F.col("id").desc()).repartition(3))
    assert share.weights == marked.weights
    assert [replace(record, seconds=0.0) for record in share.summary.records] == [
        replace(record, seconds=0.0) for record in marked.summary.records
    ]
    summary = share.summary
    assert 10 < summary.numValidationRows == 120 - summary.numRows < 40
    assert (summary.resolved["validationFraction"], summary.bestEpoch) == (0.2, marked.summary.bestEpoch)
    assert "validationFraction: 0.2" in str(summary)
    assert "validationFraction" not in marked.summary.resolved


def test_rows_to_validate_on_come_from_one_place(frame, tmp_path) -> None:
    marked = frame.withColumn("held_out", F.col("id") > 3)
    learner = quick(validationFraction=0.1, validationIndicatorCol="held_out")
    with pytest.raises(
        ConfigurationError,
        match=r"validationIndicatorCol='held_out' and validationFraction=0.1 are both set; .*, so clear the other",
    ):
        learner.fit(marked)
    with pytest.raises(ConfigurationError, match=r"validationDataFrame and validationFraction=0\.1 are both set"):
        quick(validationFraction=0.1, validationDataFrame=frame).fit(frame)
    with pytest.raises(ConfigurationError, match=r"streamed take no .* or validationFraction"):
        quick(validationFraction=0.1).fitPetastorm("file:///nowhere")
    learner.clear(learner.validationIndicatorCol)
    learner.save(str(tmp_path / "learner"))
    assert ImageClassifier.load(str(tmp_path / "learner")).getValidationFraction() == 0.1
    assert quick(validationFraction=0.0).row_columns() == RowColumns()


def test_too_few_rows_for_the_share_are_an_error(frame) -> None:
    few = frame.where("id < 4")
    with pytest.raises(
        DataError, match=r"no rows to validate on beside the 4 .* validationFraction is too small for so"
    ):
        quick(validationFraction=1e-6).fit(few)
    with pytest.raises(DataError, match=r"there are no rows to train on: 4 were read, .*; 4 are to validate on"):
        quick(validationFraction=1 - 1e-9).fit(few)
