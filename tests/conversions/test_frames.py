"""Whole DataFrames to torch and back."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import start_session
from digits import png_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JJavaError
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions import (
    TensorSpec,
    find_categories,
    from_numpy,
    from_torch,
    iter_torch_batches,
    tensor_spec,
    to_tensors,
    to_torch,
    torch_batches,
    with_tensor_spec,
)
from sparkwater.conversions.tensors.spec import DTYPES
from sparkwater.errors import ConfigurationError, DataError, SchemaError


@pytest.fixture(scope="module")
def rows() -> list[tuple[Any, ...]]:
    return [
        (
            i,
            i / 3,
            [[i, i + 1], [i + 2, i + 3]],
            "cab"[i % 3],
            Vectors.sparse(3, {1: float(i)}) if i % 2 else Vectors.dense(1, 2, i),
            i % 2 == 0,
        )
        for i in range(10)
    ]


NAMES = ["id", "x", "nested", "category", "vector", "even"]


def test_every_kind_of_column_becomes_tensors_by_one_call(spark: SparkSession, rows: list[tuple[Any, ...]]) -> None:
    frame = spark.createDataFrame(rows, NAMES).repartition(3)
    found = list(
        iter_torch_batches(
            frame,
            batch_size=4,
            categories={"category": find_categories(frame, "category")},
            dtypes={"vector": "float32"},
        )
    )
    assert [len(batch["id"]) for batch in found] == [4, 4, 2]
    whole = {name: torch.cat([batch[name] for batch in found]) for name in NAMES}
    ids = whole["id"]
    assert sorted(ids.tolist()) == list(range(10))
    expected = {
        "x": ids.double() / 3,
        "nested": ids.view(-1, 1, 1) + torch.tensor([[0, 1], [2, 3]]),
        "category": torch.tensor([2, 0, 1])[ids % 3],
        "even": ids % 2 == 0,
    }
    for name, values in expected.items():
        assert torch.equal(whole[name], values), name
    even = torch.stack([torch.ones(10), torch.full((10,), 2.0), ids.float()], dim=1)
    odd = torch.stack([torch.zeros(10), ids.float(), torch.zeros(10)], dim=1)
    assert torch.equal(whole["vector"], torch.where(whole["even"].view(-1, 1), even, odd))
    assert whole["vector"].dtype == torch.float32


def test_rows_come_in_the_order_of_the_dataframe(spark: SparkSession) -> None:
    frame = spark.range(0, 1000, 1, 7)
    assert to_torch(frame)["id"].tolist() == list(range(1000))
    found = [batch["id"] for batch in iter_torch_batches(frame, batch_size=64, drop_last=True)]
    assert torch.cat(found).tolist() == list(range(960))


def test_tensor_columns_have_their_specs_and_survive_parquet(spark: SparkSession, tmp_path: Path) -> None:
    frame = to_tensors(spark.range(4).select(F.array("id", "id").alias("pair"), F.col("id").cast("float").alias("x")))
    frame.write.parquet(str(tmp_path / "tensors"))
    read = spark.read.parquet(str(tmp_path / "tensors"))
    assert tensor_spec(read.schema["pair"]) == TensorSpec("int64", (2,))
    assert tensor_spec(read.schema["x"]) == TensorSpec("float32", ())
    assert sorted(to_torch(read)["pair"][:, 1].tolist()) == [0, 1, 2, 3]


def test_pictures_are_decoded_where_a_shape_is_given(spark: SparkSession) -> None:
    frame = png_frame(spark, 8)
    found = to_torch(frame.coalesce(1), ["content", "id"], image_shape=[16, 16, 1])
    assert found["content"].shape == (8, 1, 16, 16)
    assert found["content"].dtype == torch.uint8
    assert found["id"].tolist() == list(range(8))


def test_an_empty_dataframe_gives_empty_tensors(spark: SparkSession) -> None:
    frame = spark.createDataFrame([], "x double, a array<int>")
    found = to_torch(frame, shapes={"a": [2, 2]})
    assert {name: tuple(values.shape) for name, values in found.items()} == {"x": (0,), "a": (0, 2, 2)}
    assert list(iter_torch_batches(frame, ["x"])) == []


def test_rows_that_cannot_be_used_are_errors_or_skipped(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(0, [1, 2]), (1, None), (2, [3, 4]), (3, [5])], "id int, a array<int>").coalesce(1)
    with pytest.raises(DataError, match="'a', row 1 of its partition: the value is null"):
        to_torch(frame)
    found = to_torch(frame, handle_invalid="skip")
    assert found["id"].tolist() == [0, 2]
    assert found["a"].tolist() == [[1, 2], [3, 4]]


def test_a_module_that_executors_lack_is_named_unless_something_else_went_wrong(spark):
    def lacking(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        importlib.import_module("nowhere.to_be_found")
        yield from batches

    def failing(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            importlib.import_module("json.decoder.nothing")  # which is not a package, Python adds
        except ImportError:
            raise ArithmeticError("another cause")  # noqa: B904 (users do this)
        yield from batches

    numbers = spark.range(4)
    with pytest.raises(ConfigurationError, match="the Python on the executors has no module nowhere; install there"):
        to_torch(numbers.mapInArrow(lacking, "id long"))
    with pytest.raises(Py4JJavaError, match="another cause"):
        to_torch(numbers.mapInArrow(failing, "id long"))


@pytest.fixture(scope="module")
def unread() -> DataFrame:
    """A DataFrame that fails as soon as a job looks at it."""
    boom = F.raise_error(F.lit("a job ran"))
    kinds = {"id": "long", "text": "string", "price": "decimal(5,2)"}
    return start_session("local[2]").range(1).select(*(boom.cast(kind).alias(name) for name, kind in kinds.items()))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"columns": ["nothing"]}, SchemaError, "no column 'nothing'"),
        ({"columns": []}, ConfigurationError, "at least one column"),
        ({"columns": ["text"]}, SchemaError, "'text' is string.*categories"),
        ({"columns": ["price"]}, SchemaError, "'price' is decimal"),
        ({"columns": ["id"], "dtypes": {"id": "uint16"}}, SchemaError, "dtype='uint16'"),
        ({"columns": ["id"], "dtypes": {"x": "uint8"}}, ConfigurationError, "dtypes names 'x'"),
        ({"columns": ["id"], "categories": {"id": ["a"]}}, SchemaError, "'id' is bigint; categories are strings"),
        ({"columns": ["text"], "categories": {"text": ["a", "a"]}}, ConfigurationError, "different strings"),
        ({"columns": ["id"], "handle_invalid": "keep"}, ConfigurationError, "handle_invalid='keep'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_job(
    unread: DataFrame, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    for function in (to_tensors, to_torch, iter_torch_batches):
        with pytest.raises(error, match=message):
            function(unread, **arguments)


def test_batch_size_is_checked_at_once(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match="batch_size=0"):
        iter_torch_batches(spark.range(3), batch_size=0)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tensors_to_dataframe_and_back_is_the_identity_bit_for_bit(spark: SparkSession, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 20))
    shapes = data.draw(st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=5, max_size=9))
    dtypes = [data.draw(st.sampled_from(DTYPES)) for _ in shapes]
    given_arrays = {
        f"c{i}": random_bits(TensorSpec(dtype, shape), count, seed=i)
        for i, (dtype, shape) in enumerate(zip(dtypes, shapes, strict=True))
    }
    frame = from_numpy(spark, given_arrays).repartitionByRange(data.draw(st.integers(1, 4)), "c0")
    frame = frame.withColumn("c0", F.col("c0")) if data.draw(st.booleans()) else frame
    found = {name: values.numpy() for name, values in to_torch(frame).items()}
    key = lambda arrays: sorted(  # noqa: E731 - rows as bytes, all columns together
        b"|".join(arrays[name][row].tobytes() for name in given_arrays) for row in range(count)
    )
    assert key(found) == key(given_arrays)
    assert {name: (values.dtype, values.shape) for name, values in found.items()} == {
        name: (values.dtype, values.shape) for name, values in given_arrays.items()
    }


def random_bits(spec: TensorSpec, rows: int, seed: int) -> np.ndarray:
    """Any bits at all, NaN payloads and negative zeros among them; plain columns of Spark keep quiet NaNs only."""
    generator = np.random.default_rng(seed)
    if spec.dtype == "bool":
        return generator.integers(0, 2, (rows, *spec.shape)).astype(bool)
    raw = generator.integers(0, 256, rows * spec.nbytes, dtype=np.uint8).view(spec.numpy_dtype)
    values = raw.reshape(rows, *spec.shape).copy()
    if spec.numpy_dtype.kind == "f":
        values[0] = -0.0
        if not spec.shape:
            values[~np.isfinite(values)] = np.nan
    return values


def test_torch_tensors_become_columns_and_come_back(spark: SparkSession) -> None:
    tensors = {
        "picture": torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2),
        "label": torch.tensor([3, 4]),
        "half": torch.tensor([0.5, -0.0], dtype=torch.float16),
        "score": torch.tensor([0.25, -1.5], requires_grad=True),
    }
    frame = from_torch(spark, tensors)
    kinds = {field.name: field.dataType.simpleString() for field in frame.schema}
    assert kinds == {"picture": "binary", "label": "bigint", "half": "binary", "score": "float"}
    found = to_torch(frame)
    for name, values in tensors.items():
        assert torch.equal(found[name], values.detach())
        assert found[name].dtype == values.dtype


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "at least one axis"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "'a': 2, 'b': 3"),
        ({"a": np.array(1.0)}, "at least one axis"),
        ({"a": np.zeros(2, np.complex64)}, "dtype='complex64'"),
    ],
)
def test_arrays_that_make_no_rows_are_refused(spark: SparkSession, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        from_numpy(spark, arrays)


def test_executor_functions_read_tensors_vectors_and_numbers_in_arrow(
    spark: SparkSession, rows: list[tuple[Any, ...]]
) -> None:
    frame = spark.createDataFrame(rows, NAMES).select("id", "vector", "nested")
    specs = {
        "id": TensorSpec("int64", ()),
        "vector": TensorSpec("float32", (3,)),
        "nested": TensorSpec("int64", (2, 2)),
    }

    def sums(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for tensors in torch_batches(batches, specs, batch_size=2):
            total = tensors["vector"].sum(1).double() + tensors["nested"].sum((1, 2))
            yield pa.record_batch([pa.array(tensors["id"].numpy()), pa.array(total.numpy())], ["id", "total"])

    found = {row.id: row.total for row in frame.mapInArrow(sums, "id long, total double").collect()}
    assert found == {i: (i if i % 2 else 3 + i) + 4 * i + 6 for i in range(10)}


@pytest.mark.house  # long
def test_tensors_of_40_mb_never_meet_arrow_s_limit(spark: SparkSession) -> None:
    # 55 of them are 2.2 GB, more than one Arrow array can hold, in one partition.
    rows, spec, first_byte = 55, TensorSpec("uint8", (40_000_000,)), 65

    def ends(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for tensors in torch_batches(batches, {"id": TensorSpec("int64", ()), "t": spec}):
            first, last = tensors["t"][:, 0].long(), tensors["t"][:, -1].long()
            yield pa.record_batch([pa.array(x.numpy()) for x in (tensors["id"], first, last)], ["id", "first", "last"])

    made = spark.range(0, rows, 1, 1).selectExpr(
        "id", f"cast(repeat(char(id + {first_byte}), {spec.nbytes}) as binary) as t"
    )
    frame = with_tensor_spec(made, "t", spec)
    found = to_tensors(frame).mapInArrow(ends, "id long, first long, last long").collect()
    assert [tuple(row) for row in found] == [(row, first_byte + row, first_byte + row) for row in range(rows)]


@pytest.mark.house  # long
def test_large_tensors_stream_to_the_driver_a_partition_at_a_time(spark: SparkSession) -> None:
    frame = spark.range(0, 6, 1, 6).select("id", F.array_repeat(F.col("id").cast("double"), 1_000_000).alias("a"))
    seen = []
    for batch in iter_torch_batches(frame, batch_size=1, shapes={"a": [1000, 1000]}):
        assert batch["a"][0, [0, -1], [0, -1]].tolist() == [float(batch["id"])] * 2
        seen.append(int(batch["id"]))
    assert seen == list(range(6))
