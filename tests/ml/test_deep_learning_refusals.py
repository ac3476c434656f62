"""Refusals of learners of tables, before any Spark job."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from conftest import ROOT, start_session
from mixed_tables import INPUTS, mixed_frame
from pyspark.sql import functions as F
from torch import nn

from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError
from sparkwater.ml import AutoEncoder, DeepFeatures, DeepLearningClassifier, DeepLearningRegressor
from sparkwater.ml.tables import choice


@pytest.fixture(scope="module")
def frame():
    return mixed_frame(start_session("local[2]"), 40)


@pytest.fixture(scope="module")
def model(frame):
    learner = DeepLearningRegressor(recipe="mlp", hidden=[4], labelCol="price", inputCols=INPUTS, epochs=0)
    return learner.fit(frame.withColumn("features", F.lit("Spark ML's usual name, of a column with no part in this")))


@pytest.fixture
def no_jobs(spark, model):
    """Fail when the test started a Spark job."""
    spark.sparkContext.setJobGroup("refusal", "must stay empty")
    yield
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("refusal")) == []
    spark.sparkContext._jsc.clearJobGroup()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"inputCols": ["missing"]}, SchemaError, "there is no column 'missing'"),
        ({"inputCols": ["size", "price"]}, ConfigurationError, "labelCol='price' is among the columns to learn from"),
        ({"inputCols": []}, ConfigurationError, "there are no input columns"),
        ({"inputCols": ["size", "size"]}, ConfigurationError, "inputCols names 'size' twice"),
        ({"inputCols": ["map"]}, SchemaError, "column 'map' is map<string,double>; accepted: numbers"),
        ({"inputCols": ["size"], "featuresCol": "size"}, ConfigurationError, r"\['size'\] are both set"),
        ({"featuresCol": "size"}, SchemaError, "featuresCol='size' is double; accepted: a tensor column, or ML vect"),
        ({"recipe": "catboost"}, ConfigurationError, "recipe='catboost'; accepted: realmlp, tabm, h2o, mlp"),
        ({"hidden": []}, ConfigurationError, r"hidden=\[\]; accepted: a list of integers from 1 up"),
        ({"hidden": [8, 0]}, ConfigurationError, r"hidden=\[8, 0\]; accepted"),
        ({"activation": "relu", "recipe": "h2o"}, ConfigurationError, "activation='relu'; accepted: rectifier, tanh"),
        ({"activation": "tanh"}, ConfigurationError, "activation='tanh' with recipe='realmlp'; accepted there: hidden"),
        ({"inputDropoutRatio": 1.0}, ConfigurationError, "inputDropoutRatio=1.0; accepted: numbers from 0 up to"),
        ({"hiddenDropoutRatios": [0.5, -1.0]}, ConfigurationError, r"hiddenDropoutRatios=\[0.5, -1.0\]; accepted"),
        (
            {"recipe": "h2o", "hidden": [8, 8], "hiddenDropoutRatios": [0.5], "activation": "tanh_with_dropout"},
            ConfigurationError,
            "hidden_dropouts",
        ),
        ({"hidden": [8], "network": "mlp"}, ConfigurationError, r"hidden=\[8\] with network='mlp'; they are for the"),
        ({"hidden": [8], "network": nn.Linear(3, 1)}, ConfigurationError, r"hidden=\[8\] with network=Linear"),
        ({"network": "lenett"}, ConfigurationError, "network='lenett' is not registered"),
        ({"network": "no_such_module:net"}, ConfigurationError, "no_such_module can't be imported"),
        ({"networkArguments": {"depth": 3}}, ConfigurationError, "unexpected keyword argument 'depth'"),
        ({"ignoredCols": ["size", "count", "colour", "flag", "day", "kind", "id"]}, SchemaError, "no column is left"),
        ({"labelCol": "missing"}, SchemaError, "there is no column 'missing'"),
        ({"labelCol": "kind"}, SchemaError, "labelCol='kind' is string; accepted: numbers"),
        ({"idCol": "missing"}, SchemaError, "there is no column 'missing'"),
        ({"numWorkers": 9}, ConfigurationError, "numWorkers=9"),
        ({"quantilesCol": "prediction"}, ConfigurationError, "quantilesCol='prediction', as predictionCol is"),
        ({"freeze": "fc9"}, ConfigurationError, "freeze='fc9'; did you mean fc"),
        ({"categoricalCols": ["size"]}, SchemaError, "categoricalCols names column 'size', which is double"),
        ({"numericCols": ["price"]}, ConfigurationError, "numericCols names 'price', which is no input column"),
        ({"scaling": "log"}, ConfigurationError, "scaling='log'; accepted: standard, robust, quantile"),
        ({"timeZone": "Mars"}, ConfigurationError, "timeZone='Mars'; accepted: names of time zones"),
        ({"maxLevels": 5, "featuresCol": "v"}, ConfigurationError, "maxLevels=5 is set beside featuresCol='v', whose"),
        ({"weights": "/no/such/file"}, CheckpointError, "/no/such/file"),
        (
            {"distribution": "quantile", "quantiles": [0.1, 0.9], "offsetCol": "size"},
            ConfigurationError,
            "offsetCol='size': quantiles takes no offsets",
        ),
    ],
)
@pytest.mark.usefixtures("no_jobs")
def test_what_can_be_known_is_refused_before_any_job(frame, params: dict[str, Any], error, message: str) -> None:
    rows = frame.withColumn("map", F.create_map("colour", "size"))
    with pytest.raises(error, match=message):
        DeepLearningRegressor(**{"labelCol": "price", "startTimeout": 1, **params}).fit(rows)


@pytest.mark.usefixtures("no_jobs")
def test_params_that_have_no_effect_beside_others_are_named_before_any_job(frame, caplog) -> None:
    given = {"momentum": 0.5, "beta2": 0.99, "learningRateAnnealing": 1e-5, "rho": 0.9, "tweediePower": 1.2}
    learner = DeepLearningRegressor(labelCol="price", recipe="h2o", inputCols=["missing"], **given)
    with pytest.raises(SchemaError, match="there is no column 'missing'"):
        learner.fit(frame)
    said = {record.message for record in caplog.records if "has no effect" in record.message}
    assert said == {
        "momentum=0.5 has no effect with optimizer='adadelta'; it is for optimizer='sgd'",
        "beta2=0.99 has no effect with optimizer='adadelta'; it is for optimizer='adam' or 'adamw'",
        "learningRateAnnealing=1e-05 has no effect with learningRateSchedule='constant'; it is for "
        "learningRateSchedule='annealing'",
        "tweediePower=1.2 has no effect with distribution='gaussian'; it is for distribution='tweedie'",
    }


@pytest.mark.usefixtures("no_jobs")
def test_weights_of_another_network_are_refused_before_any_job(spark, frame, model, tmp_path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(model.weights)
    own = DeepLearningRegressor(recipe="mlp", hidden=[4], labelCol="price", weights=str(file))
    choice.check_beginning(spark, own, partial(choice.table_network, own), 1)  # of other columns, as any are
    for params, message in (
        ({"recipe": "mlp", "hidden": [5]}, r"another network; of another shape: .*fc1.bias \[4\] for \[5\]"),
        ({"recipe": "mlp", "hidden": [4, 4]}, "another network; missing: "),
        ({"recipe": "realmlp", "freeze": "fc1"}, "another network; missing: "),
    ):
        with pytest.raises(CheckpointError, match=message):
            DeepLearningRegressor(labelCol="price", weights=str(file), **params).fit(frame)
    with pytest.raises(CheckpointError, match="another network; missing: "):
        AutoEncoder(inputCols=INPUTS, weights=str(file)).fit(frame)


@pytest.mark.usefixtures("no_jobs")
def test_offsets_of_tasks_without_a_place_for_them_are_refused_before_any_job(frame) -> None:
    for learner, task in (
        (DeepLearningClassifier(labelCol="kind", ordinal=["small", "big"], offsetCol="price"), "ordinal"),
        (AutoEncoder(inputCols=INPUTS, offsetCol="price"), "reconstruction"),
    ):
        with pytest.raises(ConfigurationError, match=f"offsetCol='price': {task} takes no offsets; clear offsetCol"):
            learner.fit(frame)
    with pytest.raises(ConfigurationError, match="freeze='fc9'"):
        AutoEncoder(inputCols=INPUTS, freeze="fc9").fit(frame)


@pytest.mark.usefixtures("no_jobs")
def test_a_fitted_model_reads_its_own_columns_only(frame, model) -> None:
    other = model.copy().setInputCols(["size"])
    for stage in (other, other.deepFeatures("fc1")):
        with pytest.raises(ConfigurationError, match=r"\['size'\] are set; this model reads those that it learned"):
            stage.transform(frame)
    with pytest.raises(ConfigurationError, match=r"a trained ImageClassifierModel, .*DeepLearningRegressorModel or A"):
        DeepFeatures().setModel(DeepLearningRegressor())


def test_a_warm_start_keeps_the_recipe_of_its_network(frame, model) -> None:
    again = DeepLearningRegressor(labelCol="price", warmStart=model, epochs=0).fit(frame)
    assert again.summary.resolved["recipe"] == model.summary.resolved["recipe"] == "mlp"
    assert again.getInputCols() == model.getInputCols()


@pytest.mark.usefixtures("no_jobs")
def test_rows_to_validate_on_need_the_same_columns(frame) -> None:
    other = DeepLearningRegressor(labelCol="price", inputCols=INPUTS, validationDataFrame=frame.drop("size"))
    with pytest.raises(SchemaError, match=r"validationDataFrame doesn't fit .*: there is no column 'size'"):
        other.fit(frame)
    other.setValidationDataFrame(frame.withColumn("size", F.lit("large")))
    with pytest.raises(SchemaError, match="column 'size' is string there and double in the others"):
        other.fit(frame)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop("colour"), "there is no column 'colour'"),
        (lambda rows: rows.withColumn("size", F.lit("large")), "column 'size' is string; in training it was double"),
    ],
)
@pytest.mark.usefixtures("no_jobs")
def test_scoring_refuses_other_columns(frame, model, change, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        model.transform(change(frame))
    with pytest.raises(SchemaError, match=message):
        model.deepFeatures("fc1").transform(change(frame))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inputCols": ["size"]}, r"inputCols=\['size'\], but the model of warmStart was trained on the columns"),
        ({"featuresCol": "size"}, "featuresCol='size', but the model of warmStart was trained on the columns"),
        ({"scaling": "robust"}, "scaling='robust' is set beside the model of warmStart, whose encoder is kept"),
        ({"recipe": "h2o"}, "network='h2o', but the model of warmStart has 'table_mlp'"),
        ({"recipe": "mlp", "hidden": [5]}, r"networkArguments=.*\[5\].*but the model of warmStart has .*\[4\]"),
    ],
)
@pytest.mark.usefixtures("no_jobs")
def test_a_warm_start_keeps_columns_and_network(frame, model, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DeepLearningRegressor(labelCol="price", warmStart=model, **params).fit(frame)


def test_a_warm_start_needs_an_encoder(frame, tmp_path) -> None:
    learner = DeepLearningRegressor(recipe="mlp", hidden=[4], labelCol="price", inputCols=INPUTS, epochs=0.5)
    learner.copy({learner.checkpointDir: str(tmp_path)}).fit(frame)
    with pytest.raises(ConfigurationError, match="has no encoder of columns: it learned from a features column, or is"):
        DeepLearningRegressor(labelCol="price", warmStart=str(tmp_path)).fit(frame)


def test_a_network_without_ids_gets_flags(frame) -> None:
    frame.sparkSession.sparkContext.addPyFile(str(ROOT / "tests" / "user_networks.py"))
    own = DeepLearningClassifier(labelCol="kind", inputCols=INPUTS, network="user_networks:small", epochs=0)
    model = own.fit(frame)
    assert model.fitted.encoder.layout.categories == ()
    assert model.fitted.trained.entry.arguments == {}
    made = nn.Linear(model.fitted.spec.size, 2)
    again = own.copy({own.network: made}).setRecipe("mlp")
    with pytest.raises(ConfigurationError, match="doesn't take tensors of shape"):  # ids take fewer places
        again.fit(frame)
