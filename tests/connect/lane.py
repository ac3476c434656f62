"""Stages over Spark Connect. ``tests/connect/test_connect.py`` runs this file in a process of its own."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from digits import png_frame, tensor_frame
from failing_networks import failing_networks
from mixed_tables import INPUTS, mixed_frame
from object_store import BUCKET
from processes import little_room
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.regression import DecisionTreeRegressor, LinearRegression, LinearRegressionModel
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from tables import table

from sparkwater.bundle import Bundle
from sparkwater.conversions import ImageToTensor, read_images
from sparkwater.conversions.sessions.remote_files import RemoteFiles
from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.sessions.shipping import Shipped
from sparkwater.conversions.sessions.versions import first_numbers
from sparkwater.conversions.stages.columns import tensor_spec
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, RankFailure
from sparkwater.ml import (
    DeepFeatures,
    DeepLearningClassifier,
    ImageClassifier,
    ImageClassifierModel,
    Similarity,
    exact_shapley_values,
)
from sparkwater.stacking import StackedEnsemble, StackedEnsembleModel, cross_fit
from sparkwater.stacking.folds import Folds
from sparkwater.stacking.level_one.fit_plan import check_kept


def accuracy(scored) -> float:
    return MulticlassClassificationEvaluator(metricName="accuracy").evaluate(scored)


def test_cross_validator_chooses_among_pipelines(spark) -> None:
    rows = tensor_frame(spark, 40, classes=2).cache()
    classifier = ImageClassifier(network="mlp", batchSize=4, seed=3, numWorkers=1)
    grid = ParamGridBuilder().addGrid(classifier.epochs, [0.0, 3.0]).build()
    found = CrossValidator(
        estimator=Pipeline(stages=[classifier]), estimatorParamMaps=grid, numFolds=2, parallelism=2, seed=1,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
    ).fit(rows)  # fmt: skip
    assert found.avgMetrics[1] > 0.9 > found.avgMetrics[0]
    assert accuracy(found.transform(rows)) > 0.9


def test_a_table_is_learned_reported_saved_loaded_and_exported(spark, tmp_path: Path, caplog) -> None:
    rows = mixed_frame(spark, 60).cache()
    learner = DeepLearningClassifier(labelCol="kind", inputCols=INPUTS, epochs=2, seed=3, numWorkers=2)
    with caplog.at_level("INFO", logger="sparkwater"):
        model = learner.fit(rows)
    assert sum(record.message.startswith("epoch ") for record in caplog.records) == 2
    assert model.summary.numWorkers == 2
    scored = model.transform(rows).select("probability").collect()
    model.save(str(tmp_path / "model"))
    with pytest.raises(ConfigurationError, match="exists already"):
        model.save(str(tmp_path / "model"))
    model.write().overwrite().save(str(tmp_path / "model"))
    with little_room(), pytest.raises(CheckpointError, match="can't be written"):
        model.write().overwrite().save(str(tmp_path / "model"))
    loaded = type(model).load(str(tmp_path / "model"))
    assert loaded.transform(rows).select("probability").collect() == scored
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    loaded.exportBundle(str(tmp_path / "bundle"), rows)
    found = Bundle.load(tmp_path / "bundle", threads=1).predict(rows.select(*INPUTS).toPandas())
    np.testing.assert_allclose(
        np.stack(found["probability"]), [row["probability"].toArray() for row in scored], atol=1e-5
    )


def test_large_weights_travel_beside_the_function(spark) -> None:
    rows = tensor_frame(spark, 20, classes=2)
    model = ImageClassifier(network="mlp", networkArguments={"hidden": [1200]}, epochs=0, seed=3).fit(rows)
    assert len(model.fitted.trained.weights) > 1024 * 1024
    assert isinstance(session_of(spark).ship(model.fitted.trained), Shipped)
    features = DeepFeatures(model=model, layer=["fc1"], outputCols=["deep"]).transform(rows)
    assert tensor_spec(features.schema["deep"]) is None  # a vector
    vectors = np.array([row["deep"].toArray() for row in features.select("deep").collect()])
    assert vectors.shape == (20, 1200)
    nearest = Similarity(references=features, featuresCol="deep", k=1, measure="l2", idCol="id").transform(features)
    assert all(row["neighbors"][0]["id"] == row["id"] for row in nearest.select("id", "neighbors").collect())
    again = ImageClassifier(network="mlp", networkArguments={"hidden": [1200]}, warmStart=model, epochs=0).fit(rows)
    assert again.fitted.trained.weights_digest == model.fitted.trained.weights_digest


def test_tensor_columns_keep_their_spec(spark) -> None:
    rows, decode = png_frame(spark, 4), ImageToTensor(inputCol="content", outputCol="features", imageShape=[16, 16, 1])
    for treatment in ("error", "keep"):
        frame = decode.copy().setHandleInvalid(treatment).transform(rows)
        assert tensor_spec(frame.schema["features"]).shape == (1, 16, 16)


def test_a_regression_is_stacked_exported_and_explained_without_a_jvm_and_models_of_folds_leave_the_servers_cache(
    spark, tmp_path: Path
) -> None:
    rows, names = table(spark, "diabetes", 120), []

    class Watched(LinearRegression):
        def _fit(self, dataset):
            model = super()._fit(dataset)
            names.append(str(model._java_obj))
            return model

    learners = {"line": Watched(regParam=1.0), "tree": DecisionTreeRegressor(maxDepth=2)}
    level_one = cross_fit(learners, rows, Folds(2, seed=1, idCol="id"), idCol="id")
    ensemble = StackedEnsemble(learners=learners, numFolds=2, idCol="id", metaLearner="glm", keepLevelOne=True, seed=1)
    model = ensemble.fitLevelOne(rows, level_one)
    assert len(names) == 3
    assert held_models(spark, set(names)) == {str(model.baseModels["line"][0]._java_obj)}
    scored = model.transform(rows).select("prediction").collect()
    model.save(str(tmp_path / "ensemble"))
    loaded = StackedEnsembleModel.load(str(tmp_path / "ensemble"))
    assert loaded.transform(rows).select("prediction").collect() == scored
    loaded.exportBundle(str(tmp_path / "bundle"), rows)
    found = Bundle.load(tmp_path / "bundle", threads=1).predict(rows.toPandas())
    np.testing.assert_allclose(found["prediction"], [row["prediction"] for row in scored], rtol=1e-4)
    (tree,) = loaded.baseModels["tree"]
    for row in tree.transform(exact_shapley_values(tree, rows.limit(4))).collect():
        assert sum(row["contributions"].values()) + row["baseValue"] == pytest.approx(row[tree.getPredictionCol()])
    assert sum(model.summary.coefficients[0]) > 0
    assert level_one.values.count() == 120
    if session_of(spark).most_models is not None:
        with pytest.raises(ConfigurationError, match=r"120 fold models .* holds 100 and drops the oldest"):
            check_kept(spark, level_one.learners * 30, 2)


def held_models(spark, names: set[str]) -> set[str]:
    """Return those of some models' names that are in the server's cache."""
    gc.collect()
    if first_numbers(spark.version) < (4, 1):  # nothing lists them there
        return {name for name in names if is_held(name)}
    listed = " ".join(spark.client._get_ml_cache_info())
    return {name for name in names if name in listed}


def is_held(name: str) -> bool:
    try:
        return bool(LinearRegressionModel(name).numFeatures)
    except Exception:
        return False


def test_failures_are_the_packages_own(spark, tmp_path: Path) -> None:
    rows = tensor_frame(spark, 20, classes=2)
    with pytest.raises(ConfigurationError, match="numWorkers=3, but the cluster runs 2 tasks at a time"):
        ImageClassifier(network="mlp", numWorkers=3).fit(rows)
    damaged = png_frame(spark, 4).selectExpr("id", "substring(content, 1, 40) as content", "label")
    with pytest.raises(DataError, match="the bytes are no picture"):
        ImageClassifier(network="mlp", featuresCol="content", epochs=1, imageShape=[16, 16, 1]).fit(damaged)
    with pytest.raises(CheckpointError, match="holds no saved"):
        ImageClassifier.load(str(tmp_path / "nothing"))


def test_the_error_of_one_rank_comes_with_its_place_and_traceback(spark) -> None:
    with failing_networks(), pytest.raises(RankFailure, match="the eighth step is too much") as caught:
        ImageClassifier(network="fails", numWorkers=2, epochs=3, batchSize=16).fit(tensor_frame(spark, 100))
    failure = caught.value
    assert (failure.rank, failure.epoch, failure.step, failure.error_type) == (1, 1, 0, "ArithmeticError")
    assert "in forward" in failure.remote_traceback


def test_weights_beyond_a_message_are_trained_saved_loaded_and_scored(spark, tmp_path: Path) -> None:
    rows = tensor_frame(spark, 4, classes=2)
    large = ImageClassifier(network="mlp", networkArguments={"hidden": [132_000]}, epochs=0, seed=3, numWorkers=1)
    model = large.fit(rows)
    assert len(model.weights) > 128 * 1024 * 1024  # what gRPC takes at most
    model.save(str(tmp_path / "model"))
    loaded = ImageClassifierModel.load(str(tmp_path / "model"))
    assert loaded.weights == model.weights
    assert loaded.transform(rows).where("prediction IS NOT NULL").count() == 4
    files = RemoteFiles(spark, here=False)  # as a client of a server elsewhere
    files.write(f"{tmp_path}/weights", model.weights)
    assert files.read(f"{tmp_path}/weights", CheckpointError) == model.weights


def test_files_are_moved_by_tasks_as_by_this_process(spark, tmp_path: Path) -> None:
    files, large = RemoteFiles(spark, here=False), bytes(range(256)) * 80_000
    inner = f"{tmp_path}/one/two"
    files.write(f"{inner}/large", large)
    files.write(f"{inner}/empty", b"")
    assert files.read(f"{inner}/large", CheckpointError) == large
    assert files.list_files(str(tmp_path)) == {
        "one/two/large": f"{inner}/large", "one/two/empty": f"{inner}/empty"
    }  # fmt: skip
    assert not files.exists(f"{tmp_path}/three")
    assert files.move(f"{tmp_path}/one", f"{tmp_path}/three/four")
    assert files.exists(f"{tmp_path}/three/four/two/empty")
    files.make_private_folder(f"{tmp_path}/private")
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700
    files.delete(f"{tmp_path}/three")
    assert [path.name for path in tmp_path.iterdir()] == ["private"]
    with pytest.raises(CheckpointError, match="can't be read"):
        files.read(f"{tmp_path}/nothing", CheckpointError)
    with pytest.raises(CheckpointError, match="can't be listed"):
        files.list_files(f"{tmp_path}/nothing")
    with pytest.raises(CheckpointError, match=r"^'/proc/nowhere': .*/proc/nowhere"):
        files.make_private_folder("/proc/nowhere")


def test_models_and_checkpoints_on_a_store(spark) -> None:
    bucket = f"s3://{BUCKET}"
    rows = tensor_frame(spark, 20, classes=2)
    learner = ImageClassifier(network="mlp", epochs=1, batchSize=16, seed=3, numWorkers=1)
    model = learner.setCheckpointDir(f"{bucket}/connect/checkpoints").fit(rows)
    assert model.summary.lostCheckpoints == ()
    for _ in range(2):
        model.write().overwrite().save(f"{bucket}/connect/model")
    assert ImageClassifierModel.load(f"{bucket}/connect/model").weights == model.weights
    with pytest.raises(ConfigurationError, match=r"--packages org\.apache\.hadoop:hadoop-aws"):
        read_images(spark, f"{bucket}/pictures")
    with pytest.raises(ConfigurationError, match="there is no such bucket"):
        model.save("s3://no-such/model")
