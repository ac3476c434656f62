"""Level one from a hold-out: its rows are no learner's, and its numbers are those of a plain sum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import start_session
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from tables import MeanRegressor

from sparkwater.errors import DataError, SchemaError
from sparkwater.stacking import StackedEnsemble
from sparkwater.stacking.blending import blend
from sparkwater.stacking.level_one.learners import find_learners


@pytest.fixture(scope="module")
def numbers() -> DataFrame:
    """Columns that hold no nulls, by their schema too."""
    columns = ["cast(id as int) as id", "id % 3 as x", "id * id * 1.0D as label", "1.0D + id % 2 as weight"]
    return start_session("local[2]").range(40).selectExpr(*columns)


def blended(holdout: DataFrame, training: DataFrame, **settings: str):
    learners = find_learners({"mean": MeanRegressor()}, holdout.schema, "label")
    given = {"weightCol": None, "idCol": None, "parallelism": None, **settings}
    return blend(learners, holdout, training, "x", "label", **given)


@pytest.mark.parametrize("identity", [None, "id"])
def test_training_rows_that_were_written_and_read_are_no_hold_out(
    numbers: DataFrame, tmp_path: Path, identity: str | None
) -> None:
    numbers.write.parquet(str(tmp_path / "rows"))
    holdout = numbers.sparkSession.read.parquet(str(tmp_path / "rows"))
    learner = MeanRegressor()
    ensemble = StackedEnsemble(learners={"mean": learner}, numFolds=2, idCol=identity)
    with pytest.raises(DataError, match="40 rows of the hold-out are among the training rows"):
        ensemble.fitBlending(holdout, numbers)
    assert learner.fits == 0


def test_columns_whose_values_are_never_equal_are_refused(numbers: DataFrame) -> None:
    narrow = numbers.withColumn("weight", F.col("weight").cast("float"))
    with pytest.raises(SchemaError, match="column 'weight' is double in the hold-out and float in the training rows"):
        blended(numbers, narrow)
    with pytest.raises(SchemaError, match="the training rows have no column 'x', which the hold-out has"):
        blended(numbers, numbers.drop("x"))
    # The id alone is compared.
    blended(numbers.where("id < 20"), narrow.where("id >= 20"), idCol="id")[0].unpersist()


def test_predictions_are_freed_where_another_learner_fails(numbers: DataFrame) -> None:
    def fail(number: int) -> None:
        raise DataError(f"fit {number} can't be")

    stages = {"mean": MeanRegressor(), "broken": MeanRegressor(fail)}
    persistent = numbers.sparkSession.sparkContext._jsc.getPersistentRDDs
    before = persistent().size()
    holdout, training = numbers.where("id < 20"), numbers.where("id >= 20")
    with pytest.raises(DataError, match="fit 1 can't be"):
        blend(find_learners(stages, numbers.schema, "label"), holdout, training, "x", "label", None, None, 1)
    assert persistent().size() == before


def test_level_one_of_a_hold_out_is_scored_by_learners_of_the_training_rows(numbers: DataFrame) -> None:
    found, (base,) = blended(numbers.where("id < 20"), numbers.where("id >= 20"), weightCol="weight")
    rows = np.arange(20)
    label, weight, mean = rows**2.0, 1.0 + rows % 2, np.mean(np.arange(20, 40) ** 2.0)
    assert [row.mean for row in found.frame.select("mean").collect()] == pytest.approx([mean] * 20)
    assert found.metrics.value("mean") == pytest.approx(np.sqrt(np.average((label - mean) ** 2, weights=weight)))
    assert found.metrics.error("mean") == pytest.approx(np.average(np.abs(label - mean), weights=weight))
    (fit,) = found.fits
    assert (fit.learner, fit.fold, fit.rows, fit.attempts) == ("mean", "hold-out", 20, 1)
    assert (base.name, base.output, base.models[0].mean) == ("mean", "prediction", pytest.approx(mean))
    assert [(fold.value, fold.rows.rows) for fold in found.prepared.folds] == [(0, 7), (1, 7), (2, 6)]
    found.unpersist()
