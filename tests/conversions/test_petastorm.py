from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from petastorm_data import npy, npz, petastorm, picture, write_dataset
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.conversions.petastorm.frames import read_petastorm, tensor_transform, write_petastorm
from sparkwater.conversions.petastorm.rows import describe_petastorm
from sparkwater.conversions.petastorm.stream import stream
from sparkwater.conversions.stages.columns import tensor_spec
from sparkwater.errors import ConfigurationError, DataError, SchemaError

needs_petastorm = pytest.mark.skipif(petastorm is None, reason="petastorm needs pyarrow < 15 and numpy < 2")

SPEC = TensorSpec("float32", (2, 3))
PLAIN = "flag boolean, small byte, size long, ratio double, word string, price decimal(6,2), day date, raw binary"


def tensor_frame(spark: SparkSession, rows: int, null: int | None = None) -> DataFrame:
    """Return ``id`` and ``x``, a tensor full of the id."""
    data = [
        (row, None if row == null else bytearray(np.full(SPEC.shape, row, SPEC.numpy_dtype).tobytes()))
        for row in range(rows)
    ]
    return with_tensor_spec(spark.createDataFrame(data, "id int, x binary").coalesce(1), "x", SPEC)


def read_rows(url: str) -> list[dict[str, Any]]:
    """Return what petastorm's row reader gives, sorted by id."""
    with petastorm.make_reader(url, reader_pool_type="dummy", num_epochs=1) as reader:
        return sorted((row._asdict() for row in reader), key=lambda row: row["id"])


def read_batches(url: str, specs: dict[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Return what petastorm's batch reader gives."""
    options = {"reader_pool_type": "dummy", "num_epochs": 1, "shuffle_row_groups": False}
    with petastorm.make_batch_reader(url, transform_spec=tensor_transform(specs), **options) as reader:
        batches = [batch._asdict() for batch in reader]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def folder_of(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@needs_petastorm
def test_both_of_petastorms_readers_read_what_is_written(spark: SparkSession, tmp_path: Path) -> None:
    columns = ["true", "3Y", "4L", "0.5D", "'word'", "1.25BD", "date'2020-01-02'", "X'6162'"]
    named = [
        F.expr(part).alias(field.name) for part, field in zip(columns, T._parse_datatype_string(PLAIN), strict=True)
    ]
    frame = tensor_frame(spark, 50).select("id", "x", *named)
    url = (tmp_path / "data").as_uri()
    write_petastorm(frame, url, row_group_bytes=4_000)

    rows = read_rows(url)
    assert [row["id"] for row in rows] == list(range(50))
    assert all((row["x"].dtype, row["x"].shape) == (np.float32, (2, 3)) for row in rows)
    assert all((row["x"] == row["id"]).all() for row in rows)
    plain = {name: (type(value), value) for name, value in rows[0].items() if name not in ("id", "x")}
    assert plain == {
        "flag": (np.bool_, True),
        "small": (np.int8, 3),
        "size": (np.int64, 4),
        "ratio": (np.float64, 0.5),
        "word": (np.str_, "word"),
        "price": (Decimal, Decimal("1.25")),
        "day": (np.datetime64, np.datetime64("2020-01-02")),
        "raw": (np.bytes_, b"ab"),
    }
    batches = read_batches(url, {"x": SPEC})
    assert (batches["x"].dtype, batches["x"].shape) == (np.float32, (50, 2, 3))
    assert (batches["x"] == batches["id"][:, None, None]).all()
    assert batches["size"].dtype == np.int64

    (file,) = (tmp_path / "data").glob("*.parquet")
    groups = pq.read_metadata(file).num_row_groups
    assert groups > 1
    stored = pq.read_metadata(tmp_path / "data" / "_common_metadata").metadata
    assert json.loads(stored[b"dataset-toolkit.num_row_groups_per_file.v1"]) == {file.name: groups}
    dataset = describe_petastorm(url, ["id", "x"])
    (batch,) = stream(dataset, 0, 1, 0, 42, [50])
    assert sorted(batch["id"].tolist()) == list(range(50))
    assert (batch["x"] == batch["id"][:, None, None]).all()


@needs_petastorm
def test_a_row_group_of_large_tensors_keeps_to_its_bytes(spark: SparkSession, tmp_path: Path) -> None:
    spec = TensorSpec("uint8", (256, 1024))
    frame = spark.range(0, 40, 1, 1).select(F.expr(f"randstr({spec.nbytes}, 7)").cast("binary").alias("x"))
    url = (tmp_path / "data").as_uri()
    write_petastorm(with_tensor_spec(frame, "x", spec), url, row_group_bytes=1024 * 1024)
    sizes = [group.rows * spec.nbytes for group in describe_petastorm(url).row_groups]
    assert sum(sizes) == 40 * spec.nbytes
    assert max(sizes) <= 2 * 1024 * 1024


@needs_petastorm
def test_nulls_stay_nulls(spark: SparkSession, tmp_path: Path) -> None:
    url = (tmp_path / "data").as_uri()
    write_petastorm(tensor_frame(spark, 4, null=2), url)
    assert [row["x"] is None for row in read_rows(url)] == [False, False, True, False]
    frame = read_petastorm(spark, url)
    assert [row.x is None for row in frame.sort("id").collect()] == [False, False, True, False]
    with pytest.raises(DataError, match="row 2: the value is null"):
        list(stream(describe_petastorm(url), 0, 1, 0, 42, [4]))


@needs_petastorm
def test_a_failed_write_leaves_the_old_dataset(spark: SparkSession, tmp_path: Path) -> None:
    url = (tmp_path / "data").as_uri()
    write_petastorm(tensor_frame(spark, 3), url)
    before = folder_of(tmp_path / "data")
    with pytest.raises(ConfigurationError, match=r"exists already; .*mode=.overwrite. replaces it"):
        write_petastorm(tensor_frame(spark, 3), url)
    bad = with_tensor_spec(spark.range(2).select(F.lit(b"short").alias("x")), "x", SPEC)
    with pytest.raises(Exception, match=r"column x: a tensor has 5 bytes where float32\[2, 3\] has 24"):
        write_petastorm(bad, url, mode="overwrite")
    assert folder_of(tmp_path) == ["data"]
    assert folder_of(tmp_path / "data") == before
    write_petastorm(tensor_frame(spark, 5), url, mode="overwrite")
    assert folder_of(tmp_path) == ["data"]
    assert describe_petastorm(url).rows == 5


@needs_petastorm
def test_what_can_not_be_written_is_refused_before_a_job(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(1)
    url = (tmp_path / "data").as_uri()
    for column, message in [
        (F.array("id").alias("a"), "column 'a' is array<bigint>"),
        (F.struct("id").alias("a"), "column 'a' is struct"),
        (F.col("id").alias("a b"), "column 'a b' can't be a petastorm field"),
        (F.col("id").alias("_a"), "column '_a' can't be a petastorm field"),
    ]:
        with pytest.raises(SchemaError, match=message):
            write_petastorm(frame.select(column), url)
    with pytest.raises(ConfigurationError, match="mode='append' is not a mode"):
        write_petastorm(frame, url, mode="append")
    with pytest.raises(ConfigurationError, match="row_group_bytes=0"):
        write_petastorm(frame, url, row_group_bytes=0)
    assert not list(tmp_path.iterdir())


@needs_petastorm
def test_a_dataset_that_petastorm_materialized_is_read(spark: SparkSession, tmp_path: Path) -> None:
    from petastorm.codecs import CompressedImageCodec, CompressedNdarrayCodec, NdarrayCodec, ScalarCodec
    from petastorm.etl.dataset_metadata import materialize_dataset
    from petastorm.unischema import Unischema, UnischemaField

    # Its constructor and encoder ask for OpenCV, which its place in a schema doesn't need.
    image = CompressedImageCodec.__new__(CompressedImageCodec)
    image._image_codec, image._quality = ".png", 80
    fields = [
        UnischemaField("id", np.int32, (), ScalarCodec(T.IntegerType()), False),
        UnischemaField("word", np.str_, (), ScalarCodec(T.StringType()), True),
        UnischemaField("x", np.float64, (2, 2), NdarrayCodec(), False),
        UnischemaField("y", np.int64, (None,), CompressedNdarrayCodec(), True),
        UnischemaField("z", np.uint8, (4, 5, 3), image, False),
    ]
    schema = Unischema("Own", fields)
    generator = np.random.default_rng(4)
    pixels = generator.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    rows = []
    for row in range(6):
        x = bytes(fields[2].codec.encode(fields[2], np.full((2, 2), row, np.float64)))
        y = None if row == 3 else bytes(fields[3].codec.encode(fields[3], np.arange(3) + row))
        rows.append((row, f"word {row}", x, y, picture(pixels[row])))
    url = (tmp_path / "data").as_uri()
    with materialize_dataset(spark, url, schema, 1):
        spark.createDataFrame(rows, schema.as_spark_schema()).write.parquet(url)

    with pytest.raises(SchemaError, match=r"field 'y' has the shape \(None,\)"):
        read_petastorm(spark, url)
    frame = read_petastorm(spark, url, ["z", "id", "y", "x", "word"], shapes={"y": (3,)})
    assert [(field.name, str(tensor_spec(field))) for field in frame.schema] == [
        ("z", "uint8[4, 5, 3]"),
        ("id", "None"),
        ("y", "int64[3]"),
        ("x", "float64[2, 2]"),
        ("word", "None"),
    ]
    found = frame.sort("id").collect()
    assert [row.word for row in found] == [f"word {row}" for row in range(6)]
    assert [bytes(row.z) for row in found] == [pixels[row].tobytes() for row in range(6)]
    assert [bytes(row.x) for row in found] == [np.full((2, 2), row, "<f8").tobytes() for row in range(6)]
    assert [row.y and bytes(row.y) for row in found] == [
        None if row == 3 else (np.arange(3) + row).astype("<i8").tobytes() for row in range(6)
    ]
    (batch,) = stream(describe_petastorm(url, ["id", "x", "z", "word"]), 0, 1, 0, 42, [6])
    assert (batch["x"] == batch["id"][:, None, None]).all()
    assert batch["z"].tolist() == pixels[batch["id"]].tolist()
    assert batch["word"].tolist() == [f"word {row}" for row in batch["id"]]


def test_a_dataset_is_read_without_petastorm(spark: SparkSession, tmp_path: Path) -> None:
    fields = [
        ("id", "int32", (), "ScalarCodec", False),
        ("x", "float32", (2, 3), "NdarrayCodec", True),
        ("y", "uint8", (2,), "CompressedNdarrayCodec", True),
    ]
    tensors = [np.full((2, 3), row, np.float32) for row in range(4)]
    columns = {
        "id": pa.array(range(4), pa.int32()),
        "x": pa.array([npy(tensors[0]), None, npy(tensors[2]), npy(tensors[3])], pa.binary()),
        "y": pa.array([npz(np.array([row, 1], np.uint8)) for row in range(4)], pa.binary()),
    }
    url = write_dataset(tmp_path / "data", fields, {"a.parquet": pa.table(columns)}, 3)
    found = read_petastorm(spark, url).sort("id").collect()
    assert [row.x and bytes(row.x) for row in found] == [
        None if row == 1 else tensors[row].tobytes() for row in range(4)
    ]
    assert [list(row.y) for row in found] == [[row, 1] for row in range(4)]
    # A column that isn't asked for isn't decoded.
    wrong = read_petastorm(
        spark,
        write_dataset(
            tmp_path / "bad",
            [fields[0], ("x", "int8", (2, 3), "NdarrayCodec", True)],
            {"a.parquet": pa.table(columns)},
            3,
        ),
    )
    assert [row.id for row in wrong.select("id").sort("id").collect()] == [0, 1, 2, 3]
    with pytest.raises(Exception, match=r"column 'x': row 0: the array is float32\[2, 3\] where int8\[2, 3\]"):
        wrong.collect()


def test_what_is_no_dataset_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="_common_metadata' can't be read"):
        read_petastorm(spark, tmp_path.as_uri())


@needs_petastorm
def test_tensor_columns_that_spark_wrote_are_read_in_batches(spark: SparkSession, tmp_path: Path) -> None:
    spec = TensorSpec("int64", (1, 1))
    data = [(row, np.full(SPEC.shape, row, "<f4").tobytes(), np.full(1, row, "<i8").tobytes()) for row in range(7)]
    frame = spark.createDataFrame(data, "id int, x binary, y binary")
    frame.write.parquet(str(tmp_path / "data"))
    found = read_batches((tmp_path / "data").as_uri(), {"x": SPEC, "y": spec})
    assert (found["x"].dtype, found["x"].shape) == (np.float32, (7, 2, 3))
    assert (found["y"].dtype, found["y"].shape) == (np.int64, (7, 1, 1))
    assert found["id"].dtype == np.int32
    assert (found["x"] == found["id"][:, None, None]).all()
    assert (found["y"] == found["id"][:, None, None]).all()
