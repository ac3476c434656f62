"""Uneven, empty and corrupt data: nothing is lost, nothing hangs."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from digits import pictures, png, tensor_frame
from PIL import Image
from pyspark.sql import functions as F

from sparkwater.errors import DataError
from sparkwater.ml import ImageClassifier


def quick(**params):
    return ImageClassifier(**{"epochs": 1, "batchSize": 16, **params})


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def damaged_exif() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(buffer, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff damaged")
    return buffer.getvalue()


CORRUPT = {
    "truncated": png(pictures(1)[0][0])[:60],
    "empty": b"",
    "text": b"this is no picture",
    "exif": damaged_exif(),
    "huge": huge_png(),
}


@pytest.mark.parametrize("partitions", [1, 7])
def test_any_number_of_partitions_trains_every_row(spark, partitions):
    model = quick(numWorkers=2).fit(tensor_frame(spark, 50).repartition(partitions))
    assert model.summary.records[0].rows == 50


def test_skewed_and_empty_partitions_train_the_same_as_balanced_ones(spark):
    frame = tensor_frame(spark, 100)
    skewed = (
        frame.withColumn("part", F.when(F.col("id") < 10, 0).otherwise(2)).repartitionByRange(4, "part").drop("part")
    )
    balanced, uneven = (quick(numWorkers=2).fit(rows) for rows in (frame.repartition(4), skewed))
    assert balanced.weights == uneven.weights
    assert [record.rows for record in uneven.summary.records] == [100]


def test_worker_without_rows_keeps_step_with_the_other(spark):
    # Equal rows have equal hashes: all of them land on one worker.
    row = tensor_frame(spark, 1)
    frame = row.unionAll(row).unionAll(row)
    model = quick(numWorkers=2, epochs=2).fit(frame)
    assert sorted(model.summary.rowsPerRank) == [0, 3]
    assert [record.rows for record in model.summary.records] == [3, 3]


def test_corrupt_picture_is_named_with_the_reason(spark):
    frame = corrupt_frame(spark).where((F.col("name") == "truncated") | F.col("name").startswith("good"))
    with pytest.raises(DataError, match=r"row truncated: .*picture"):
        classifier().fit(frame)


def test_corrupt_pictures_are_counted_and_listed(spark):
    frame = corrupt_frame(spark)
    model = classifier(handleInvalid="skip", numWorkers=2, epochs=2).fit(frame)
    assert model.summary.numSkipped == 5
    assert {name for name, _ in model.summary.skippedRows} == set(CORRUPT)
    assert all("picture" in reason for _, reason in model.summary.skippedRows)
    assert [record.rows for record in model.summary.records] == [20, 20]
    assert {row["name"] for row in model.transform(frame).collect()} == {f"good {i}" for i in range(20)}
    kept = model.copy({model.handleInvalid: "keep"}).transform(frame).collect()
    assert {row["name"] for row in kept if row["prediction"] is None} == set(CORRUPT)
    assert len(kept) == 25


def test_pictures_and_labels_stay_paired_around_nulls(spark):
    # The pixels encode the label; nulls stand first, in the middle and last.
    rows = [(i, None if i in (0, 17, 39) else bytearray([i % 4 * 60] * 256), i % 4) for i in range(40)]
    from digits import SPEC

    from sparkwater.conversions import with_tensor_spec

    frame = with_tensor_spec(
        spark.createDataFrame(rows, "id int, features binary, label int").coalesce(1), "features", SPEC
    )
    model = ImageClassifier(handleInvalid="keep", epochs=30, batchSize=8, learningRate=0.02).fit(frame)
    assert model.summary.numSkipped == 3
    scored = model.transform(frame).collect()
    assert [row["prediction"] is None for row in scored] == [row["features"] is None for row in scored]
    assert all(row["prediction"] == row["label"] for row in scored if row["features"] is not None)


def test_nan_or_infinity_in_a_feature_is_named(spark):
    bad = {3: float("nan"), 4: float("inf"), 5: float("-inf")}
    rows = [(i, [bad.get(i, float(i))] * 256, i % 2) for i in range(10)]
    frame = spark.createDataFrame(rows, "id int, features array<double>, label int")
    learner = quick(imageShape=[16, 16, 1], idCol="id")
    with pytest.raises(DataError, match="row 3: the tensor holds a NaN or an infinity"):
        learner.fit(frame.where("id < 4"))
    model = learner.copy({learner.handleInvalid: "skip"}).fit(frame)
    assert dict(model.summary.skippedRows) == dict.fromkeys("345", "the tensor holds a NaN or an infinity")


def test_rows_that_change_between_evaluations_are_refused(spark, tmp_path):
    from pyspark.sql.types import BooleanType

    # Counts its evaluations in a file: the second one gives fewer rows.
    marker = tmp_path / "evaluated"

    def first_time(row_id: int) -> bool:
        with marker.open("a") as file:
            file.write("x")
        return marker.stat().st_size <= 20

    unstable = tensor_frame(spark, 20).coalesce(1).where(F.udf(first_time, BooleanType()).asNondeterministic()("id"))
    with pytest.raises(DataError, match=r"gave 20 rows when it was counted and 0 when it was read"):
        quick().fit(unstable)


def corrupt_frame(spark):
    images, labels = pictures(20)
    good = [
        (f"good {i}", bytearray(png(image)), int(label))
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    bad = [(name, bytearray(content), 0) for name, content in CORRUPT.items()]
    return spark.createDataFrame(good + bad, "name string, content binary, label int")


def classifier(**params):
    return quick(featuresCol="content", imageShape=[16, 16, 1], idCol="name", **params)
