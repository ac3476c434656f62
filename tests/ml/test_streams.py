"""Saved pipelines score streams of files: pictures, tensor columns and tables, across restarts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import start_session
from digits import pictures, png
from mixed_tables import INPUTS, mixed_frame
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F

from sparkwater.conversions import ImageToTensor, stream_images
from sparkwater.ml import DeepLearningClassifier, DeepLearningClassifierModel, ImageClassifier


def write_pictures(folder: Path, first: int, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for row, image in enumerate(pictures(first + count)[0][first:], first):
        (folder / f"{row}.png").write_bytes(png(image))


def run(scored, output: Path, checkpoint: Path):
    """Score what is there and end; return the rows of all runs so far."""
    writer = scored.writeStream.format("parquet").option("checkpointLocation", str(checkpoint))
    query = writer.trigger(availableNow=True).start(str(output))
    query.awaitTermination()
    assert query.exception() is None
    return scored.sparkSession.read.parquet(str(output))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    """A saved pipeline from bytes of pictures to a prediction."""
    folder, spark = tmp_path_factory.mktemp("streams"), start_session("local[2]")
    write_pictures(folder / "training", 0, 24)
    frame = spark.read.format("binaryFile").load(str(folder / "training")).select("path", "content")
    labelled = frame.withColumn("label", F.regexp_extract("path", r"(\d+)\.png", 1).cast("int") % 4)
    stages = [
        ImageToTensor(inputCol="content", outputCol="features", imageShape=[16, 16, 1]),
        ImageClassifier(epochs=0, handleInvalid="keep"),
    ]
    Pipeline(stages=stages).fit(labelled).save(str(folder / "pipeline"))
    return str(folder / "pipeline")


def test_pictures_are_scored_once_across_restarts_and_bad_ones_kept_or_left_out(spark, saved, tmp_path):
    inbox = tmp_path / "inbox"
    write_pictures(inbox, 0, 6)
    (inbox / "broken.png").write_bytes(b"no picture")

    def scored(how):
        model = PipelineModel.load(saved)
        for stage in model.stages:
            stage.setHandleInvalid(how)
        stream = stream_images(spark, str(inbox))
        assert stream.isStreaming
        return model.transform(stream).select("path", "prediction", "probability")

    kept = run(scored("keep"), tmp_path / "kept", tmp_path / "kept_marks")
    assert {Path(row.path).name: row.prediction is None for row in kept.collect()} == {
        **{f"{row}.png": False for row in range(6)},
        "broken.png": True,
    }
    skipped = run(scored("skip"), tmp_path / "skipped", tmp_path / "skipped_marks")
    assert skipped.count() == 6
    write_pictures(inbox, 6, 3)
    again = run(scored("keep"), tmp_path / "kept", tmp_path / "kept_marks")
    assert again.count() == 10
    batch = PipelineModel.load(saved).transform(spark.read.format("binaryFile").load(str(inbox)).where("length > 20"))
    expected = {row.path: row.probability for row in batch.collect()}
    found = {row.path: row.probability for row in again.collect() if row.prediction is not None}
    assert found.keys() == expected.keys()
    # As many rows at a time as a stream's batch has: the last digits may differ.
    assert all(found[path].toArray() == pytest.approx(expected[path].toArray(), abs=1e-6) for path in expected)


def test_a_bad_picture_fails_a_stream_that_allows_none(spark, saved, tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "broken.png").write_bytes(b"no picture")
    stream = stream_images(spark, str(tmp_path / "inbox"))
    model = PipelineModel.load(saved)
    for stage in model.stages:
        stage.setHandleInvalid("error")
    with pytest.raises(Exception, match=r"broken\.png"):
        run(model.transform(stream).select("path", "prediction"), tmp_path / "out", tmp_path / "marks")


def test_tensor_columns_stream_from_parquet_with_their_schema(spark, saved, tmp_path):
    pipeline = PipelineModel.load(saved)
    write_pictures(tmp_path / "pictures", 0, 5)
    frame = spark.read.format("binaryFile").load(str(tmp_path / "pictures")).select("path", "content")
    tensors = pipeline.stages[0].transform(frame).drop("content")
    tensors.write.parquet(str(tmp_path / "tensors"))
    schema = spark.read.parquet(str(tmp_path / "tensors")).schema
    stream = spark.readStream.schema(schema).parquet(str(tmp_path / "tensors"))
    found = run(
        pipeline.stages[1].transform(stream).select("path", "probability"), tmp_path / "out", tmp_path / "marks"
    )
    expected = pipeline.stages[1].transform(tensors).select("path", "probability")
    assert sorted(found.collect()) == sorted(expected.collect())


def test_raw_columns_of_a_table_stream_through_a_saved_model(spark, tmp_path):
    rows, inputs = mixed_frame(spark, 60).coalesce(1), [*INPUTS]
    model = DeepLearningClassifier(labelCol="kind", inputCols=inputs, epochs=0).fit(rows)
    model.save(str(tmp_path / "model"))
    loaded = DeepLearningClassifierModel.load(str(tmp_path / "model"))
    rows.select(inputs).write.parquet(str(tmp_path / "first"))
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for part in (tmp_path / "first").glob("*.parquet"):
        shutil.copy(part, inbox)
    stream = spark.readStream.schema(rows.select(inputs).schema).parquet(str(inbox))
    found = run(loaded.transform(stream).select("probability"), tmp_path / "out", tmp_path / "marks")
    expected = loaded.transform(rows.select(inputs)).select("probability")
    assert sorted(map(str, found.collect())) == sorted(map(str, expected.collect()))
