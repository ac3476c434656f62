"""What an earlier cross-fitting left in a folder, and what a later one takes from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tables import MeanRegressor

from sparkwater.errors import DataError
from sparkwater.stacking import Folds, cross_fit
from sparkwater.stacking.level_one.checkpoints import FitStore
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.prepared import Prepared
from sparkwater.stacking.row_keys import ROW


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


def test_rows_are_kept_by_their_content_and_found_again(numbers: DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "fits"

    def settled(frame: DataFrame, **changed: object) -> Prepared:
        store = FitStore(frame.sparkSession, str(folder))
        prepared = prepare(frame, "part", "regression", "label", store=store.keep_rows)
        found = store.settle(replace(prepared, **changed))
        store.discard()
        return found

    def runs() -> int:
        return len(list(folder.glob("*/rows")))

    first = settled(numbers)
    assert (runs(), folder.stat().st_mode & 0o777, list(folder.glob("writing-*"))) == (1, 0o700, [])
    assert first.frame.drop(ROW).orderBy("id").collect() == numbers.orderBy("id").collect()
    # The same values in another order, in types of another width.
    same = settled(numbers.orderBy(F.desc("id")).withColumn("part", F.col("part").cast("tinyint")))
    assert (runs(), same.frame.schema) == (1, first.frame.schema)
    settled(numbers.withColumn("label", F.col("label") + (F.col("id") == 5).cast("int")))
    assert runs() == 2
    settled(numbers.withColumnRenamed("id", "key"))
    assert runs() == 3
    for number, changed in enumerate([{"embargo": 1.0}, {"timeCol": "id"}, {"labelCol": "id"}]):
        settled(numbers, **changed)
        assert runs() == 4 + number
