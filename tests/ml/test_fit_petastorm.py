"""Training on a petastorm dataset that the ranks stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from digits import tensor_frame
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions import write_petastorm
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import AutoEncoder, ImageClassifier, ImageRegressor

pytest.importorskip("petastorm.unischema", exc_type=(ImportError, AttributeError), reason="writing needs petastorm")

ROWS = 400


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    from conftest import start_session

    url = str(tmp_path_factory.mktemp("petastorm") / "digits")
    # One row group: fewer than ranks.
    write_petastorm(tensor_frame(start_session("local[2]"), ROWS).coalesce(1), url)
    return url


def test_two_workers_stream_every_row_once_an_epoch(spark: SparkSession, dataset: str) -> None:
    estimator = ImageClassifier(epochs=4, batchSize=50, numWorkers=2, network="lenet", seed=1)
    model = estimator.fitPetastorm(dataset)
    assert [record.rows for record in model.summary.records] == [ROWS] * 4
    assert model.summary.rowsPerRank == (ROWS // 2, ROWS // 2)
    assert model.summary.records[-1].accuracy > 0.9
    found = model.transform(tensor_frame(spark, 80, seed=9)).select("prediction", "label").collect()
    assert np.mean([row.prediction == row.label for row in found]) > 0.9
    assert estimator.fitPetastorm(dataset).weights == model.weights


def test_what_is_no_dataset_of_pictures_is_refused(spark: SparkSession, dataset: str, tmp_path: Path) -> None:
    tensor_frame(spark, 4).write.parquet(str(tmp_path / "plain"))
    with pytest.raises(DataError, match="is no petastorm dataset"):
        ImageClassifier().fitPetastorm(str(tmp_path / "plain"))
    with pytest.raises(SchemaError, match="pixels"):
        ImageClassifier(featuresCol="pixels").fitPetastorm(dataset)
    with pytest.raises(ConfigurationError, match="'id' holds int"):
        ImageClassifier(featuresCol="id").fitPetastorm(dataset)


def test_two_workers_stream_numbers_in_the_units_of_their_frame(spark: SparkSession, tmp_path: Path) -> None:
    frame = tensor_frame(spark, 80).withColumn("label", 50 + F.col("label") * 2.5)
    write_petastorm(frame, str(tmp_path / "numbers"))
    model = ImageRegressor(epochs=3, batchSize=16, numWorkers=2, learningRate=0.02).fitPetastorm(
        str(tmp_path / "numbers")
    )
    assert model.fitted.trained.task == ImageRegressor(epochs=0).fit(frame).fitted.trained.task
    assert [record.rows for record in model.summary.records] == [80] * 3
    assert model.summary.objectiveHistory[-1] < model.summary.objectiveHistory[0]
    assert model.fitted.trained.task.center == pytest.approx(53.75)
    negative = str(tmp_path / "negative")
    write_petastorm(frame.withColumn("label", F.col("label") - 52), negative)
    with pytest.raises(DataError, match=r"the label is -2\.0; accepted: numbers from 0 up"):
        ImageRegressor(distribution="poisson", epochs=1).fitPetastorm(negative)


def test_two_workers_stream_rows_without_labels(spark: SparkSession, tmp_path: Path) -> None:
    frame = tensor_frame(spark, 60).drop("label")
    write_petastorm(frame, str(tmp_path / "rows"))
    settings = {"hidden": [16, 4, 16], "epochs": 3, "batchSize": 20, "numWorkers": 2, "anomalyThreshold": 0.9}
    model = AutoEncoder(**settings).fitPetastorm(str(tmp_path / "rows"))
    assert [record.rows for record in model.summary.records] == [60] * 3
    assert model.summary.objectiveHistory[-1] < model.summary.objectiveHistory[0]
    # One row stands on the threshold, and its last digits may be others.
    assert abs(model.transform(frame).where("prediction = 1").count() - 6) <= 1
