"""Learners of tables on raw columns: from fit to saved models, pipelines and stacks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from conftest import start_session
from mixed_tables import INPUTS, mixed_frame
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.ml.feature import Imputer, VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkwater.errors import CheckpointError, DataError
from sparkwater.ml import (
    AutoEncoder,
    DeepLearningClassifier,
    DeepLearningClassifierModel,
    DeepLearningRegressor,
    DeepLearningRegressorModel,
)
from sparkwater.stacking import StackedEnsemble

#: A tiny network that learns the small table in a second.
QUICK: dict[str, Any] = {"recipe": "mlp", "hidden": [16], "epochs": 12, "batchSize": 16, "learningRate": 0.02}


def classifier(**params: Any) -> DeepLearningClassifier:
    return DeepLearningClassifier(**{**QUICK, "labelCol": "kind", "inputCols": INPUTS, **params})


def regressor(**params: Any) -> DeepLearningRegressor:
    return DeepLearningRegressor(**{**QUICK, "labelCol": "price", "inputCols": INPUTS, **params})


@contextmanager
def growing() -> Iterator[list[int]]:
    """Give the bytes by which this process's memory is larger at most while the ``with`` block runs."""
    process, done = psutil.Process(), threading.Event()
    before, grown = process.memory_info().rss, [0]

    def look() -> None:
        while not done.wait(0.02):
            grown[0] = max(grown[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield grown
    finally:
        done.set()
        watcher.join()


@pytest.fixture(scope="module")
def frame():
    rows = mixed_frame(start_session("local[2]"), 160)
    return rows.withColumn("later", F.col("id") % 4 == 0).cache()


@pytest.fixture(scope="module")
def others():
    """Rows beside those to train on, some of a colour that none of these has."""
    return mixed_frame(start_session("local[2]"), 60, seed=1, colours=("red", "green", "blue", "violet")).cache()


@pytest.fixture(scope="module")
def classes(frame, tmp_path_factory):
    """A classifier of the rows whose id is no multiple of 4, and the folder of its checkpoints."""
    folder = str(tmp_path_factory.mktemp("table"))
    return classifier(validationIndicatorCol="later", checkpointDir=folder, numWorkers=2).fit(frame), folder


@pytest.fixture(scope="module")
def numbers(frame):
    return regressor().fit(frame)


def test_classes_of_raw_rows_are_learned(classes, others) -> None:
    model, _ = classes
    scored = model.transform(others)
    assert scored.columns == [*others.columns, "rawPrediction", "probability", "prediction", "predictedLabel"]
    assert model.classes == ["big", "small"]
    assert scored.where("predictedLabel = kind").count() / others.count() > 0.8
    assert model.getInputCols() == INPUTS
    numbers = model.fitted.encoder.layout.numbers
    # Three colours and two flags, beside ids for missing and for rare ones.
    assert model.fitted.trained.entry.arguments == {"hidden": [16], "numbers": numbers, "categories": [5, 4]}


def test_numbers_of_raw_rows_are_learned(numbers, others) -> None:
    scored = numbers.transform(others)
    assert RegressionEvaluator(labelCol="price", metricName="r2").evaluate(scored) > 0.7


def test_all_columns_are_read_that_have_no_other_part(frame) -> None:
    rows = frame.withColumn("prediction", F.lit(1.0)).withColumn("map", F.create_map("colour", "size"))
    learner = DeepLearningRegressor(labelCol="price", idCol="id", ignoredCols=["kind", "later"], epochs=0)
    model = learner.fit(rows)
    assert model.getInputCols() == INPUTS
    assert [column.name for column in model.fitted.encoder.report.columns] == INPUTS
    assert not learner.isSet("inputCols")
    again = learner.copy({learner.weightCol: "count", learner.validationIndicatorCol: "later"}).setIgnoredCols([])
    assert again._default_columns(rows) == ["size", "colour", "flag", "day", "kind"]


def test_the_encoder_sees_the_rows_to_train_on_only(frame) -> None:
    """Rows to validate on, of no weight, and without a label have other sizes and colours, which change nothing."""
    strange = frame.where("id < 40").withColumns({"size": F.lit(1e4), "colour": F.lit("white")})
    without_label = strange.withColumn("kind", F.lit(None).cast("string"))
    weighted = {"weightCol": "weight", "epochs": 1, "handleInvalid": "skip"}
    training = frame.where("not later").withColumn("weight", F.lit(2.0))
    alone = classifier(**{**weighted, "epochs": 0}).fit(training)
    rows = training.unionAll(without_label.withColumns({"weight": F.lit(2.0), "later": F.lit(False)}))
    rows = rows.unionAll(strange.withColumns({"weight": F.lit(0.0), "later": F.lit(False)}))
    later = strange.withColumns({"weight": F.lit(1.0), "later": F.lit(True)})
    marked = classifier(**weighted, validationIndicatorCol="later").fit(rows.unionAll(later))
    apart = classifier(**weighted, validationDataFrame=later).fit(training)
    assert marked.fitted.encoder.encoder == apart.fitted.encoder.encoder == alone.fitted.encoder.encoder
    assert marked.weights == apart.weights
    assert (marked.summary.numSkipped, marked.summary.numWeightless) == (40, 40)
    assert marked.summary.numValidationRows == apart.summary.numValidationRows == 40


def test_the_treatment_of_columns_is_what_is_set(frame) -> None:
    settings = {"categoricalCols": ["count"], "scaling": "quantile", "oneHotLevels": 3, "missingIndicator": False}
    learned = regressor(**settings, epochs=0).fit(frame)
    unlabelled = AutoEncoder(inputCols=INPUTS, hidden=[2], **settings, epochs=0).fit(frame)
    for model in (learned, unlabelled):
        size, count, colour, *_ = model.fitted.encoder.encoder.columns
        assert (size.scaling.kind, size.indicator) == ("quantile", False)
        assert count.kind == "category"
        assert count.ids > 0  # more than 3 levels
        assert colour.flags
    assert len(unlabelled.fitted.trained.task.flags) >= 3


def test_partitioning_changes_neither_weights_nor_predictions(classes, numbers, frame, others) -> None:
    again = classifier(validationIndicatorCol="later", numWorkers=2).fit(frame.repartition(5, "price"))
    assert again.weights == classes[0].weights
    apart, together = (
        [row.prediction for row in numbers.transform(rows).orderBy("id").collect()]
        for rows in (others.repartition(7), others)
    )
    assert apart == pytest.approx(together, rel=1e-5)  # as many rows at a time give the same bits, others nearly


def test_a_saved_model_scores_raw_rows_alike(classes, numbers, others, tmp_path) -> None:
    for kind, model in ((DeepLearningClassifierModel, classes[0]), (DeepLearningRegressorModel, numbers)):
        path = str(tmp_path / kind.__name__)
        model.save(path)
        loaded = kind.load(path)
        assert loaded.transform(others).collect() == model.transform(others).collect()
        assert (loaded.summary, loaded.getInputCols()) == (model.summary, INPUTS)
        assert loaded.fitted.encoder.report == model.fitted.encoder.report
    encoder = tmp_path / "DeepLearningRegressorModel" / "encoder"
    (encoder / ".encoder.json.crc").unlink()
    (encoder / "encoder.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds no fitted columns"):
        DeepLearningRegressorModel.load(path)


def test_a_done_training_is_read_from_its_checkpoints(classes, frame) -> None:
    model, folder = classes
    again = classifier(validationIndicatorCol="later", checkpointDir=folder, numWorkers=2).fit(frame)
    assert again.summary.resumedAt == 12 * 8  # 120 rows in batches of 16
    assert again.weights == model.weights


def test_the_summary_says_what_the_recipe_chose(classes) -> None:
    resolved = classes[0].summary.resolved
    assert resolved["recipe"] == "mlp"
    assert (resolved["optimizer"], resolved["network"]) == ("adamw", "table_mlp")
    assert "learningRate" not in resolved  # as the user set it
    assert resolved["scaling"][0]["by"] == "nothing: they are scaled already"


def test_a_warm_start_keeps_columns_and_encoder(numbers, others) -> None:
    again = DeepLearningRegressor(labelCol="price", warmStart=numbers, epochs=0).fit(others)
    assert again.weights == numbers.weights
    assert again.fitted.encoder is numbers.fitted.encoder
    assert again.transform(others).collect() == numbers.transform(others).collect()


def test_layers_inside_give_features_of_raw_rows(numbers, others, tmp_path) -> None:
    deep = numbers.deepFeatures("fc1", outputCol="deep")
    given = deep.transform(others).select("deep").collect()
    assert len(given[0].deep) == 16
    deep.save(str(tmp_path / "deep"))
    assert type(deep).load(str(tmp_path / "deep")).transform(others).select("deep").collect() == given


def test_unknown_levels_count_as_rare_and_nulls_as_missing(numbers, others) -> None:
    base = others.limit(1).drop("colour")
    scores = [
        numbers.transform(base.withColumn("colour", F.lit(colour).cast("string"))).first().prediction
        for colour in ("violet", "mauve", None, "red")
    ]
    assert scores[0] == scores[1]
    assert len(set(scores)) == 3


def test_it_is_chosen_by_cross_validation_in_a_pipeline(frame, others, tmp_path) -> None:
    network = classifier(labelCol="number", inputCols=None, ignoredCols=["id", "kind", "price", "later"])
    grid = ParamGridBuilder().addGrid(network.hidden, [[8]]).build()
    search = CrossValidator(
        estimator=Pipeline(stages=[network]),
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(labelCol="number", metricName="logLoss"),
        numFolds=2,
        seed=1,
        collectSubModels=True,
    )
    chosen = search.fit(frame.withColumn("number", F.when(F.col("kind") == "big", 0.0).otherwise(1.0)))
    assert chosen.avgMetrics[0] < 0.6  # log 2 is that of guessing
    for pipeline in (chosen.bestModel, chosen.subModels[0][0]):  # without the column by which Spark draws folds
        assert pipeline.stages[0].getInputCols() == INPUTS
        assert pipeline.stages[0].fitted.trained.entry.arguments["hidden"] == [8]
    chosen.bestModel.save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    assert loaded.transform(others).collect() == chosen.bestModel.transform(others).collect()


def test_it_is_stacked_on_raw_columns_beside_a_learner_of_vectors(frame, others) -> None:
    whole = Imputer(inputCols=["size"], outputCols=["filled"])
    vector = VectorAssembler(inputCols=["filled"], outputCol="features")
    line = Pipeline(stages=[whole, vector, LogisticRegression(labelCol="kind", maxIter=5)])
    learners = {"net": classifier(epochs=4), "line": line}
    stack = StackedEnsemble(learners=learners, labelCol="kind", numFolds=2, idCol="id").fit(frame)
    scored = stack.transform(others)
    assert scored.where("predictedLabel = kind").count() / others.count() > 0.7


def test_rows_without_a_usable_value_label_or_offset_are_named_or_counted(frame) -> None:
    def bad(row: int, column: str, value: float | None) -> Column:
        return F.when(F.col("id") == row, F.lit(value)).otherwise(F.col(column))

    good = frame.withColumn("offset", F.lit(0.5)).withColumn("price", F.abs("price") + 1)
    rows = good.withColumns(
        {"size": bad(7, "size", float("inf")), "price": bad(8, "price", -1.0), "offset": bad(9, "offset", None)}
    )
    reasons = {
        "7": "column 'size': the value is infinite, or too far from those of the training rows",
        "8": "the label is -1.0; accepted: numbers from 0 up, for distribution='poisson'",
        "9": "the offset is null",
    }
    learner = regressor(idCol="id", recipe="h2o", distribution="poisson", offsetCol="offset", epochs=1)
    with pytest.raises(DataError, match=f"row 7: {reasons['7']}"):
        learner.fit(rows.where("id < 8"))
    skipping = learner.copy({learner.handleInvalid: "skip"}).fit(rows)
    assert dict(skipping.summary.skippedRows) == reasons
    kept = skipping.copy({skipping.handleInvalid: "keep"}).transform(rows)
    assert [row.id for row in kept.where("prediction is null").orderBy("id").collect()] == [7, 9]


def test_a_column_of_nulls_is_left_out_and_named(frame, caplog) -> None:
    rows = frame.withColumn("nothing", F.lit(None).cast("double"))
    model = regressor(inputCols=[*INPUTS, "nothing"], epochs=0).fit(rows)
    assert "'nothing': all values are null" in caplog.text
    assert "nothing" not in [column.name for column in model.fitted.encoder.encoder.columns]
    assert model.transform(frame).where("prediction is null").count() == 0  # it isn't asked for at scoring


def test_a_column_of_numbers_is_scaled_and_not_encoded(frame) -> None:
    numbers = VectorAssembler(inputCols=["price", "id"], outputCol="vector").transform(frame)
    model = classifier(inputCols=None, featuresCol="vector", epochs=1).fit(numbers)
    assert model.fitted.encoder is None
    assert model.fitted.trained.scaling.mean[1] == pytest.approx(79.5)
    assert model.transform(numbers).where("prediction is null").count() == 0


@pytest.mark.slow
def test_a_table_of_600_columns_is_learned_and_scores_raw_rows(spark) -> None:
    # Of each kind more than a method of Java has arguments, which is 255.
    columns = [f"double((id * 7 + {i}) % {11 + i % 89}) as `n.{i}`" for i in range(300)]
    columns += [f"concat('l', (id + {i}) % 50) as s{i}" for i in range(300)]
    frame = spark.range(200).selectExpr(*columns, "cast(id % 7 as double) as label")
    model = DeepLearningRegressor(recipe="mlp", hidden=[8], epochs=1).fit(frame)
    assert (model.fitted.encoder.layout.numbers, len(model.fitted.encoder.layout.categories)) == (300, 300)
    assert model.transform(frame.limit(20)).where("prediction is not null").count() == 20


def test_the_driver_s_memory_does_not_grow_with_the_rows(spark):
    def fit(rows: int) -> int:
        frame = spark.range(rows).selectExpr(
            "cast(id % 1000 as double) amount",
            "id % 7 size",
            "cast(id % 3 as string) colour",
            "cast(id % 2 as int) label",
        )
        with growing() as grown:
            DeepLearningClassifier(recipe="mlp", hidden=[4], epochs=1, batchSize=50_000).fit(frame)
        return grown[0]

    few = fit(10_000)
    assert fit(500_000) < few + 2**23  # its numbers alone are 12 MB
