from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from pyspark.errors import PySparkException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions import (
    ArrayToTensor,
    CategoryToTensor,
    TensorAssembler,
    TensorSpec,
    TensorToArray,
    TensorToVector,
    VectorToTensor,
    find_categories,
    tensor_spec,
)
from sparkwater.errors import ConfigurationError, DataError, SchemaError

#: What it asks of Spark and Arrow `test_frames.py` asks on the newest set, too.
pytestmark = pytest.mark.house


def values(frame: DataFrame, name: str, dtype: str) -> list[list[Any] | None]:
    return [None if row[0] is None else np.frombuffer(row[0], dtype).tolist() for row in frame.select(name).collect()]


@pytest.fixture(scope="module")
def mixed() -> Iterator[DataFrame]:
    rows = [
        (0, 1, 0.5, [[1, 2], [3, 4]], Vectors.dense(9, 8), True, "b"),
        (1, None, 0.5, [[1, 2], [3, 4]], Vectors.dense(9, 8), True, "a"),
        (2, 3, 1.5, [[5, 6], [7]], Vectors.sparse(2, {1: 7.0}), False, "a"),
        (3, 300, -1.0, [[5, 6], [7, 8]], Vectors.sparse(2, {1: 7.0}), None, None),
        (4, 255, 2.0, [[5, 6], [7, 8]], Vectors.sparse(2, {1: 7.0}), False, "c"),
    ]
    kinds = {
        "id": T.IntegerType(),
        "n": T.IntegerType(),
        "x": T.DoubleType(),
        "m": T.ArrayType(T.ArrayType(T.IntegerType())),
        "v": VectorUDT(),
        "b": T.BooleanType(),
        "c": T.StringType(),
    }
    schema = T.StructType([T.StructField(name, kind) for name, kind in kinds.items()])
    frame = start_session("local[2]").createDataFrame(rows, schema).coalesce(1).cache()
    yield frame
    frame.unpersist()


def test_columns_lie_side_by_side_in_their_order(mixed: DataFrame) -> None:
    stage = TensorAssembler(inputCols=["v", "n", "m", "b", "x"], outputCol="t", handleInvalid="keep", dtype="float32")
    found = stage.transform(mixed)
    assert tensor_spec(found.schema["t"]) == TensorSpec("float32", (9,))
    assert values(found, "t", "<f4") == [
        [9, 8, 1, 1, 2, 3, 4, 1, 0.5],
        None,
        None,
        None,
        [0, 7, 255, 5, 6, 7, 8, 0, 2],
    ]


def test_the_error_names_row_and_column(mixed: DataFrame) -> None:
    stage = TensorAssembler(inputCols=["n", "x"], outputCol="t", dtype="uint8", idCol="id")
    with pytest.raises(PySparkException, match="invalid row 0: column 'x': the row holds a number that uint8 has no"):
        stage.transform(mixed.where("id = 0")).collect()
    with pytest.raises(PySparkException, match="invalid row 1: column 'n': the value is null"):
        stage.transform(mixed.where("id = 1")).collect()


def test_tensor_columns_are_assembled_too(mixed: DataFrame) -> None:
    tensors = ArrayToTensor(inputCol="m", outputCol="mt", handleInvalid="skip").transform(mixed)
    found = TensorAssembler(inputCols=["mt", "id"], outputCol="t").transform(tensors)
    assert tensor_spec(found.schema["t"]) == TensorSpec("int32", (5,))
    assert values(found, "t", "<i4") == [[1, 2, 3, 4, 0], [1, 2, 3, 4, 1], [5, 6, 7, 8, 3], [5, 6, 7, 8, 4]]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"inputCols": None}, ConfigurationError, "needs inputCols"),
        ({"inputCols": ["nothing"]}, SchemaError, "no column 'nothing'"),
        ({"inputCols": ["c"]}, SchemaError, "'c' of string"),
        ({"inputCols": ["big", "x"]}, SchemaError, "float64 and int64; choose one by dtype"),
        ({"outputCol": "x"}, SchemaError, "outputCol='x'"),
        ({"dtype": "uint16"}, SchemaError, "dtype='uint16'"),
    ],
)
def test_what_cannot_be_assembled_is_refused_before_any_job(
    spark: SparkSession, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    boom = F.raise_error(F.lit("a job ran"))
    frame = spark.range(1).select(
        boom.cast("string").alias("c"), boom.cast("double").alias("x"), boom.cast("long").alias("big")
    )
    given = {"inputCols": ["x"], "outputCol": "t", **settings}
    stage = TensorAssembler(**{name: value for name, value in given.items() if value is not None})
    with pytest.raises(error, match=message):
        stage.transform(frame)


def test_strings_become_their_places_in_a_list(mixed: DataFrame) -> None:
    assert find_categories(mixed, "c") == ["a", "b", "c"]
    stage = CategoryToTensor(inputCol="c", outputCol="t", categories=["c", "a"], handleInvalid="keep")
    assert values(stage.transform(mixed), "t", "<i8") == [None, [1], [1], None, [0]]
    strict = CategoryToTensor(inputCol="c", outputCol="t", categories=["a", "c"], idCol="id")
    with pytest.raises(PySparkException, match="invalid row 0: 'b' is none of the 2 categories"):
        strict.transform(mixed).collect()
    with pytest.raises(SchemaError, match="'x' is double; categories are strings"):
        CategoryToTensor(inputCol="x", outputCol="t", categories=["a"]).transform(mixed)
    with pytest.raises(ConfigurationError, match="different strings"):
        CategoryToTensor(inputCol="c", outputCol="t").transform(mixed)
    with pytest.raises(SchemaError, match="categories are strings"):
        find_categories(mixed, "x")
    with pytest.raises(DataError, match="0 or more different"):
        find_categories(mixed.where("c is null"), "c")


def test_shapes_are_seen_in_the_first_row(mixed: DataFrame) -> None:
    assert tensor_spec(ArrayToTensor(inputCol="m", outputCol="t").transform(mixed).schema["t"]).shape == (2, 2)
    assert tensor_spec(VectorToTensor(inputCol="v", outputCol="t").transform(mixed).schema["t"]).shape == (2,)
    assert tensor_spec(ArrayToTensor(inputCol="x", outputCol="t").transform(mixed).schema["t"]).shape == ()
    with pytest.raises(DataError, match="no row to see its shape by; give shape"):
        ArrayToTensor(inputCol="m", outputCol="t").transform(mixed.where("m is null"))


def test_nested_arrays_come_back_as_they_were(mixed: DataFrame) -> None:
    there = ArrayToTensor(inputCol="m", outputCol="t", handleInvalid="keep")
    found = TensorToArray(inputCol="t", outputCol="again").transform(there.transform(mixed))
    assert found.schema["again"].dataType.simpleString() == "array<array<int>>"
    rows = found.select("m", "again").collect()
    assert [row.again for row in rows] == [row.m if row.m != [[5, 6], [7]] else None for row in rows]
    scalars = ArrayToTensor(inputCol="x", outputCol="s").transform(mixed)
    again = TensorToArray(inputCol="s", outputCol="again").transform(scalars).select("x", "again")
    assert again.schema["again"].dataType.simpleString() == "double"
    assert all(row.x == row.again for row in again.collect())


def test_every_stage_works_saved_and_loaded_in_a_pipeline(mixed: DataFrame, tmp_path: Path) -> None:
    stages = [
        VectorToTensor(inputCol="v", outputCol="vt", shape=[2], dtype="float32"),
        ArrayToTensor(inputCol="m", outputCol="mt", dtype="uint8", handleInvalid="skip"),
        CategoryToTensor(inputCol="c", outputCol="ct", categories=["a", "b", "c"], handleInvalid="skip"),
        TensorAssembler(inputCols=["vt", "mt", "ct", "x"], outputCol="all", dtype="float64"),
        TensorToVector(inputCol="all", outputCol="vector"),
        TensorToArray(inputCol="mt", outputCol="array"),
    ]
    model = Pipeline(stages=stages).fit(mixed)
    expected = model.transform(mixed).select("id", "vector", "array").collect()
    assert [row.id for row in expected] == [0, 1, 4]
    assert expected[2].vector == Vectors.dense(0, 7, 5, 6, 7, 8, 2, 2)
    assert expected[2].array == [[5, 6], [7, 8]]
    model.save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    assert loaded.transform(mixed).select("id", "vector", "array").collect() == expected
