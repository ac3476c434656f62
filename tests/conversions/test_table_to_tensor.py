"""`TableToTensor` in Spark: roles by type, the same result whatever the partitioning, bad rows, saving."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from conftest import saying, start_session
from pyspark.errors import PySparkException
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions import ArrayToTensor, TableToTensor, TableToTensorModel, TensorSpec, tensor_spec
from sparkwater.conversions.tables import fitting
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError

#: Long, and what it asks of Spark `tests/ml/test_autoencoder.py` asks on the newest set, too.
pytestmark = pytest.mark.house

KINDS = (
    "id long, x double, n int, d decimal(9,2), b boolean, c string, many string, day date, at timestamp, "
    "clock timestamp_ntz, key string, empty double, same int, whole int, m map<string,int>"
)
ROWS = 120


def line(i: int) -> tuple[Any, ...]:
    noon = datetime.datetime(2024, 1, 1, 12) + datetime.timedelta(hours=7 * i)
    return (
        i + 1,
        None if i % 10 == 0 else math.nan if i % 10 == 1 else (i * i) % 101 / 7,
        i % 13,
        Decimal(i % 17) / 4,
        None if i % 4 == 0 else i % 3 == 0,
        "abc"[i % 3],
        None if i == 5 else "once" if i == 6 else f"l{i % 11}",
        noon.date(),
        noon,
        noon,
        f"key {i}",
        None,
        7,
        i % 12,
        {"a": 1},
    )


@pytest.fixture(scope="module")
def table() -> Iterator[DataFrame]:
    spark = start_session("local[2]")
    spark.conf.set("spark.sql.session.timeZone", "UTC")  # for literals of timestamps
    frame = spark.createDataFrame([line(i) for i in range(ROWS)], KINDS)
    frame = frame.withColumn("a", F.array("n", "whole"))
    frame = frame.withColumn("v", F.when(F.col("id") != 3, array_to_vector(F.array("n", "same"))))
    frame = ArrayToTensor(inputCol="a", outputCol="t", dtype="int32").transform(frame.coalesce(1)).cache()
    yield frame
    frame.unpersist()


def tensors(frame: DataFrame, name: str = "features") -> np.ndarray[Any, Any]:
    return np.array([np.frombuffer(row[0], "<f4") for row in frame.select(name).collect()])


def test_each_kind_of_column_has_its_entries(table: DataFrame) -> None:
    stage = TableToTensor(
        excludedCols=["v"], idCol="id", categoricalCols=["whole"], numericCols=["b"], imputation="median"
    )
    model = stage.fit(table)
    times = [f"at.{part}" for part in ("time", "day_of_year", "day_of_month", "weekday", "hour")]
    waves = [f"{wave} of at.{part}" for part in ("day_of_year", "weekday", "hour") for wave in ("sine", "cosine")]
    clock = [name.replace("at.", "clock.") for name in (*times, *waves)]
    day = [name.replace("at.", "day.") for name in (*times, *waves) if "hour" not in name]
    numbers = ["x", "x is missing", "n", "d", "b", "b is missing", "c=a", "c=b", "c=c", *day, *times, *waves, *clock]
    assert list(model.encoder.entries) == [*numbers, "a[0]", "a[1]", "t[0]", "t[1]", "many", "whole"]
    assert model.layout.numbers == len(numbers) + 4
    assert model.layout.categories == (11 + 2, 12 + 2)
    assert {row["name"]: row["reason"] for row in model.describeColumns().where("reason is not null").collect()} == {
        "key": "identifier: no two rows have the same value",
        "empty": "all values are null",
        "same": "constant: every value is 7",
        "m": "map<string,int> is no type that a table takes",
    }
    found = model.transform(table)
    assert tensor_spec(found.schema["features"]) == TensorSpec("float32", (model.layout.width,))
    values, places = tensors(found), model.encoder.bounds
    x = np.array([np.nan if line(i)[1] is None else line(i)[1] for i in range(ROWS)])
    known = x[~np.isnan(x)]
    filled = np.where(np.isnan(x), np.median(known), x)
    start, _ = places["x"]
    np.testing.assert_allclose(values[:, start], (filled - known.mean()) / known.std(), atol=1e-5)
    np.testing.assert_array_equal(values[:, start + 1], np.isnan(x))
    assert values[5:8, places["many"][0]].tolist() == [0, 1, 10]  # null, rare, and l7 of l0, l1, l10, l2, ...
    assert values[:4, places["whole"][0]].tolist() == [2, 3, 4, 5]
    assert values[2].tolist()[-4:-2] == [2, 2]  # the tensor as it is


@pytest.mark.parametrize("scaling", ["standard", "quantile"])  # by moments, and by quantiles as "robust", too
def test_partitions_change_not_a_bit(table: DataFrame, scaling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_MOST_VALUES", 32)  # samples, as of large tables
    monkeypatch.setattr(fitting, "_FEW_VALUES", 8)
    stage = TableToTensor(excludedCols=["m"], scaling=scaling, handleInvalid="skip")
    one = stage.fit(table)
    shuffled = table.sortWithinPartitions(F.xxhash64("id")).repartition(3, "n").union(table.limit(0))
    many = stage.fit(shuffled)
    assert json.dumps(many.encoder.to_dict()) == json.dumps(one.encoder.to_dict())
    assert many.report == one.report
    assert one.transform(table).count() == ROWS - 1  # without the row whose vector is null


def test_the_session_s_time_zone_changes_nothing(spark: SparkSession, table: DataFrame) -> None:
    columns = ["day", "at", "clock"]
    frame = table.select(columns)
    model = TableToTensor(inputCols=columns).fit(frame)
    expected = tensors(model.transform(frame))
    with saying(spark, "spark.sql.session.timeZone", "Asia/Tokyo"):
        assert TableToTensor(inputCols=columns).fit(frame).encoder == model.encoder
        np.testing.assert_array_equal(tensors(model.transform(frame)), expected)
    there = TableToTensor(inputCols=["at"], timeZone="Asia/Tokyo").fit(frame)
    days, other = (fitted.encoder.columns[place].scaling.center[0] for fitted, place in ((there, 0), (model, 1)))
    assert days - other == pytest.approx(9 / 24, abs=1e-3)
    batch = frame.select("at").toArrow().combine_chunks().to_batches()[0]
    np.testing.assert_array_equal(there.encoder.encode(batch).values, tensors(there.transform(frame)))


def test_arrow_rows_are_encoded_as_spark_s(table: DataFrame) -> None:
    frame = table.drop("m", "v").withColumn("x", F.when(F.col("id") == 3, math.inf).otherwise(F.col("x")))
    model = TableToTensor(handleInvalid="keep").fit(frame)
    rows = model.encoder.encode(frame.toArrow().combine_chunks().to_batches()[0])
    found = model.transform(frame)
    np.testing.assert_array_equal(rows.values, tensors(found.where("features is not null")))
    (problem,) = rows.problems.items()
    assert problem == (2, "column 'x': the value is infinite, or too far from those of the training rows")
    checked = frame.select(model.checked(frame).alias("row")).where("row.problem is not null").collect()
    assert [row["row"]["problem"] for row in checked] == [problem[1]]
    named = TableToTensor(inputCols=["v"], idCol="id").fit(table)
    with pytest.raises(PySparkException, match="invalid row 3: column 'v': the value is null"):
        named.transform(table).select("features").collect()


def test_a_model_is_saved_with_its_report(spark: SparkSession, table: DataFrame, tmp_path) -> None:
    model = TableToTensor(inputCols=["x", "many"], outputCol="row", scaling="quantile").fit(table)
    model.save(str(tmp_path / "model"))
    loaded = TableToTensorModel.load(str(tmp_path / "model"))
    assert (loaded.encoder, loaded.report, loaded.getOutputCol()) == (model.encoder, model.report, "row")
    (tmp_path / "model" / "encoder.json").write_text('{"columns": [{"kind": "other"}]}')
    (tmp_path / "model" / ".encoder.json.crc").unlink()
    with pytest.raises(CheckpointError, match="holds no fitted columns"):
        TableToTensorModel.load(str(tmp_path / "model"))
    stage = TableToTensor(inputCols=["x"], oneHotLevels=3)
    stage.save(str(tmp_path / "stage"))
    assert TableToTensor.load(str(tmp_path / "stage")).getOneHotLevels() == 3


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"inputCols": ["nothing"]}, SchemaError, "no column 'nothing'"),
        ({"inputCols": ["m"]}, SchemaError, "'m' is map<string,int>; accepted: numbers, decimals"),
        ({"inputCols": []}, ConfigurationError, "no input columns"),
        ({"inputCols": ["x", "x"]}, ConfigurationError, "names 'x' twice"),
        ({"inputCols": ["x"], "excludedCols": ["n"]}, ConfigurationError, "both set"),
        ({"excludedCols": ["nothing"]}, ConfigurationError, "excludedCols names 'nothing'"),
        ({"inputCols": ["x"], "categoricalCols": ["n"]}, ConfigurationError, "names 'n', which is no input"),
        ({"inputCols": ["x"], "categoricalCols": ["x"]}, SchemaError, "'x', which is double; accepted: strings"),
        ({"inputCols": ["c"], "numericCols": ["c"]}, SchemaError, "'c', which is string; accepted: booleans and"),
        ({"inputCols": ["n"], "numericCols": ["n"], "categoricalCols": ["n"]}, ConfigurationError, "'n' is in"),
        ({"inputCols": ["x"], "outputCol": "n"}, SchemaError, "outputCol='n'"),
        ({"inputCols": ["x"], "scaling": "log"}, ConfigurationError, "scaling='log'; accepted: standard, robust, q"),
        ({"inputCols": ["x"], "imputation": "mode"}, ConfigurationError, "imputation='mode'"),
        ({"inputCols": ["x"], "oneHotLevels": -1}, ConfigurationError, "oneHotLevels=-1; accepted: integers from 0"),
        ({"inputCols": ["x"], "maxLevels": 0}, ConfigurationError, "maxLevels=0; accepted: integers from 1"),
        ({"inputCols": ["x"], "minLevelRows": 0}, ConfigurationError, "minLevelRows=0; accepted: integers from 1"),
        ({"inputCols": ["at"], "timeZone": "Mars"}, ConfigurationError, "timeZone='Mars'"),
    ],
)
def test_what_is_known_to_be_wrong_is_refused_before_a_job(table: DataFrame, settings, error, message) -> None:
    failing = table.withColumn("x", F.raise_error(F.lit("a job ran")).cast("double"))
    with pytest.raises(error, match=message):
        TableToTensor(**settings).fit(failing)


def test_tables_without_rows_or_columns_that_say_something_are_refused(table: DataFrame) -> None:
    with pytest.raises(DataError, match="no rows to fit on"):
        TableToTensor(inputCols=["x", "c"]).fit(table.limit(0))
    with pytest.raises(DataError, match="every column is left out: 'same': constant: every value is 7; 'empty': all"):
        TableToTensor(inputCols=["same", "empty"]).fit(table)


def test_other_columns_at_transform_are_refused_before_a_job(table: DataFrame) -> None:
    model = TableToTensor(inputCols=["x", "c", "day", "t", "b"]).fit(table)
    other = ArrayToTensor(inputCol="a", outputCol="t", dtype="int64").transform(table.drop("t"))
    for frame, message in (
        (table.drop("c"), "no column 'c'"),
        (table.withColumn("x", F.lit("1")), "'x' is string; in training it was double, a number"),
        (table.withColumn("c", F.lit(1)), "'c' is int; in training it was string, a category"),
        (table.withColumn("b", F.lit("true")), "'b' is string; in training it was boolean, a category"),
        (table.withColumn("day", F.col("at")), "'day' is timestamp; in training it was date"),
        (table.drop("t").withColumnRenamed("a", "t"), "'t' is array<int>; in training it was binary, a tensor"),
        (other, r"'t' holds tensors int64\[2\]; in training int32\[2\]"),
    ):
        with pytest.raises(SchemaError, match=message):
            model.transform(frame)
    wider = table.withColumn("x", F.col("x").cast("float")).withColumn("b", ~F.col("b"))
    assert model.transform(wider).count() == ROWS


def test_the_most_frequent_levels_stay_of_a_column_with_many(spark: SparkSession) -> None:
    frame = spark.range(0, 3000, 1, 1).select(
        F.when(F.col("id") % 3 == 0, F.lit("b")).when(F.col("id") % 3 == 1, F.lit("a")).otherwise(
            F.concat(F.lit("once "), "id")
        ).alias("city"),
    )  # fmt: skip
    model = TableToTensor(maxLevels=2, oneHotLevels=0).fit(frame)
    assert model.encoder.columns[0].levels.to_pylist() == ["a", "b"]
    report = model.report.columns[0]
    assert (report.levels, report.known, report.rare) == (1002, 2, 1 / 3)
    assert np.bincount(tensors(model.transform(frame))[:, 0].astype(int)).tolist() == [0, 1000, 1000, 1000]
    later = frame.union(spark.createDataFrame([(None,), ("a",), ("c",), ("c",)], "city string"))
    assert [row.asDict() for row in model.countUnknown(later).collect()] == [
        {"name": "city", "rows": 3004, "missing": 1, "unknown": 1002}
    ]


def test_whole_numbers_are_left_out_only_where_no_two_rows_have_the_same(spark: SparkSession) -> None:
    # Samples hold 1,024 values of the 3,000, and most likely not the one that two rows have.
    frame = spark.range(0, 3000, 1, 1).select(
        F.col("id").alias("key"),
        F.when(F.col("id") == 2999, 0).otherwise(F.col("id")).alias("nearly"),
        F.when(F.col("id") % 3 > 0, F.col("id")).alias("gaps"),
    )
    model = TableToTensor().fit(frame)
    reasons = {column.name: column.reason for column in model.report.columns}
    alone = "identifier: no two rows have the same value"
    assert reasons == {"key": alone, "nearly": None, "gaps": alone}


@pytest.mark.slow
def test_tables_of_2000_columns_are_fitted_and_encoded(spark: SparkSession) -> None:
    columns = [f"double((id * 7 + {i}) % {11 + i % 89}) as `n.{i}`" for i in range(1500)]
    columns += [f"concat('l', (id + {i}) % 50) as s{i}" for i in range(500)]
    frame = spark.range(0, 120, 1, 1).selectExpr(*columns)
    model = TableToTensor().fit(frame)
    assert model.layout.numbers == 1500
    assert model.layout.categories == (52,) * 500
    assert tensors(model.transform(frame).limit(10)).shape == (10, 2000)
