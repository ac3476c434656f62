from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from pyspark.errors import PySparkException
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import DenseVector, SparseVector, Vectors, VectorUDT
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions import (
    ArrayToTensor,
    TensorSpec,
    TensorToVector,
    VectorToTensor,
    from_tensor_column,
    tensor_spec,
    to_tensor_column,
    with_tensor_spec,
)
from sparkwater.conversions.stages.columns import checked_tensors
from sparkwater.conversions.tensors.spec import DTYPES
from sparkwater.errors import ConfigurationError, SchemaError

#: Long, and what it asks of Spark `test_frames.py` asks on the newest set, too.
pytestmark = pytest.mark.house

#: Values that each dtype holds exactly, its limits among them.
VALUES: dict[str, list[Any]] = {
    "bool": [True, False, True, True],
    "uint8": [0, 1, 128, 255],
    "int8": [-128, -1, 0, 127],
    "int16": [-(2**15), -1, 0, 2**15 - 1],
    "int32": [-(2**31), -1, 0, 2**31 - 1],
    "int64": [-(2**63), -1, 2**53 + 1, 2**63 - 1],
    "float16": [-65504.0, -0.5, 2.0**-24, 65504.0],
    "float32": [-1.5, 2.0**-149, 0.0, 2.0**100],
    "float64": [-1.5, 2.0**-1074, 0.1, 2.0**1000],
}

SPARK_TYPES = {
    "bool": "boolean",
    "uint8": "smallint",
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float16": "float",
    "float32": "float",
    "float64": "double",
}


def numbers(rows: list[Row], dtype: str, name: str = "tensor") -> list[list[Any] | None]:
    return [None if row[name] is None else np.frombuffer(row[name], dtype).tolist() for row in rows]


def tensors(frame: DataFrame, dtype: str) -> list[list[Any] | None]:
    return numbers(frame.select("tensor").collect(), dtype)


def vectors(spark: SparkSession, rows: list[tuple[int, Any]]) -> DataFrame:
    schema = T.StructType([T.StructField("id", T.LongType()), T.StructField("features", VectorUDT())])
    return spark.createDataFrame(rows, schema).coalesce(1)


def test_dense_and_sparse_vectors_give_the_same_tensor(spark: SparkSession) -> None:
    frame = vectors(spark, [(0, DenseVector([1, 0, 0, 2.5])), (1, SparseVector(4, {0: 1.0, 3: 2.5}))])
    found = VectorToTensor(inputCol="features", outputCol="tensor", shape=[2, 2], dtype="float32").transform(frame)
    assert tensor_spec(found.schema["tensor"]) == TensorSpec("float32", (2, 2))
    assert tensors(found, "<f4") == [[1, 0, 0, 2.5]] * 2


def test_arrays_of_numbers_become_tensors(spark: SparkSession) -> None:
    kinds = [("int", "uint8"), ("int", "int64"), ("double", "float64"), ("smallint", "float32")]
    frame = spark.createDataFrame([([0, 1, 2, 3, 4, 250],)], "a array<int>")
    for kind, dtype in kinds:
        frame = frame.withColumn(kind, F.col("a").cast(f"array<{kind}>"))
        frame = ArrayToTensor(inputCol=kind, outputCol=f"{kind} {dtype}", shape=[3, 2], dtype=dtype).transform(frame)
    row = frame.first()
    found = {(kind, dtype): np.frombuffer(row[f"{kind} {dtype}"], dtype).tolist() for kind, dtype in kinds}
    assert found == {key: [0, 1, 2, 3, 4, 250] for key in kinds}


@pytest.mark.parametrize("kinds", [["boolean", "tinyint", "smallint"], ["int", "bigint", "float", "double"]])
def test_plain_numbers_become_tensors(spark: SparkSession, kinds: list[str]) -> None:
    frame = spark.range(0, 2, 1, 1).select(*(F.col("id").cast(kind).alias(kind) for kind in kinds))
    for kind, shape in zip(kinds, ([1], [1, 1, 1], [1], [1]), strict=False):
        stage = ArrayToTensor(inputCol=kind, outputCol=f"{kind} tensor", shape=shape, dtype="float64")
        frame = stage.transform(frame)
    rows = frame.collect()
    assert {kind: numbers(rows, "<f8", f"{kind} tensor") for kind in kinds} == {kind: [[0], [1]] for kind in kinds}


def test_large_integers_are_not_rounded(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(2**53 + 1, [2**53 + 1, -(2**63)])], "number long, a array<long>")
    one = ArrayToTensor(inputCol="number", outputCol="one", shape=[1], dtype="int64")
    two = ArrayToTensor(inputCol="a", outputCol="two", shape=[2], dtype="int64")
    found = two.transform(one.transform(frame)).first()
    assert np.frombuffer(found.one, "<i8").tolist() == [2**53 + 1]
    assert np.frombuffer(found.two, "<i8").tolist() == [2**53 + 1, -(2**63)]


WRONG = [
    (0, Vectors.dense(1, 2)),
    (1, Vectors.dense(1, 2, 3)),
    (2, None),
    (3, Vectors.dense()),
    (4, Vectors.sparse(2, {})),
    (5, Vectors.sparse(1, {})),
]


def test_wrong_lengths_and_nulls_are_dropped_by_skip(spark: SparkSession) -> None:
    stage = VectorToTensor(inputCol="features", outputCol="tensor", shape=[2], dtype="float32", handleInvalid="skip")
    found = stage.transform(vectors(spark, WRONG))
    rows = found.collect()
    assert [row.id for row in rows] == [0, 4]
    assert numbers(rows, "<f4") == [[1, 2], [0, 0]]


def test_wrong_lengths_and_nulls_have_no_tensor_under_keep(spark: SparkSession) -> None:
    stage = VectorToTensor(inputCol="features", outputCol="tensor", shape=[2], dtype="float32", handleInvalid="keep")
    found = stage.transform(vectors(spark, WRONG))
    rows = found.collect()
    assert [row.id for row in rows] == [0, 1, 2, 3, 4, 5]
    assert numbers(rows, "<f4") == [[1, 2], None, None, None, [0, 0], None]


@pytest.mark.parametrize(
    ("row", "message"),
    [(1, r"invalid row 1: the row has 3 values where float32\[2\] has 2"), (2, "invalid row 2: the value is null")],
)
def test_a_wrong_length_or_a_null_is_named(spark: SparkSession, row: int, message: str) -> None:
    stage = VectorToTensor(inputCol="features", outputCol="tensor", shape=[2], dtype="float32", idCol="id")
    with pytest.raises(PySparkException, match=message):
        stage.transform(vectors(spark, [WRONG[0], WRONG[row]])).collect()


def kept(frame: DataFrame, kinds: dict[str, str], shape: list[int]) -> dict[str, list[list[Any] | None]]:
    """Return the tensors of `given`, cast to types of Spark, in a dtype each."""
    for kind, dtype in kinds.items():
        frame = frame.withColumn(kind, F.col("given").cast(kind))
        stage = ArrayToTensor(inputCol=kind, outputCol=f"{kind} tensor", shape=shape, dtype=dtype)
        frame = stage.setHandleInvalid("keep").transform(frame)
    rows = frame.collect()
    return {kind: numbers(rows, dtype, f"{kind} tensor") for kind, dtype in kinds.items()}


def test_a_null_number_is_an_unusable_row(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1,), (None,)], "given int").coalesce(1)
    kinds = {"boolean": "int32", "int": "float32", "bigint": "int32", "float": "int32", "double": "float32"}
    assert kept(frame, kinds, [1]) == {kind: [[1], None] for kind in kinds}


def test_a_null_in_an_array_is_an_unusable_row(spark: SparkSession) -> None:
    frame = spark.createDataFrame([([1, 2],), ([1, None],), (None,)], "given array<int>").coalesce(1)
    kinds = {"array<int>": "float32", "array<double>": "int32"}
    assert kept(frame, kinds, [2]) == {kind: [[1, 2], None, None] for kind in kinds}


#: Twelve numbers as three levels of arrays of the shape [2, 3, 2], and what is wrong where they have another one.
IRREGULAR = {
    "as asked": ([[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]], None),
    "outer": ([[[0, 1], [2, 3], [4, 5], [6, 7]], [[8, 9], [10, 11]]], "lengths"),
    "inner": ([[[0, 1], [2, 3], [4, 5]], [[6, 7, 8], [9], [10, 11]]], "lengths"),
    "both": ([[[0, 1, 2], [3]], [[4, 5], [6, 7], [8, 9], [10, 11]]], "lengths"),
    "outermost": ([[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]], "lengths"),
    "too many": ([[[0, 1], [2, 3], [4, 5]]] * 3, "18 values"),
    "a null level": ([[[0, 1], [2, 3], [4, 5]], None], "null"),
    "a null level below": ([[[0, 1], [2, 3], [4, 5]], [[6, 7], None, [10, 11]]], "null"),
}


def test_no_number_of_a_nested_array_changes_its_place(spark: SparkSession) -> None:
    rows = [(name, array) for name, (array, _) in IRREGULAR.items()]
    frame = spark.createDataFrame(rows, "name string, a array<array<array<int>>>").coalesce(1)
    for kind in ("int", "double"):
        frame = frame.withColumn(kind, F.col("a").cast(f"array<array<array<{kind}>>>"))
        stage = ArrayToTensor(inputCol=kind, outputCol=f"{kind} tensor", shape=[2, 3, 2], dtype="int32")
        frame = stage.setHandleInvalid("keep").transform(frame)
        checked = checked_tensors(frame, kind, TensorSpec("int32", (2, 3, 2)))
        frame = frame.withColumn(f"{kind} problem", checked["problem"])
    rows = frame.collect()
    for kind in ("int", "double"):
        assert numbers(rows, "<i4", f"{kind} tensor") == [list(range(12))] + [None] * 7
        found = {row.name: row[f"{kind} problem"] for row in rows}
        assert found.pop("as asked") is None
        assert all(IRREGULAR[name][1] in reason for name, reason in found.items())


def test_a_nan_is_kept_as_it_is(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(float("nan"), [1.0, float("nan")])], "number double, a array<double>")
    one = ArrayToTensor(inputCol="number", outputCol="one", shape=[1], dtype="float32")
    two = ArrayToTensor(inputCol="a", outputCol="two", shape=[2], dtype="float32")
    found = two.transform(one.transform(frame)).first()
    assert np.isnan(np.frombuffer(found.one, "<f4")).all()
    assert np.isnan(np.frombuffer(found.two, "<f4")).tolist() == [False, True]


@pytest.fixture(scope="module")
def unread() -> DataFrame:
    """A DataFrame that fails as soon as a job looks at it."""
    boom = F.raise_error(F.lit("a job ran"))
    kinds = {"a": "array<int>", "text": "string", "words": "array<string>", "price": "decimal(5,2)"}
    frame = start_session("local[2]").range(1).select(*(boom.cast(kind).alias(name) for name, kind in kinds.items()))
    return frame.withColumn("vector", array_to_vector(F.array(F.lit(1.0))))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"inputCol": "nothing"}, SchemaError, "no column 'nothing'"),
        ({"inputCol": "text"}, SchemaError, "'text' of string"),
        ({"inputCol": "words"}, SchemaError, "'words' of array<string>"),
        ({"inputCol": "price"}, SchemaError, r"'price' of decimal"),
        ({"outputCol": "text"}, SchemaError, "outputCol='text'"),
        ({"inputCol": "vector"}, SchemaError, "VectorToTensor takes ML vectors"),
        ({"shape": [0]}, SchemaError, "positive integers"),
        ({"dtype": "uint16"}, SchemaError, "dtype='uint16'"),
        ({"handleInvalid": "ignore"}, ConfigurationError, "handleInvalid='ignore'"),
        ({"idCol": "number"}, SchemaError, "no column 'number'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_job(
    unread: DataFrame, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    accepted = {"inputCol": "a", "outputCol": "tensor", "shape": [2]}
    stage = ArrayToTensor(**{name: value for name, value in {**accepted, **settings}.items() if value is not None})
    with pytest.raises(error, match=message):
        stage.transform(unread)


def test_vectors_survive_the_way_to_tensors_and_back(spark: SparkSession) -> None:
    rows = [(0, Vectors.dense(0.1, -2, 1e300)), (1, None), (2, Vectors.sparse(3, {1: 5.0}))]
    there = VectorToTensor(inputCol="features", outputCol="tensor", shape=[3, 1], dtype="float64", handleInvalid="keep")
    back = TensorToVector(inputCol="tensor", outputCol="again")
    found = back.transform(there.transform(vectors(spark, rows)))
    assert isinstance(found.schema["again"].dataType, VectorUDT)
    assert [row.again and row.again.toArray().tolist() for row in found.collect()] == [
        [0.1, -2, 1e300],
        None,
        [0, 5, 0],
    ]


def test_only_tensor_columns_become_vectors(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(b"1234",)], "raw binary")
    with pytest.raises(SchemaError, match="'raw' is no tensor column"):
        TensorToVector(inputCol="raw", outputCol="vector").transform(frame)
    with pytest.raises(SchemaError, match="no column 'tensor'"):
        TensorToVector(inputCol="tensor", outputCol="vector").transform(frame)
    marked = with_tensor_spec(frame, "raw", TensorSpec("uint8", (4,)))
    with pytest.raises(SchemaError, match="outputCol='raw'"):
        TensorToVector(inputCol="raw", outputCol="raw").transform(marked)


#: Few in one job: each conversion has a Python worker of its own.
SOME = [DTYPES[place : place + 3] for place in range(0, len(DTYPES), 3)]


@pytest.mark.parametrize("dtypes", SOME)
def test_columns_of_every_dtype_come_back_unchanged(spark: SparkSession, dtypes: Sequence[str]) -> None:
    specs = {dtype: TensorSpec(dtype, (2, 2)) for dtype in dtypes}
    kinds = {dtype: f"array<{SPARK_TYPES[dtype]}>" for dtype in dtypes}
    schema = ", ".join(f"{dtype} {kind}" for dtype, kind in kinds.items())
    values = tuple(VALUES[dtype] for dtype in dtypes)
    frame = spark.createDataFrame([values, (None,) * len(dtypes)], schema).coalesce(1)
    packed = frame.select(*(to_tensor_column(F.col(dtype), spec).alias(dtype) for dtype, spec in specs.items()))
    again = {name: from_tensor_column(F.col(name), spec, flatten=True) for name, spec in specs.items()}
    unpacked = packed.select("*", *(column.alias(f"{name} again") for name, column in again.items()))
    rows = unpacked.collect()
    for dtype, spec in specs.items():
        assert unpacked.schema[f"{dtype} again"].dataType.simpleString() == kinds[dtype]
        assert bytes(rows[0][dtype]) == np.array(VALUES[dtype], spec.numpy_dtype).tobytes()
        assert rows[0][f"{dtype} again"] == VALUES[dtype]
        assert (rows[1][dtype], rows[1][f"{dtype} again"]) == (None, None)


@pytest.mark.parametrize("dtypes", SOME)
def test_tensors_of_every_dtype_become_vectors(spark: SparkSession, dtypes: Sequence[str]) -> None:
    specs = {dtype: TensorSpec(dtype, (4,)) for dtype in dtypes}
    raw = tuple(np.array(VALUES[dtype], spec.numpy_dtype).tobytes() for dtype, spec in specs.items())
    frame = spark.createDataFrame([raw], ", ".join(f"{dtype} binary" for dtype in dtypes))
    for dtype, spec in specs.items():
        frame = with_tensor_spec(frame, dtype, spec)
        frame = TensorToVector(inputCol=dtype, outputCol=f"{dtype} vector").transform(frame)
    row = frame.first()
    assert {dtype: row[f"{dtype} vector"].toArray().tolist() for dtype in dtypes} == {
        dtype: [float(x) for x in VALUES[dtype]] for dtype in dtypes
    }


def test_channels_last_values_are_reordered(spark: SparkSession) -> None:
    picture = np.arange(24).reshape(2, 4, 3)
    spec = TensorSpec("uint8", (3, 2, 4))
    frame = spark.createDataFrame([(picture.reshape(-1).tolist(),)], "a array<int>")
    last, first = frame.select(
        to_tensor_column(F.col("a"), spec, channels_last=True), to_tensor_column(F.col("a"), spec)
    ).first()
    assert bytes(last) == picture.astype(np.uint8).transpose(2, 0, 1).tobytes()
    assert bytes(first) == bytes(range(24))


def test_ml_vectors_are_packed_through_vector_to_array(spark: SparkSession) -> None:
    frame = vectors(spark, [(0, Vectors.sparse(3, {2: 4.0}))])
    spec = TensorSpec("float16", (3,))
    found = frame.select(to_tensor_column(vector_to_array("features"), spec).alias("tensor"))
    assert tensors(found, "<f2") == [[0, 0, 4]]


def test_a_wrong_length_fails_the_column_function(spark: SparkSession) -> None:
    frame = spark.createDataFrame([([1, 2, 3],)], "a array<int>")
    with pytest.raises(PySparkException, match=r"DataError.*3 values where int32\[2\] has 2"):
        frame.select(to_tensor_column(F.col("a"), TensorSpec("int32", (2,)))).collect()


def test_the_spec_is_read_from_the_field_and_survives_parquet(spark: SparkSession, tmp_path: Path) -> None:
    spec = TensorSpec("int16", (2,))
    frame = spark.createDataFrame([(b"abcd", "x")], "tensor binary, text string")
    assert tensor_spec(frame.schema["tensor"]) is None
    marked = with_tensor_spec(frame.withMetadata("tensor", {"mine": 1}), "tensor", spec)
    assert marked.schema["tensor"].metadata["mine"] == 1
    marked.write.parquet(str(tmp_path / "data"))
    read = spark.read.parquet(str(tmp_path / "data"))
    assert tensor_spec(read.schema["tensor"]) == spec
    assert tensor_spec(with_tensor_spec(frame, "text", spec).schema["text"]) is None


def test_names_with_dots_and_spaces_are_names(spark: SparkSession) -> None:
    frame = spark.createDataFrame([([1, 2], 3)], ["a.b c", "n"])
    found = ArrayToTensor(inputCol="a.b c", outputCol="t.x y").transform(frame)
    assert tensor_spec(found.schema["t.x y"]) == TensorSpec("int64", (2,))
    back = TensorToVector(inputCol="t.x y", outputCol="v.w").transform(found)
    assert back.schema.names == ["a.b c", "n", "t.x y", "v.w"]
    assert back.collect()[0]["v.w"] == Vectors.dense(1, 2)
