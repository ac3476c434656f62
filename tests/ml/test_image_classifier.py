from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import start_session
from digits import SPEC, pictures, png_frame, tensor_frame
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import functions as F

from sparkwater.conversions import ImageToTensor, TensorSpec, VectorToTensor, with_tensor_spec
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError, UnsafeLoadError
from sparkwater.ml import ImageClassifier, ImageClassifierModel, confusion_matrix
from sparkwater.stacking import assign_folds


def quick(**params):
    return ImageClassifier(**{"epochs": 4, "batchSize": 32, "learningRate": 0.02, **params})


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(tensor_frame(start_session("local[2]"), 200))


def test_one_worker_learns_without_horovod(spark, fitted):
    unseen = tensor_frame(spark, 80, seed=1)
    assert fitted.summary.collective == "local"
    assert confusion_matrix(fitted.transform(unseen), "label", "prediction").error < 0.05


def test_two_workers_learn_with_each_collective(spark):
    frame, unseen = tensor_frame(spark, 200), tensor_frame(spark, 80, seed=1)
    for collective in ("horovod", "torch", "memory"):
        model = quick(numWorkers=2, collective=collective, device="cpu").fit(frame)
        assert model.summary.collective == model.summary.resolved["collective"] == collective
        assert sum(model.summary.rowsPerRank) == 200
        assert min(model.summary.rowsPerRank) > 0
        assert confusion_matrix(model.transform(unseen), "label", "prediction").error < 0.05
    auto = quick(numWorkers=2, device="cpu", epochs=0).fit(frame)
    assert auto.summary.collective == auto.summary.resolved["collective"] == "memory"


def test_same_rows_in_any_order_and_partitioning_give_the_same_weights(spark):
    frame = tensor_frame(spark, 120)
    other = frame.orderBy(F.rand(7)).repartition(7)
    for workers in (1, 2):
        first, second = (quick(numWorkers=workers, epochs=1).fit(rows).weights for rows in (frame, other))
        assert first == second
    assert quick(numWorkers=2, epochs=1, seed=43).fit(frame).weights != second


def test_tensors_in_a_mapped_file_train_the_same_weights(spark, fitted):
    # 200 pictures of 256 bytes are 0.05 MiB.
    assert quick(maxMemoryInMB=0.01).fit(tensor_frame(spark, 200)).weights == fitted.weights


def test_transform_gives_what_spark_classifiers_give(spark, fitted):
    frame = tensor_frame(spark, 40, seed=2).withColumn("kept", F.col("id") * 2)
    scored = fitted.transform(frame)
    assert scored.columns == ["id", "features", "label", "kept", "rawPrediction", "probability", "prediction"]
    assert [scored.schema[name].dataType.simpleString() for name in scored.columns[-3:]] == [
        "vector",
        "vector",
        "double",
    ]
    rows = scored.collect()
    assert [row["id"] for row in rows] == list(range(40))
    for row in rows:
        raw, probability = row["rawPrediction"].toArray(), row["probability"].toArray()
        assert probability.sum() == pytest.approx(1)
        np.testing.assert_allclose(probability, np.exp(raw) / np.exp(raw).sum(), rtol=1e-9)
        assert row["prediction"] == probability.argmax()
    for metric in ("accuracy", "logLoss", "f1"):
        assert np.isfinite(MulticlassClassificationEvaluator(metricName=metric).evaluate(scored))


def test_string_labels_come_back_as_strings(spark):
    frame = png_frame(spark, 120)
    model = quick(featuresCol="content", imageShape=[16, 16, 1], idCol="id").fit(frame)
    assert model.classes == [f"class {i}" for i in range(4)]
    rows = model.transform(frame).collect()
    assert all(row["predictedLabel"] == model.classes[int(row["prediction"])] for row in rows)
    assert np.mean([row["predictedLabel"] == row["label"] for row in rows]) > 0.95


def test_numeric_labels_with_a_gap_keep_their_values(spark):
    frame = tensor_frame(spark, 120, classes=2).withColumn("label", F.col("label") * 2)
    model = quick().fit(frame)
    assert model.classes == [0.0, 2.0]
    scored = model.transform(frame)
    row = scored.where("label = 2").first()
    assert row["prediction"] == 2.0
    assert row["probability"].size == 3
    assert row["probability"][1] == 0
    assert MulticlassClassificationEvaluator(metricName="logLoss").evaluate(scored) < 0.5


def test_vector_tensor_and_picture_columns_of_the_same_pixels_agree(spark):
    images, labels = pictures(60)
    spark_rows = [
        (Vectors.dense(image.ravel().astype(float)), int(label)) for image, label in zip(images, labels, strict=True)
    ]
    vectors = spark.createDataFrame(spark_rows, ["features", "label"])
    assembled = VectorToTensor(inputCol="features", outputCol="t", shape=[1, 16, 16], dtype="float32").transform(
        vectors
    )
    from_vectors = quick(imageShape=[16, 16, 1], epochs=1).fit(vectors)
    from_tensors = quick(featuresCol="t", epochs=1).fit(assembled)
    assert from_vectors.weights == from_tensors.weights


def test_colour_vectors_are_read_channels_last(spark):
    image = np.arange(16 * 16 * 3, dtype=float).reshape(16, 16, 3)
    frame = spark.createDataFrame(
        [(Vectors.dense(image.ravel()), 0), (Vectors.dense(image.ravel() + 1), 1)], ["features", "label"]
    )
    model = quick(imageShape=[16, 16, 3], epochs=1).fit(frame)
    assert model.fitted.spec.shape == (3, 16, 16)
    np.testing.assert_allclose(model.fitted.trained.scaling.mean, image.mean(axis=(0, 1)) + 0.5)


def test_history_has_one_row_an_epoch_and_loss_falls(fitted):
    rows = fitted.summary.history.collect()
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert all(row["rows"] == 200 for row in rows)
    assert fitted.summary.objectiveHistory[-1] < fitted.summary.objectiveHistory[0] / 2
    assert fitted.summary.numRows == 200


def test_params_behave_as_in_spark_ml(spark):
    estimator = ImageClassifier()
    assert "numWorkers: ranks" in estimator.explainParams()
    assert estimator.setEpochs(3).setNumWorkers(2).getEpochs() == 3
    assert estimator.getNumWorkers() == 2
    copied = estimator.copy({estimator.epochs: 7})
    assert (copied.getEpochs(), estimator.getEpochs()) == (7, 3)
    assert copied.uid == estimator.uid
    with pytest.raises(TypeError):
        ImageClassifier("features")
    for param in estimator.params:
        suffix = param.name[0].upper() + param.name[1:]
        assert hasattr(estimator, f"set{suffix}"), param.name
        assert hasattr(estimator, f"get{suffix}"), param.name
    network = quick()
    model = network.fit(tensor_frame(spark, 40), {network.epochs: 1})
    assert len(model.summary.records) == 1
    assert model.copy({model.predictionCol: "p"}).transform(tensor_frame(spark, 4)).columns[-1] == "p"


def test_cross_validator_chooses_among_settings(spark):
    estimator = quick(epochs=2)
    grid = ParamGridBuilder().addGrid(estimator.learningRate, [1e-6, 0.02]).build()
    validator = CrossValidator(
        estimator=estimator,
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=2,
        seed=1,
    )
    chosen = validator.fit(tensor_frame(spark, 120).cache())
    assert chosen.avgMetrics[1] > chosen.avgMetrics[0]


def test_stage_works_in_a_pipeline_with_spark_stages(spark):
    frame = tensor_frame(spark, 100).withColumn("label", F.col("label").cast("double"))
    network = quick(rawPredictionCol="raw", predictionCol="p", probabilityCol="deep")
    stack = LogisticRegression(featuresCol="deep")
    model = Pipeline(stages=[network, stack]).fit(frame)
    assert confusion_matrix(model.transform(frame), "label", "prediction").error < 0.05


#: Runs in a fresh process: scores with a saved pipeline, trains, and assigns folds.
ELSEWHERE = """
import json, sys
sys.path[:0] = ["tests"]
from conftest import start_session
from pyspark.ml import Pipeline, PipelineModel
from sparkwater.stacking import assign_folds

spark = start_session("local[2]")
rows = spark.read.parquet(sys.argv[1] + "/rows")
scored = PipelineModel.load(sys.argv[1] + "/model").transform(rows).collect()
raw = {row["id"]: row["rawPrediction"].toArray().tobytes().hex() for row in scored}
model = Pipeline.load(sys.argv[1] + "/pipeline").fit(rows).stages[-1]
frame = spark.range(200).selectExpr("id", "id / 7.0 as x", "concat('row ', id) as name", "array(id, id + 1) as a")
folds = [row.fold for row in sorted(assign_folds(frame.coalesce(1), 5, seed=3).collect())]
print(json.dumps({"raw": raw, "digest": model.fitted.trained.weights_digest, "folds": folds}))
"""


def test_fresh_process_with_another_hash_seed_predicts_and_learns_the_same_bits(spark, tmp_path):
    frame = png_frame(spark, 60)
    frame.write.parquet(str(tmp_path / "rows"))
    stages = [
        ImageToTensor(inputCol="content", outputCol="features", imageShape=[16, 16, 1]),
        quick(epochs=1, numWorkers=2),
    ]
    pipeline = Pipeline(stages=stages)
    pipeline.save(str(tmp_path / "pipeline"))
    model = pipeline.fit(frame)
    model.save(str(tmp_path / "model"))
    scored = model.transform(spark.read.parquet(str(tmp_path / "rows"))).collect()
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["raw"] == {str(row["id"]): row["rawPrediction"].toArray().tobytes().hex() for row in scored}
    assert found["digest"] == model.stages[-1].fitted.trained.weights_digest
    rows = spark.range(200).selectExpr("id", "id / 7.0 as x", "concat('row ', id) as name", "array(id, id + 1) as a")
    assert found["folds"] == [row.fold for row in assign_folds(rows, 5, seed=3).orderBy("id").collect()]


def test_model_saved_and_loaded_keeps_everything(spark, fitted, tmp_path):
    path = str(tmp_path / "model")
    fitted.save(path)
    with pytest.raises(ConfigurationError, match="overwrite"):
        fitted.save(path)
    loaded = ImageClassifierModel.load(path)
    assert loaded.weights == fitted.weights
    assert loaded.classes == fitted.classes
    assert loaded.summary == fitted.summary
    assert loaded.uid == fitted.uid
    loaded.write().overwrite().save(path)
    frame = tensor_frame(spark, 20)
    assert ImageClassifierModel.load(path).transform(frame).collect() == fitted.transform(frame).collect()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model"]


def test_estimator_saved_and_loaded_keeps_its_params(spark, tmp_path):
    path = str(tmp_path / "estimator")
    quick(numWorkers=2, imageShape=[16, 16, 1]).save(path)
    loaded = ImageClassifier.load(path)
    assert (loaded.getNumWorkers(), loaded.getImageShape(), loaded.getEpochs()) == (2, [16, 16, 1], 4)
    with pytest.raises(UnsafeLoadError, match="ImageClassifier"):
        ImageToTensor.load(path)


def test_save_that_fails_half_way_leaves_the_old_model(spark, fitted, tmp_path):
    path = str(tmp_path / "model")
    fitted.save(path)
    broken = fitted.copy()
    # The weights are written last: what isn't bytes fails after everything else is there.
    broken.fitted = replace(fitted.fitted, trained=replace(fitted.fitted.trained, weights=None))
    with pytest.raises(TypeError):
        broken.write().overwrite().save(path)
    assert ImageClassifierModel.load(path).weights == fitted.weights
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model"]


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    fitted.save(str(path))
    for checksum in path.rglob(".*.crc"):
        checksum.unlink()
    return path


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "pickle", "json", "other class"])
def test_damaged_model_is_refused(saved, tmp_path, damage):
    path = shutil.copytree(saved, tmp_path / "model")
    weights, description = path / "weights.safetensors", path / "model.json"
    content = bytearray(weights.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        weights.write_bytes(content)
    elif damage == "cut":
        weights.write_bytes(content[:100])
    elif damage == "missing":
        weights.unlink()
    elif damage == "pickle":
        weights.write_bytes(pickle.dumps({"fc1.weight": 1}))
    elif damage == "json":
        description.write_text("{")
    else:
        metadata = next((path / "metadata").glob("part-*"))
        metadata.write_text(
            metadata.read_text().replace("sparkwater.ml.image_classifier_model.ImageClassifierModel", "os.path.join")
        )
    with pytest.raises(UnsafeLoadError if damage == "other class" else CheckpointError):
        ImageClassifierModel.load(str(path))


def test_missing_model_is_a_checkpoint_error(spark, tmp_path):
    with pytest.raises(CheckpointError, match="no saved ImageClassifierModel"):
        ImageClassifierModel.load(str(tmp_path / "nothing"))


def test_prediction_columns_can_be_left_out(spark, fitted):
    scored = fitted.copy({fitted.rawPredictionCol: "", fitted.probabilityCol: ""}).transform(tensor_frame(spark, 4))
    assert scored.columns == ["id", "features", "label", "prediction"]


def test_invalid_rows_at_transform(spark, fitted):
    frame = tensor_frame(spark, 6).withMetadata("features", {})
    frame = frame.withColumn(
        "features",
        F.when(F.col("id") == 1, F.lit(None)).when(F.col("id") == 3, F.lit(b"xx")).otherwise(F.col("features")),
    )
    frame = with_tensor_spec(frame, "features", SPEC)
    kept = fitted.copy({fitted.handleInvalid: "keep"}).transform(frame).collect()
    assert [row["id"] for row in kept] == list(range(6))
    assert [row["prediction"] is None for row in kept] == [False, True, False, True, False, False]
    assert [row["probability"] is None for row in kept] == [False, True, False, True, False, False]
    skipped = fitted.copy({fitted.handleInvalid: "skip"}).transform(frame).collect()
    assert [row["id"] for row in skipped] == [0, 2, 4, 5]
    with pytest.raises(Exception, match=r"invalid row 1: the tensor is null|invalid row 3: the tensor has 2 bytes"):
        fitted.copy({fitted.idCol: "id"}).transform(frame).collect()


def test_schema_errors_at_transform_come_before_any_job(spark, fitted):
    frame = tensor_frame(spark, 4)
    with pytest.raises(SchemaError, match="float64"):
        fitted.transform(with_tensor_spec(frame, "features", TensorSpec("float64", (1, 16, 16))))
    with pytest.raises(SchemaError, match=r"uint8\[1, 16, 17\]; this model was trained on uint8\[1, 16, 16\]"):
        fitted.transform(with_tensor_spec(frame, "features", TensorSpec("uint8", (1, 16, 17))))
    with pytest.raises(SchemaError, match="there is no column 'features'"):
        fitted.transform(frame.drop("features"))
    with pytest.raises(SchemaError, match="'prediction' already"):
        fitted.transform(frame.withColumn("prediction", F.lit(1)))


def test_all_rows_invalid_is_a_data_error(spark):
    frame = spark.createDataFrame(
        [(bytearray(b"junk"), "a"), (bytearray(b"more"), "b")], "content binary, label string"
    )
    with pytest.raises(DataError, match="no rows to train on"):
        quick(featuresCol="content", handleInvalid="skip", imageShape=[16, 16, 1]).fit(frame)
