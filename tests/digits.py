"""Small pictures that a network learns in seconds: noisy bars, one column a class."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from pyspark.sql import DataFrame, SparkSession

from sparkwater.conversions import TensorSpec, with_tensor_spec

SPEC = TensorSpec("uint8", (1, 16, 16))


def pictures(rows: int, classes: int = 4, seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return pictures, ``(rows, 16, 16)``, no two alike, and their classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    images = generator.integers(0, 120, (rows, 16, 16), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 + 3 * label : 5 + 3 * label] += 100
    return images, labels


def tensor_frame(spark: SparkSession, rows: int, classes: int = 4, seed: int = 0) -> DataFrame:
    """Return ``id``, ``features`` (tensor column) and ``label`` (int)."""
    images, labels = pictures(rows, classes, seed)
    data = [
        (i, bytearray(image.tobytes()), int(label)) for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    frame = spark.createDataFrame(data, "id int, features binary, label int")
    return with_tensor_spec(frame, "features", SPEC)


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def png_frame(spark: SparkSession, rows: int, classes: int = 4, seed: int = 0) -> DataFrame:
    """Return ``id``, ``content`` (PNG) and ``label`` (string: 'class 0', 'class 1', ...)."""
    images, labels = pictures(rows, classes, seed)
    data = [
        (i, bytearray(png(image)), f"class {label}")
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    return spark.createDataFrame(data, "id int, content binary, label string")
