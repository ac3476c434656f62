"""Autoencoders in Spark: errors, anomalies, rows that come back, and networks that begin with what they learned."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import start_session
from digits import SPEC, png_frame, tensor_frame
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.conversions import TensorSpec, tensor_spec, with_tensor_spec
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError
from sparkwater.ml import AutoEncoder, AutoEncoderModel, DeepLearningClassifier, ImageClassifier
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.stacking.level_one.learners import kind_of

ROWS = 80
HIDDEN = [32, 4, 32]


def quick(**params: Any) -> AutoEncoder:
    return AutoEncoder(**{"epochs": 2, "batchSize": 16, "hidden": HIDDEN, **params})


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    """Pictures of four kinds, and no label."""
    rows = tensor_frame(start_session("local[2]"), ROWS).drop("label")
    return rows.withColumn("held_out", F.col("id") % 5 == 0).cache()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = str(tmp_path_factory.mktemp("autoencoder"))
    return {
        "epochs": 12, "validationIndicatorCol": "held_out", "anomalyThreshold": 0.9, "errorsCol": "errors",
        "reconstructionCol": "rebuilt", "checkpointDir": f"{folder}/checkpoints", "numWorkers": 2,
    }  # fmt: skip


@pytest.fixture(scope="module")
def model(frame: DataFrame, settings: dict[str, Any]) -> AutoEncoderModel:
    return quick(**settings).fit(frame)


@pytest.fixture(scope="module")
def scored(model: AutoEncoderModel, frame: DataFrame) -> list[Any]:
    found = model.transform(frame)
    assert found.columns == [*frame.columns, "reconstructionError", "errors", "rebuilt", "prediction"]
    assert tensor_spec(found.schema["rebuilt"]) == TensorSpec("float32", SPEC.shape)
    return found.collect()


def test_errors_of_pixels_make_the_row_s_and_rows_come_back_in_their_own_units(model, scored) -> None:
    assert [row.id for row in scored] == list(range(ROWS))
    (deviation,) = model.fitted.trained.scaling.deviation
    for row in scored:
        errors = row.errors.toArray()
        assert errors.mean() == pytest.approx(row.reconstructionError, rel=1e-6)
        given = np.frombuffer(row.features, np.uint8).astype(float)
        rebuilt = np.frombuffer(row.rebuilt, np.float32)
        np.testing.assert_allclose(((rebuilt - given) / deviation) ** 2, errors, rtol=1e-3, atol=1e-5)


def test_the_threshold_is_the_quantile_of_the_rows_to_train_on(model, scored) -> None:
    training = [row.reconstructionError for row in scored if not row.held_out]
    assert model.threshold == pytest.approx(np.quantile(training, 0.9, method="inverted_cdf"), rel=1e-6)
    assert [row.prediction for row in scored] == [float(row.reconstructionError > model.threshold) for row in scored]
    # The row whose error is the threshold may be on either side of it, by its last digits.
    assert (
        len(training) * 0.1 - 1 <= sum(row.prediction for row in scored if not row.held_out) <= len(training) * 0.1 + 1
    )
    assert model.summary.resolved["lossQuantile"] == model.threshold


def test_metrics_are_means_of_what_transform_gives(model, scored) -> None:
    held_out = np.mean([row.reconstructionError for row in scored if row.held_out])
    best = model.summary.records[model.summary.bestEpoch].validation
    assert best.reconstructionError == pytest.approx(held_out, rel=1e-5)
    assert best.mse == best.reconstructionError
    assert best.crossEntropy is None
    losses = model.summary.objectiveHistory
    assert losses[-1] < losses[0] * 0.75
    assert "validationReconstructionError" in model.summary.history.columns
    assert "training rows: reconstructionError " in str(model.summary)
    assert TrainingSummary.from_dict(json.loads(json.dumps(model.summary.to_dict()))) == model.summary


def test_a_saved_model_is_the_same_and_a_done_training_is_read_from_its_checkpoints(
    model, frame, settings, scored, tmp_path
) -> None:
    PipelineModel([model]).save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model")).stages[0]
    assert (loaded.weights, loaded.threshold, loaded.summary) == (model.weights, model.threshold, model.summary)
    assert loaded.transform(frame).collect() == scored
    # Another threshold is asked of the same training.
    again = quick(**{**settings, "anomalyThreshold": 0.5}).fit(frame)
    assert (again.summary.resumedAt, again.weights) == (12 * 4, model.weights)
    assert again.threshold < model.threshold
    quick(**settings).save(str(tmp_path / "estimator"))
    estimator = AutoEncoder.load(str(tmp_path / "estimator"))
    assert (estimator.getHidden(), estimator.getAnomalyThreshold()) == (HIDDEN, 0.9)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_in_any_order_and_partitioning_give_the_same_bits(frame, workers: int) -> None:
    learner = quick(numWorkers=workers, anomalyThreshold=0.75, noise=0.2, epochs=1)
    models = [learner.fit(given) for given in (frame, frame.orderBy(F.rand(3)).repartition(5))]
    assert models[0].weights == models[1].weights
    assert models[0].threshold == models[1].threshold


def test_without_a_threshold_there_are_errors_only_and_empty_names_leave_columns_out(frame) -> None:
    model = quick(epochs=0).fit(frame)
    assert model.threshold is None
    assert model.transform(frame).columns == [*frame.columns, "reconstructionError"]
    few = quick(epochs=0, anomalyThreshold=0.5, reconstructionErrorCol="", errorsCol="e").fit(frame)
    assert few.transform(frame).columns == [*frame.columns, "e", "prediction"]
    with pytest.raises(ConfigurationError, match="two output columns are named 'e'"):
        few.copy().setReconstructionCol("e").transform(frame)


def test_weights_and_penalties_reach_the_ranks(frame) -> None:
    rows = frame.withColumn("weight", F.when(F.col("id") < 40, 0.0).otherwise(1.0))
    weighted = quick(weightCol="weight", anomalyThreshold=0.5).fit(rows)
    alone = quick(anomalyThreshold=0.5).fit(frame.where("id >= 40"))
    assert (weighted.weights, weighted.threshold) == (alone.weights, alone.threshold)
    sparse = quick(activation="sigmoid", sparsityBeta=1.0, averageActivation=0.1).fit(frame)
    assert sparse.weights != quick(activation="sigmoid").fit(frame).weights
    assert sparse.fitted.trained.entry.arguments == {"hidden": HIDDEN, "activation": "sigmoid"}


def test_pictures_go_through_convolutions_and_pipelines(spark, tmp_path) -> None:
    pictures = png_frame(spark, 24)
    learner = AutoEncoder(
        featuresCol="content", imageShape=[16, 16, 1], network="conv_autoencoder", noise=0.1, epochs=2, batchSize=8,
        networkArguments={"code": 4, "filters": 4},
    )  # fmt: skip
    model = Pipeline(stages=[learner]).fit(pictures).stages[0]
    assert model.fitted.trained.entry.arguments == {"code": 4, "filters": 4, "noise": 0.1}
    deep = model.deepFeatures("code", outputCol="deep").transform(pictures)
    assert len(deep.first().deep) == 4
    assert [layer.name for layer in learner.describeNetwork().layers] == [
        layer.name for layer in model.describeNetwork().layers
    ]


def test_vectors_are_rows_of_numbers(spark) -> None:
    rows = spark.range(60).select(
        (F.col("id") * 0.37 % 5).alias("a"), F.sin("id").alias("b"), (F.col("id") / 9).alias("c")
    )
    assemble = VectorAssembler(inputCols=["a", "b", "c"], outputCol="features")
    learner = AutoEncoder(hidden=[8, 2, 8], epochs=3, reconstructionCol="rebuilt")
    scored = Pipeline(stages=[assemble, learner]).fit(rows).transform(rows)
    assert tensor_spec(scored.schema["rebuilt"]) == TensorSpec("float32", (3,))
    assert scored.where("reconstructionError >= 0").count() == 60


def test_rows_that_can_not_be_used_are_named_or_skipped_or_get_nulls(frame) -> None:
    floats = frame.withColumn("features", F.lit(np.arange(256, dtype=np.float32).tobytes()))
    bad = np.arange(256, dtype=np.float32)
    bad[7] = np.nan
    rows = floats.withColumn("features", F.when(F.col("id") == 3, F.lit(bad.tobytes())).otherwise(F.col("features")))
    rows = with_tensor_spec(rows, "features", TensorSpec("float32", (256,)))
    with pytest.raises(DataError, match="row 3: the tensor holds a NaN or an infinity"):
        quick(idCol="id").fit(rows)
    model = quick(handleInvalid="keep", idCol="id").fit(rows)
    assert (model.summary.numSkipped, model.summary.numRows) == (1, ROWS - 1)
    scored = model.transform(rows).where("reconstructionError is null").collect()
    assert [row.id for row in scored] == [3]
    with pytest.raises(DataError, match="no rows to train on"):
        quick().fit(frame.where("id < 0"))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sparsityBeta": 1.0, "averageActivation": 0.1}, "sparsityBeta needs hidden layers of bounded activations"),
        ({"sparsityBeta": 1.0, "activation": "sigmoid"}, r"averageActivation=0\.0 .*accepted .*above 0 and below 1"),
        ({"network": "conv_autoencoder"}, r"hidden=\[32, 4, 32\] is for the networks autoencoder; .*clear it"),
        ({"network": "lenet", "hidden": [256, 8, 256], "noise": 0.1}, "noise=0.1 is for the networks autoencoder and"),
        ({"networkArguments": {"hidden": [2]}}, r"hidden=\[32, 4, 32\] and networkArguments=.* both say it"),
        (
            {"network": "torch.nn:Identity", "hidden": [256, 8, 256]},
            r"a tensor of shape \[1, 16, 16\] .*must be \[256\]",
        ),
        ({"featuresCols": ["features", "other"]}, "an autoencoder gives back one features column"),
        ({"featuresCol": "ids"}, r"featuresCol='ids' holds tensors int64\[4\], which are ids"),
        ({"stoppingMetric": "crossEntropy"}, "stoppingMetric='crossEntropy': there are numbers only"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_training(frame, params, message) -> None:
    rows = frame.withColumn("other", F.col("features")).withColumn("ids", F.lit(bytes(32)))
    rows = with_tensor_spec(rows, "features", SPEC)
    rows = with_tensor_spec(with_tensor_spec(rows, "other", SPEC), "ids", TensorSpec("int64", (4,)))
    with pytest.raises(ConfigurationError, match=message):
        quick(**params).fit(rows)


def test_other_rows_at_scoring_are_refused(model, frame) -> None:
    with pytest.raises(SchemaError, match=r"uint8\[1, 8, 32\]; this model was trained on uint8\[1, 16, 16\]"):
        model.transform(with_tensor_spec(frame, "features", TensorSpec("uint8", (1, 8, 32))))
    with pytest.raises(SchemaError, match="there is a column 'errors' already"):
        model.transform(frame.withColumn("errors", F.lit(1)))


def test_it_goes_on_from_its_own_kind_only_and_is_not_stacked(model, frame) -> None:
    warm = AutoEncoder(warmStart=model, epochs=0).fit(frame)
    assert (warm.weights, warm.getNetwork()) == (model.weights, "autoencoder")
    with pytest.raises(ConfigurationError, match=r"hidden=.* and warmStart are both set"):
        quick(warmStart=model).fit(frame)
    labelled = tensor_frame(frame.sparkSession, 8)
    with pytest.raises(ConfigurationError, match="learned reconstruction, and the label is to be learned as classif"):
        ImageClassifier(warmStart=model).fit(labelled)
    classes = ImageClassifier(epochs=0).fit(labelled)
    with pytest.raises(ConfigurationError, match="learned classification, and an autoencoder gives rows back"):
        AutoEncoder(warmStart=classes).fit(frame)
    assert kind_of(model) is None


@pytest.mark.parametrize(
    ("network", "arguments", "taken"),
    [
        ("autoencoder", {"hidden": HIDDEN}, ["fc1", "fc2", "fc3"]),
        ("mlp", {"hidden": HIDDEN[:2]}, ["fc1", "fc2"]),
        ("mlp", {"hidden": [32, 9, 32]}, ["fc1"]),
    ],
)
def test_a_classifier_begins_with_the_layers_that_are_the_autoencoder_s(
    model, tmp_path, network, arguments, taken
) -> None:
    labelled = tensor_frame(start_session("local[2]"), 24)
    begun = ImageClassifier(
        network=network, networkArguments=arguments, pretrainedAutoencoder=model, epochs=0
    ).fit(labelled)  # fmt: skip
    before, after = safetensors.torch.load(model.weights), safetensors.torch.load(begun.weights)
    same = {name.rpartition(".")[0] for name in after if name in before and torch.equal(before[name], after[name])}
    assert sorted(same) == taken
    assert begun.fitted.trained.scaling == model.fitted.trained.scaling
    if network == "autoencoder":
        model.save(str(tmp_path / "model"))
        frozen = ImageClassifier(
            network=network, networkArguments=arguments, pretrainedAutoencoder=str(tmp_path / "model"),
            epochs=1, freeze="fc2",
        ).fit(labelled)  # fmt: skip
        after = safetensors.torch.load(frozen.weights)
        assert [torch.equal(before[f"{name}.weight"], after[f"{name}.weight"]) for name in taken] == [True, True, False]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"network": "lenet"},
            r"begins with conv1.weight \[20, 1, 5, 5\].* and the model of pretrainedAutoencoder with fc1",
        ),
        ({"network": "mlp", "warmStart": "x"}, "warmStart and pretrainedAutoencoder are both set"),
        ({"network": "mlp", "inputMean": [0.5], "inputStd": [0.5]}, "inputMean and pretrainedAutoencoder are both set"),
        (
            {"network": "mlp", "featuresCol": "wide"},
            r"the features are uint8\[1, 8, 32\]; the model of .* uint8\[1, 16, 16\]",
        ),
        (
            {"network": "mlp", "pretrainedAutoencoder": "/no/such/model"},
            "'/no/such/model' holds no saved AutoEncoderModel",
        ),
    ],
)
def test_an_autoencoder_that_a_network_can_not_begin_with_is_refused(model, params, message) -> None:
    labelled = tensor_frame(start_session("local[2]"), 8)
    labelled = with_tensor_spec(labelled.withColumn("wide", F.col("features")), "wide", TensorSpec("uint8", (1, 8, 32)))
    with pytest.raises((ConfigurationError, CheckpointError, SchemaError), match=message):
        ImageClassifier(**{"pretrainedAutoencoder": model, **params}).fit(labelled)


def test_a_model_to_begin_with_is_not_saved_with_the_estimator(model, tmp_path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"pretrainedAutoencoder is a model: .*set pretrainedAutoencoder to its path"
    ):
        ImageClassifier(pretrainedAutoencoder=model).save(str(tmp_path / "estimator"))
    labelled = tensor_frame(start_session("local[2]"), 8)
    classes = ImageClassifier(epochs=0).fit(labelled)
    with pytest.raises(ConfigurationError, match="learned classification; accepted: an AutoEncoderModel"):
        ImageClassifier(pretrainedAutoencoder=classes).fit(labelled)


@pytest.fixture(scope="module")
def table() -> DataFrame:
    """Two dependent numbers, one of them with nulls, a category that follows from them, a flag, and a label."""
    rows = start_session("local[2]").range(120)
    number = F.sin(F.col("id") * 1.7)
    return rows.select(
        "id",
        number.alias("x"),
        F.when(F.col("id") % 10 != 0, number * 3 + 1).alias("y"),
        F.when(number > 0.3, "high").when(number < -0.3, "low").otherwise("middle").alias("level"),
        (F.col("id") % 2 == 0).alias("even"),
        (number > 0).cast("int").alias("label"),
    ).cache()


COLUMNS = ["x", "y", "level", "even"]


@pytest.fixture(scope="module")
def of_table(table: DataFrame) -> AutoEncoderModel:
    learner = AutoEncoder(
        inputCols=COLUMNS, hidden=[16, 4, 16], epochs=20, batchSize=20, errorsCol="errors", reconstructionCol="rebuilt",
        anomalyThreshold=0.9, numWorkers=2, stoppingMetric="crossEntropy",
    )  # fmt: skip
    return learner.fit(table)


def test_each_column_of_a_table_has_its_own_kind_of_error(of_table, table, tmp_path) -> None:
    task = of_table.fitted.trained.task
    assert of_table.entries == ["x", "y", "y is missing", "level", "even"]
    assert (task.numbers, task.categories, task.flags) == (3, (5, 4), (2,))
    record = of_table.summary.records[-1].training
    assert record.crossEntropy < of_table.summary.records[0].training.crossEntropy
    assert record.reconstructionError == pytest.approx((2 * record.mse + 3 * record.crossEntropy) / 5)
    rows = of_table.transform(table).collect()
    for row in rows:
        errors, rebuilt = row.errors.toArray(), np.frombuffer(row.rebuilt, np.float32)
        assert errors.mean() == pytest.approx(row.reconstructionError, rel=1e-6)
        assert set(rebuilt[3:].tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert 0 < sum(row.prediction for row in rows) <= 13
    of_table.save(str(tmp_path / "model"))
    assert AutoEncoderModel.load(str(tmp_path / "model")).transform(table).collect() == rows


def test_a_row_whose_columns_do_not_belong_together_is_an_anomaly(of_table, table) -> None:
    odd = table.limit(20).withColumn("level", F.when(F.col("x") > 0, "low").otherwise("high"))
    known, strange = (of_table.transform(rows).agg(F.avg("reconstructionError")).first()[0] for rows in (table, odd))
    assert strange > 2 * known
    unseen = of_table.transform(odd.withColumn("level", F.lit("unheard of")))
    assert unseen.where("reconstructionError is null").count() == 0
    with pytest.raises(SchemaError, match="there is no column 'y'"):
        of_table.transform(table.drop("y"))


def test_an_autoencoder_of_pictures_is_refused_for_columns_before_any_job(model, table) -> None:
    learner = DeepLearningClassifier(inputCols=COLUMNS, pretrainedAutoencoder=model)
    with pytest.raises(
        ConfigurationError, match="the model of pretrainedAutoencoder was trained on a features column, and"
    ):
        learner.fit(table.withColumn("label", F.raise_error(F.lit("a job ran")).cast("int")))


def test_a_learner_of_the_same_columns_begins_with_the_autoencoder(of_table, table) -> None:
    learner = DeepLearningClassifier(
        network="autoencoder", networkArguments={"hidden": [16, 4, 16]}, pretrainedAutoencoder=of_table, epochs=0
    )
    begun = learner.fit(table)
    before, after = safetensors.torch.load(of_table.weights), safetensors.torch.load(begun.weights)
    same = {name.rpartition(".")[0] for name in after if name in before and torch.equal(before[name], after[name])}
    assert {"fc1", "fc2", "fc3"} <= same
    assert "fc4" not in same
    assert begun.getInputCols() == COLUMNS
    assert begun.transform(table).columns[-1] == "prediction"
    with pytest.raises(
        ConfigurationError, match=r"was trained on the columns \['x', 'y', 'level', 'even'\], and these"
    ):
        learner.copy().setInputCols(["x", "level"]).fit(table)
    with pytest.raises(SchemaError, match=r"the features are .* was trained on float32"):
        ImageClassifier(
            network="mlp", pretrainedAutoencoder=of_table, labelCol="label",
        ).fit(tensor_frame(table.sparkSession, 8))  # fmt: skip


def test_a_table_s_autoencoder_goes_on_from_itself(of_table, table) -> None:
    warm = AutoEncoder(inputCols=COLUMNS, warmStart=of_table, epochs=0).fit(table)
    assert warm.weights == of_table.weights
    assert warm.entries == of_table.entries
    # Without inputCols they are the model's, by which rows to validate on are chosen.
    held_out = AutoEncoder(warmStart=of_table, epochs=1, validationFraction=0.2).fit(table)
    assert held_out.getInputCols() == of_table.getInputCols()
    assert held_out.summary.records[0].validation is not None
    for params, message in (
        (
            {"inputCols": ["x"], "warmStart": of_table},
            r"inputCols=\['x'\], but the model of warmStart was trained on the",
        ),
        ({"inputCols": COLUMNS, "pretrainedAutoencoder": of_table}, "pretrainedAutoencoder and inputCols=.* both set"),
        ({"inputCols": COLUMNS, "augmentation": [{"name": "flip"}]}, "augmentation and inputCols=.* both set"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            AutoEncoder(**params).fit(table)
    with pytest.raises(ConfigurationError, match="network='conv_autoencoder' doesn't take tensors"):
        AutoEncoder(inputCols=COLUMNS, network="conv_autoencoder").fit(table)
