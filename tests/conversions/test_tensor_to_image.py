from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.errors import PySparkException
from pyspark.ml.image import ImageSchema
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions import ImageToTensor, TensorSpec, TensorToImage, with_tensor_spec
from sparkwater.errors import SchemaError


@pytest.mark.parametrize("channels", [1, 3])
def test_image_structs_come_back_as_they_were(spark: SparkSession, tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(tmp_path / "a.png")
    structs = spark.read.format("image").load(str(tmp_path)).select("image", F.col("image.origin").alias("from"))
    structs = structs.union(structs.select(F.lit(None), "from")).coalesce(1)
    tensors = ImageToTensor(
        inputCol="image", outputCol="tensor", imageShape=[5, 7, channels], handleInvalid="keep"
    ).transform(structs)
    found = TensorToImage(inputCol="tensor", outputCol="again", originCol="from").transform(tensors)
    assert found.schema["again"].dataType.names == ImageSchema.imageFields
    assert [f.dataType for f in found.schema["again"].dataType] == [f.dataType for f in ImageSchema.columnSchema]
    first, null = found.collect()
    assert first.again == first.image
    assert null.again is None
    assert (ImageSchema.toNDArray(first.again)[:, :, ::-1] == pixels).all()


def test_without_an_origin_column_the_origin_is_empty(spark: SparkSession) -> None:
    spec = TensorSpec("uint8", (3, 1, 2))
    frame = spark.createDataFrame([(bytearray([1, 2, 3, 4, 5, 6]),), (bytearray(5),)], "tensor binary").coalesce(1)
    stage = TensorToImage(inputCol="tensor", outputCol="image")
    found = stage.transform(with_tensor_spec(frame.limit(1), "tensor", spec)).first().image
    assert (found.origin, found.height, found.width, found.nChannels, found.mode) == ("", 1, 2, 3, 16)
    assert list(found.data) == [5, 3, 1, 6, 4, 2]
    with pytest.raises(PySparkException, match=r"the tensor has 5 bytes where uint8\[3, 1, 2\] has 6"):
        stage.transform(with_tensor_spec(frame, "tensor", spec)).collect()


@pytest.mark.parametrize(
    "spec",
    [
        None,
        TensorSpec("float32", (3, 2, 2)),
        TensorSpec("uint8", (2, 2)),
        TensorSpec("uint8", (2, 2, 3)),
        TensorSpec("uint8", (1, 3, 2, 2)),
    ],
)
def test_what_is_no_picture_is_refused_before_any_job(spark: SparkSession, spec: TensorSpec | None) -> None:
    frame = spark.range(1).select(F.raise_error(F.lit("a job ran")).cast("binary").alias("tensor"))
    if spec is not None:
        frame = with_tensor_spec(frame, "tensor", spec)
    with pytest.raises(SchemaError, match=r"column 'tensor' holds .*accepted: a tensor column of uint8"):
        TensorToImage(inputCol="tensor", outputCol="image").transform(frame)


def test_odd_columns_are_refused_before_any_job(spark: SparkSession) -> None:
    frame = spark.range(1).select(F.raise_error(F.lit("a job ran")).cast("binary").alias("tensor"), "id")
    frame = with_tensor_spec(frame, "tensor", TensorSpec("uint8", (3, 2, 2)))
    for settings, message in (
        ({"inputCol": "tensors"}, "no column 'tensors'"),
        ({"outputCol": "id"}, "outputCol='id'"),
        ({"originCol": "path"}, "no column 'path'"),
        ({"originCol": "id"}, "originCol='id' is bigint; accepted: string"),
    ):
        stage = TensorToImage(**{"inputCol": "tensor", "outputCol": "image", **settings})
        with pytest.raises(SchemaError, match=message):
            stage.transform(frame)


def test_save_and_load_keep_the_parameters(spark: SparkSession, tmp_path: Path) -> None:
    stage = TensorToImage(inputCol="tensor", outputCol="image", originCol="path")
    stage.save(str(tmp_path / "stage"))
    loaded = TensorToImage.load(str(tmp_path / "stage"))
    assert (loaded.getInputCol(), loaded.getOutputCol(), loaded.getOriginCol()) == ("tensor", "image", "path")
