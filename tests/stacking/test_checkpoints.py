"""What an earlier cross-fitting left in a folder, and what a later one takes from there."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from tables import MeanRegressor

from sparkwater.errors import DataError
from sparkwater.stacking import Folds, cross_fit


@pytest.fixture
def numbers(spark: SparkSession) -> DataFrame:
    return spark.range(24).selectExpr("id", "id * 1.5 as label", "id % 2 as part").coalesce(1)


def test_another_embargo_goes_on_from_no_earlier_fit(numbers: DataFrame, tmp_path: Path) -> None:
    fits = []
    for embargo in (0.0, 5.0, 5.0):
        learner = MeanRegressor()
        folds = Folds(2, timeCol="id", embargo=embargo)
        cross_fit({"mean": learner}, numbers, folds, checkpointDir=str(tmp_path))
        fits.append(learner.fits)
    assert fits == [2, 2, 0]


def test_predictions_that_changed_since_they_were_kept_are_refused(numbers: DataFrame, tmp_path: Path) -> None:
    cross_fit({"mean": MeanRegressor()}, numbers, "part", checkpointDir=str(tmp_path))
    (folder,) = tmp_path.glob("*/mean-*/0/predictions")
    rewrite(folder, drop=1)
    with pytest.raises(DataError, match=r"the predictions in .*: 11 rows were scored where there are 12"):
        cross_fit({"mean": MeanRegressor()}, numbers, "part", checkpointDir=str(tmp_path))


def rewrite(folder: Path, drop: int) -> None:
    """Take the first rows out of a folder of Parquet files."""
    first, *others = sorted(folder.glob("*.parquet"))
    table = pq.read_table([first, *others])
    for file in folder.iterdir():
        file.unlink()
    pq.write_table(table.slice(drop), first)
