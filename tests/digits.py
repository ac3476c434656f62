"""Small pictures that a network learns in seconds: noisy bars, one column a class; and the shipped digits."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path

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


def shipped_digits(spark: SparkSession, part: str, rows_a_class: int) -> DataFrame:
    """Return ``content`` (PNG) and ``label`` (int) of the first shipped digits of each class, of one part."""
    archive = Path(__file__).parents[1] / "data" / "mnist_png.tar.gz"
    data = []
    with tarfile.open(archive) as tar:
        names = sorted(name for name in tar.getnames() if name.startswith(f"{part}/") and name.endswith(".png"))
        for label in range(10):
            chosen = [name for name in names if Path(name).parent.name == str(label)][:rows_a_class]
            data += [(bytearray(tar.extractfile(name).read()), label) for name in chosen]
    return spark.createDataFrame(data, "content binary, label int").repartition(2)


#: Shipped digits of each class, for training and for testing.
FIRST = {"training": 40, "testing": 10}


def unpack_first_digits(folder: Path) -> None:
    """Put the first shipped digits of each class into a folder."""
    taken: Counter[tuple[str, str]] = Counter()
    with tarfile.open(Path(__file__).parents[1] / "data" / "mnist_png.tar.gz") as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            *_, part, label, _ = ("", "", *Path(member.name).parts)
            if member.isfile() and taken[part, label] < FIRST.get(part, 0):
                taken[part, label] += 1
                tar.extract(member, folder, filter="data")
    assert set(taken.values()) == set(FIRST.values())
