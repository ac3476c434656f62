from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkwater.conversions import TensorSpec, VectorToTensor
from sparkwater.conversions.petastorm import tensor_transform

try:
    petastorm = pytest.importorskip("petastorm")
except (ImportError, AttributeError):
    pytest.skip("petastorm needs pyarrow < 15 and numpy < 2", allow_module_level=True)


def read(path: Path, specs: dict[str, TensorSpec]) -> dict[str, np.ndarray]:
    with petastorm.make_batch_reader(
        path.as_uri(),
        transform_spec=tensor_transform(specs),
        reader_pool_type="dummy",
        num_epochs=1,
        shuffle_row_groups=False,
    ) as reader:
        batches = [batch._asdict() for batch in reader]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_a_tensor_column_is_read_from_parquet(spark: SparkSession, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (7, 16))
    frame = spark.createDataFrame([(row, pixels[row].tolist()) for row in range(7)], "label int, a array<int>")
    stage = VectorToTensor(inputCol="a", outputCol="pixels", shape=[1, 4, 4], dtype="uint8")
    stage.transform(frame.repartition(2)).select("pixels", "label").write.parquet(str(tmp_path / "data"))
    found = read(tmp_path / "data", {"pixels": TensorSpec("uint8", (1, 4, 4))})
    assert sorted(found) == ["label", "pixels"]
    assert found["pixels"].dtype == np.uint8
    assert found["pixels"].shape == (7, 1, 4, 4)
    assert found["label"].dtype == np.int32
    order = np.argsort(found["label"])
    assert found["label"][order].tolist() == list(range(7))
    assert found["pixels"][order].tolist() == pixels.reshape(7, 1, 4, 4).tolist()


def test_two_tensor_columns_keep_their_dtypes_and_shapes(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([([0.5, -1.5, 2.0], row) for row in range(3)], "a array<double>, b int").coalesce(1)
    first = VectorToTensor(inputCol="a", outputCol="x", shape=[3])
    second = VectorToTensor(inputCol="b", outputCol="y", shape=[1, 1], dtype="int64")
    path = tmp_path / "data"
    second.transform(first.transform(frame)).select("x", "y").write.parquet(str(path))
    found = read(path, {"x": TensorSpec("float32", (3,)), "y": TensorSpec("int64", (1, 1))})
    assert (found["x"].dtype, found["y"].dtype) == (np.float32, np.int64)
    assert found["x"].tolist() == [[0.5, -1.5, 2.0]] * 3
    assert found["y"].tolist() == [[[0]], [[1]], [[2]]]
