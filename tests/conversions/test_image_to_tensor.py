from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions import (
    ImageToTensor,
    ProblemReport,
    TensorSpec,
    VectorToTensor,
    read_images,
    report_problems,
    tensor_spec,
)
from sparkwater.conversions.images.decoding import MAX_PIXELS, decode_image
from sparkwater.conversions.stages.invalid import row_name
from sparkwater.errors import ConfigurationError, SchemaError, UnsafeLoadError

#: Pictures meet Pillow in `test_images.py`, and Spark in `test_frames.py`, on the newest set, too.
pytestmark = pytest.mark.house

PIXELS = np.random.default_rng(3).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def numbered(row: int) -> bytes:
    return encode(Image.new("L", (4, 4), row))


def giant() -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


#: Bytes that are no picture, and a part of the reason that is given.
CORRUPT = {
    "empty": (b"", "no bytes"),
    "text": (b"this is no picture" * 9, "no picture"),
    "truncated": (encode(Image.fromarray(PIXELS))[:70], "can't be decoded"),
    "damaged exif": (encode(Image.fromarray(PIXELS), exif=b"no TIFF header"), "EXIF block is damaged"),
    "giant": (giant(), "pixels"),
}


def mixed_rows() -> tuple[list[tuple[int, bytes | None, str]], set[int]]:
    """Return twelve rows and the ids of the six that can't be used."""
    bad = {1: None, 2: CORRUPT["empty"][0], 4: CORRUPT["text"][0], 7: CORRUPT["truncated"][0]}
    bad |= {8: CORRUPT["damaged exif"][0], 11: CORRUPT["giant"][0]}
    return [(row, bad.get(row, numbered(row)), f"name {row}") for row in range(12)], set(bad)


def mixed_frame(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(mixed_rows()[0], "id long, content binary, name string").coalesce(1)


def unread(spark: SparkSession, kind: str = "binary") -> DataFrame:
    """Return a DataFrame that fails as soon as a job looks at it."""
    return spark.range(1).select(
        F.raise_error(F.lit("a job ran")).cast(kind).alias("content"), F.col("id"), F.lit("x").alias("tensor")
    )


def test_all_kinds_of_columns_give_the_same_bytes(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    paths = {name: folder / f"a {name} picture.png" for name in ("coloured", "grey")}
    Image.fromarray(PIXELS).save(paths["coloured"])
    Image.fromarray(PIXELS[:, :, 0]).save(paths["grey"])
    shapes = [[6, 5, 3], [6, 5, 1], [3, 8, 3]]
    expected = {
        name: [decode_image(path.read_bytes(), *shape).tobytes() for shape in shapes] for name, path in paths.items()
    }

    forms = [(name, form) for name, path in paths.items() for form in (str(path), path.as_uri(), f"file:{path}")]
    uris = spark.createDataFrame(forms, "name string, picture string").coalesce(1)

    def name(path: Column) -> Column:
        return F.when(path.contains("grey"), "grey").otherwise("coloured").alias("name")

    files = spark.read.format("binaryFile").load(str(folder)).select(name(F.col("path")), F.col("content"))
    structs = spark.read.format("image").load(str(folder)).select(name(F.col("image.origin")), F.col("image"))
    for frame, rows in ((uris, 6), (files, 2), (structs, 2)):
        found = frame.toDF("name", "picture")
        for place, shape in enumerate(shapes):
            found = ImageToTensor(inputCol="picture", outputCol=f"tensor {place}", imageShape=shape).transform(found)
        given = [(row.name, [bytes(row[f"tensor {place}"]) for place in range(3)]) for row in found.collect()]
        assert len(given) == rows
        assert all(tensors == expected[name] for name, tensors in given)
        assert {name for name, _ in given} == {"coloured", "grey"}


def test_an_image_struct_with_alpha_gives_what_its_file_gives(spark: SparkSession, tmp_path: Path) -> None:
    alpha = np.full((6, 5, 1), 255, np.uint8)
    Image.fromarray(np.dstack([PIXELS, alpha])).save(tmp_path / "a.png")
    frame = spark.read.format("image").load(str(tmp_path))
    assert frame.select("image.mode").first()[0] == 24
    found = ImageToTensor(inputCol="image", outputCol="tensor", imageShape=[6, 5, 3]).transform(frame).first()
    assert bytes(found.tensor) == PIXELS.transpose(2, 0, 1).tobytes()


def test_a_corrupt_image_struct_is_named_by_its_origin(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(CORRUPT["text"][0])
    frame = spark.read.format("image").load(str(tmp_path))
    stage = ImageToTensor(inputCol="image", outputCol="tensor", imageShape=[2, 2, 1])
    with pytest.raises(PySparkException, match=r"invalid row file:.*broken\.png: the image struct has mode -1"):
        stage.transform(frame).collect()
    assert stage.setHandleInvalid("keep").transform(frame).first().tensor is None


def test_null_image_structs_are_unusable_rows(spark: SparkSession, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    good = spark.read.format("image").load(str(tmp_path))
    frame = good.union(spark.createDataFrame([(None,)], good.schema)).coalesce(1)
    stage = ImageToTensor(inputCol="image", outputCol="tensor", imageShape=[6, 5, 3], handleInvalid="keep")
    found = stage.transform(frame).collect()
    assert bytes(found[0].tensor) == PIXELS.transpose(2, 0, 1).tobytes()
    assert found[1].tensor is None


def test_a_corrupt_picture_is_named_by_its_id(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(7, numbered(7)), (8, CORRUPT["truncated"][0])], "id long, content binary")
    stage = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[2, 2, 1], idCol="id")
    with pytest.raises(PySparkException, match="invalid row 8: the picture can't be decoded"):
        stage.transform(frame.coalesce(1)).collect()


def test_a_corrupt_file_is_named_by_its_path(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(CORRUPT["truncated"][0])
    stage = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[2, 2, 1])
    with pytest.raises(PySparkException, match=r"invalid row file:.*broken\.png: the picture can't be decoded"):
        stage.transform(read_images(spark, str(tmp_path))).collect()


def test_a_corrupt_or_missing_file_is_named_by_its_uri(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    stage = ImageToTensor(inputCol="uri", outputCol="tensor", imageShape=[2, 2, 1])
    frame = spark.createDataFrame([(str(path),)], "uri string")
    with pytest.raises(PySparkException, match=f"invalid row {path}: can't be read: .*No such file"):
        stage.transform(frame).collect()
    path.write_bytes(b"")
    with pytest.raises(PySparkException, match=f"invalid row {path}: the picture has no bytes"):
        stage.transform(frame).collect()


def test_a_row_without_a_name_is_named_by_a_hash(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(b"",)], "content binary")
    stage = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[2, 2, 1])
    with pytest.raises(PySparkException, match=r"invalid row with content hash [0-9A-F]+: the picture has no bytes"):
        stage.transform(frame).collect()


def test_skip_drops_the_bad_rows_and_keeps_the_others_in_order(spark: SparkSession) -> None:
    rows, bad = mixed_rows()
    stage = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[2, 2, 1], handleInvalid="skip")
    found = stage.transform(mixed_frame(spark))
    assert found.columns == ["id", "content", "name", "tensor"]
    assert [(row.id, bytes(row.content), row.name, bytes(row.tensor)) for row in found.collect()] == [
        (row, content, name, bytes([row] * 4)) for row, content, name in rows if row not in bad
    ]


def test_keep_leaves_the_bad_rows_without_a_tensor(spark: SparkSession) -> None:
    rows, bad = mixed_rows()
    stage = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[2, 2, 1], handleInvalid="keep")
    found = stage.transform(mixed_frame(spark))
    assert found.columns == ["id", "content", "name", "tensor"]
    assert [(row.id, row.content, row.name, row.tensor) for row in found.collect()] == [
        (row, content, name, None if row in bad else bytes([row] * 4)) for row, content, name in rows
    ]


def test_keep_and_skip_agree_over_partitions(spark: SparkSession) -> None:
    frame = mixed_frame(spark).repartition(3, "id").cache()
    stage = ImageToTensor(inputCol="content", outputCol="tensor", imageShape=[2, 2, 1])
    before = [(part, row.id) for part, rows in enumerate(frame.rdd.glom().collect()) for row in rows]
    kept = stage.setHandleInvalid("keep").transform(frame).rdd.glom().collect()
    skipped = stage.setHandleInvalid("skip").transform(frame).rdd.glom().collect()
    frame.unpersist()
    assert [(part, row.id) for part, rows in enumerate(kept) for row in rows] == before
    assert [(part, row.id) for part, rows in enumerate(skipped) for row in rows] == [
        (part, row) for part, row in before if row not in mixed_rows()[1]
    ]


def test_pictures_are_resized_and_limited_as_asked(spark: SparkSession, tmp_path: Path) -> None:
    wide = Image.fromarray(np.random.default_rng(4).integers(0, 256, (6, 10, 3), dtype=np.uint8))
    wide.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    frame = (
        spark.read.format("image")
        .load(str(tmp_path))
        .select("image", F.lit(str(tmp_path / "a.png")).alias("uri"), F.lit(bytearray(content)).alias("content"))
    )
    for column in ("image", "uri", "content"):
        for resize in ("fit", "crop"):
            stage = ImageToTensor(inputCol=column, outputCol=f"{column} {resize}", imageShape=[4, 4, 3], resize=resize)
            frame = stage.transform(frame)
    limited = ImageToTensor(
        inputCol="content", outputCol="limited", imageShape=[4, 4, 3], maxPixels=59, handleInvalid="keep"
    )
    row = limited.setProblemCol("problem").transform(frame).first().asDict()
    for column in ("image", "uri", "content"):
        for resize in ("fit", "crop"):
            assert bytes(row[f"{column} {resize}"]) == decode_image(content, 4, 4, 3, resize).tobytes()
    assert row["limited"] is None
    assert "10 x 6, at most 59" in row["problem"]


def test_problems_are_counted_and_the_first_of_them_listed(spark: SparkSession) -> None:
    stage = ImageToTensor(
        inputCol="content",
        outputCol="tensor",
        imageShape=[2, 2, 1],
        handleInvalid="keep",
        problemCol="what is wrong",
    )
    found = stage.transform(mixed_frame(spark)).cache()
    assert found.columns == ["id", "content", "name", "tensor", "what is wrong"]
    said = {row.id: row["what is wrong"] for row in found.collect() if row["what is wrong"] is not None}
    reasons = {
        1: "the value is null",
        **dict(zip((2, 4, 7, 8, 11), (part for _, part in CORRUPT.values()), strict=True)),
    }
    assert said.keys() == reasons.keys()
    assert [row for row, reason in reasons.items() if reason not in said[row]] == []
    report = report_problems(found, "what is wrong", idCol="name", limit=4)
    found.unpersist()
    assert (report.rows, report.invalid) == (12, 6)
    assert next(iter(report.counts.items())) == ("the picture can't be decoded", 2)
    assert len(report.counts) == 4  # of five kinds
    assert [name for name, _ in report.first] == ["name 1", "name 2", "name 4", "name 7"]
    assert report.first[1][1] == "the picture has no bytes"


def test_a_report_without_problems_is_empty(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(None, "a"), (None, "b")], "problem string, path string")
    assert report_problems(frame, "problem") == ProblemReport(2, 0, {}, ())
    with pytest.raises(SchemaError, match="no column 'problems'"):
        report_problems(frame, "problems")


def test_a_report_names_rows_by_their_path_and_counts_by_kind(spark: SparkSession) -> None:
    rows = [("can't be read: a", "/a"), ("can't be read: b", "/b"), ("the value is null", "/c"), (None, "/d")]
    report = report_problems(spark.createDataFrame(rows, "problem string, path string").coalesce(1), "problem")
    assert report.counts == {"can't be read": 2, "the value is null": 1}
    assert report.first == (("/a", "can't be read: a"), ("/b", "can't be read: b"), ("/c", "the value is null"))
    assert str(report).splitlines()[:3] == [
        "3 of 4 rows can't be used",
        "       2  can't be read",
        "       1  the value is null",
    ]
    assert str(report).endswith("/c: the value is null")


@pytest.mark.parametrize("mode", ["error", "skip", "keep"])
def test_the_result_says_what_it_holds(spark: SparkSession, mode: str) -> None:
    stage = ImageToTensor(inputCol="content", outputCol="pixels", imageShape=[4, 6, 3], handleInvalid=mode)
    found = stage.transform(unread(spark))
    assert tensor_spec(found.schema["pixels"]) == TensorSpec("uint8", (3, 4, 6))
    assert found.columns == ["content", "id", "tensor", "pixels"]


def test_a_column_name_with_a_dot_works(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(numbered(9), 3)], "`a.b` binary, `the.id` long")
    stage = ImageToTensor(inputCol="a.b", outputCol="tensor", imageShape=[1, 1, 1], idCol="the.id")
    assert bytes(stage.transform(frame).first().tensor) == b"\x09"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"inputCol": "contents"}, SchemaError, "no column 'contents'.*content"),
        ({"inputCol": "id"}, SchemaError, "'id' is bigint"),
        ({"outputCol": "tensor"}, SchemaError, "outputCol='tensor'"),
        ({"outputCol": "content"}, SchemaError, "outputCol='content'"),
        ({"idCol": "number"}, SchemaError, "no column 'number'"),
        ({"idCol": "number", "handleInvalid": "skip"}, SchemaError, "no column 'number'"),
        ({"imageShape": None}, ConfigurationError, "imageShape"),
        ({"imageShape": [0, 28, 1]}, ConfigurationError, r"imageShape=\[0, 28, 1\]"),
        ({"imageShape": [28, -1, 1]}, ConfigurationError, "imageShape"),
        ({"imageShape": [28, 28, 4]}, ConfigurationError, "channels 1 or 3"),
        ({"imageShape": [28, 28]}, ConfigurationError, "imageShape"),
        ({"imageShape": []}, ConfigurationError, "imageShape"),
        ({"handleInvalid": "drop"}, ConfigurationError, "handleInvalid='drop'; accepted: error, skip, keep"),
        ({"resize": "pad"}, ConfigurationError, "resize='pad'; accepted: stretch, fit, crop"),
        ({"maxPixels": 0}, ConfigurationError, "maxPixels=0; accepted: 1 or more"),
        ({"problemCol": "problem"}, ConfigurationError, "problemCol='problem' with handleInvalid='error'"),
        ({"problemCol": "id", "handleInvalid": "keep"}, SchemaError, "problemCol='id'"),
        ({"problemCol": "pixels", "handleInvalid": "keep"}, SchemaError, "problemCol='pixels'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_job(
    spark: SparkSession, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    accepted = {"inputCol": "content", "outputCol": "pixels", "imageShape": [28, 28, 1]}
    stage = ImageToTensor(**{name: value for name, value in {**accepted, **settings}.items() if value is not None})
    with pytest.raises(error, match=message):
        stage.transform(unread(spark))


def test_a_tensor_column_is_no_column_of_pictures(spark: SparkSession) -> None:
    first = ImageToTensor(inputCol="content", outputCol="pixels", imageShape=[2, 2, 1])
    second = ImageToTensor(inputCol="pixels", outputCol="again", imageShape=[2, 2, 1])
    with pytest.raises(SchemaError, match="'pixels' is binary"):
        second.transform(first.transform(unread(spark)))


def test_an_unreadable_scheme_is_refused_before_the_job_and_its_package_named(spark: SparkSession) -> None:
    stage = ImageToTensor(inputCol="uri", outputCol="tensor", imageShape=[2, 2, 1], handleInvalid="skip")
    frame = spark.createDataFrame([(None,), ("/a.png",), ("oci://bucket/a.png",)], "uri string")
    with pytest.raises(ConfigurationError, match=r"oci:// URIs: .*ocifs"):
        stage.transform(frame)


def test_an_unknown_scheme_further_down_fails_on_the_executor_and_is_named(spark: SparkSession) -> None:
    rows = [(None,)] * 100 + [("nosuchscheme://bucket/a.png",)]
    frame = spark.createDataFrame(rows, "uri string").coalesce(1)
    stage = ImageToTensor(inputCol="uri", outputCol="tensor", imageShape=[2, 2, 1], handleInvalid="skip")
    with pytest.raises(PySparkException, match=r"ConfigurationError: nothing here reads nosuchscheme://"):
        stage.transform(frame).collect()


def test_a_stream_of_uris_is_not_looked_at(spark: SparkSession, tmp_path: Path) -> None:
    stream = spark.readStream.format("text").load(str(tmp_path))
    found = ImageToTensor(inputCol="value", outputCol="tensor", imageShape=[2, 2, 1]).transform(stream)
    assert found.isStreaming


def test_null_and_odd_uris_are_unusable_rows(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(None,), ("",), ("//[x/a.png",), ("/nowhere/a.png",), ("a\0b.png",)], "uri string")
    stage = ImageToTensor(inputCol="uri", outputCol="tensor", imageShape=[2, 2, 1], handleInvalid="keep")
    assert [row.tensor for row in stage.transform(frame).collect()] == [None] * 5


def test_a_row_whose_name_is_null_is_named_by_its_hash_or_said_to_have_a_null_id(spark: SparkSession) -> None:
    struct = "struct<origin string, height int, width int, nChannels int, mode int, data binary>"
    kinds = f"uri string, image {struct}, content binary, path string, id long"
    frame = spark.createDataFrame([(None,) * 5], kinds)
    named = {column: row_name(frame, column, None) for column in ("uri", "image", "content")}
    named["id"] = row_name(frame, "content", "id")
    row = frame.select(*(name.alias(column) for column, name in named.items())).first().asDict()
    assert row.pop("id") == "with a null id"
    assert all(re.fullmatch("with content hash [0-9A-F]+", name) for name in row.values()), row


def test_paths_that_spark_lists_can_be_read_as_uris(spark: SparkSession, tmp_path: Path) -> None:
    for row, name in enumerate(["a b", "c++", "50%", "a%20b", "x#y", "x?y", "ü"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{row}.png").write_bytes(numbered(row))
    stage = ImageToTensor(inputCol="path", outputCol="tensor", imageShape=[1, 1, 1])
    found = stage.transform(read_images(spark, str(tmp_path)).select("path")).collect()
    assert sorted(row.tensor[0] for row in found) == list(range(7))
    assert all(row.path.endswith(f"/{row.tensor[0]}.png") for row in found)


def test_save_and_load_keep_the_parameters(spark: SparkSession, tmp_path: Path) -> None:
    stage = ImageToTensor(
        inputCol="content",
        outputCol="pixels",
        imageShape=[4, 6, 3],
        resize="crop",
        maxPixels=10**10,
        handleInvalid="keep",
        idCol="id",
        problemCol="problem",
    )
    stage.save(str(tmp_path / "stage"))
    loaded = ImageToTensor.load(str(tmp_path / "stage"))
    assert isinstance(loaded, ImageToTensor)
    assert loaded.uid == stage.uid
    assert {param.name: value for param, value in loaded.extractParamMap().items()} == {
        param.name: value for param, value in stage.extractParamMap().items()
    }
    found = loaded.transform(unread(spark))
    assert tensor_spec(found.schema["pixels"]) == TensorSpec("uint8", (3, 4, 6))


def test_unset_parameters_stay_unset_through_save_and_load(spark: SparkSession, tmp_path: Path) -> None:
    ImageToTensor(inputCol="content").save(str(tmp_path / "stage"))
    loaded = ImageToTensor.load(str(tmp_path / "stage"))
    assert loaded.getImageShape() is None
    assert loaded.getIdCol() is None
    assert loaded.getProblemCol() is None
    assert (loaded.getResize(), loaded.getMaxPixels()) == ("stretch", MAX_PIXELS)
    assert loaded.getHandleInvalid() == "error"


def test_the_folder_of_another_class_is_not_loaded(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "stage")
    ImageToTensor(inputCol="content", outputCol="pixels", imageShape=[4, 6, 3]).save(path)
    with pytest.raises(UnsafeLoadError, match=r"ImageToTensor.*VectorToTensor"):
        VectorToTensor.load(path)
