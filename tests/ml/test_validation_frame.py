"""Rows to validate on as a DataFrame of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from digits import SPEC, png_frame, tensor_frame
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import functions as F

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import ImageClassifier
from sparkwater.stacking import StackedEnsemble
from sparkwater.stacking.level_one import learners


def rows(spark):
    frame = tensor_frame(spark, 80).withColumn("weight", (F.col("id") % 3).cast("double"))
    return frame.withColumn("held_out", F.col("id") % 5 == 0)


def quick(**params):
    return ImageClassifier(**{"epochs": 2, "batchSize": 16, "learningRate": 0.02, **params})


def test_a_frame_of_its_own_gives_what_the_same_rows_marked_by_a_column_give(spark):
    frame = rows(spark)
    marked = quick(numWorkers=2, weightCol="weight", validationIndicatorCol="held_out").fit(frame)
    training, validation = frame.where("not held_out").drop("held_out"), frame.where("held_out")
    validation = validation.select("label", "weight", F.col("features"), "id").repartition(3)
    apart = quick(numWorkers=2, weightCol="weight", validationDataFrame=validation).fit(training)
    assert apart.weights == marked.weights
    assert [replace(record, seconds=0.0) for record in apart.summary.records] == [
        replace(record, seconds=0.0) for record in marked.summary.records
    ]
    assert apart.summary.numValidationRows == marked.summary.numValidationRows > 0
    assert apart.summary.bestEpoch == marked.summary.bestEpoch is not None


def test_a_label_that_only_the_rows_to_validate_on_have_is_a_class_as_with_a_column(spark):
    frame = rows(spark).withColumn("label", F.when(F.col("held_out"), 9).otherwise(F.col("label")))
    marked = quick(epochs=1, validationIndicatorCol="held_out").fit(frame)
    validation = frame.where("held_out")
    apart = quick(epochs=1, validationDataFrame=validation).fit(frame.where("not held_out"))
    assert apart.classes == marked.classes == [0.0, 1.0, 2.0, 3.0, 9.0]
    assert apart.weights == marked.weights


def test_it_goes_with_pipelines_cross_validators_and_ensembles(spark, tmp_path):
    frame = rows(spark).withColumn("label", F.col("label").cast("double"))
    training, validation = frame.where("not held_out").cache(), frame.where("held_out")
    network = quick(epochs=1)
    grid = ParamGridBuilder().addGrid(network.validationDataFrame, [validation]).build()
    chosen = CrossValidator(
        estimator=Pipeline(stages=[network]),
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(),
        numFolds=2,
    ).fit(training)
    assert chosen.bestModel.stages[0].summary.numValidationRows == 16
    learner = quick(epochs=1, validationDataFrame=validation)
    with pytest.raises(ConfigurationError, match="validationDataFrame is set"):
        Pipeline(stages=[learner]).save(str(tmp_path / "pipeline"))
    vectors = F.udf(lambda row: [float(row)], "array<double>")("id")
    stacked = StackedEnsemble(
        learners={"net": learner, "line": LogisticRegression(featuresCol="number")},
        metaLearner=LogisticRegression(maxIter=5),
        numFolds=2,
    )
    model = stacked.fit(training.withColumn("number", array_to_vector(vectors)))
    assert model.fitted.bases[0].models[0].summary.numValidationRows == 16


def test_other_rows_make_another_learner(spark):
    first, second = rows(spark), rows(spark).where("id > 3")
    digests = [learners.describe(quick(validationDataFrame=frame)) for frame in (first, first, second)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("features"), "there is no column 'features'"),
        (lambda frame: frame.drop("label"), "there is no column 'label'"),
        (lambda frame: frame.drop("weight"), "there is no column 'weight'"),
        (lambda frame: frame.withColumn("label", F.col("label").cast("string")), "'label' is string there and int in"),
        (lambda frame: frame.withColumn("label", F.array("label")), "labelCol='label' is array"),
        (lambda frame: frame.withColumn("weight", F.lit("2")), "weightCol='weight' is string"),
        (lambda frame: frame.withColumn("features", F.lit(1)), "column 'features' is int"),
        (
            lambda frame: with_tensor_spec(frame, "features", TensorSpec("uint8", (1, 8, 32))),
            r"holds tensors uint8\[1, 8, 32\]; this model was trained on uint8\[1, 16, 16\]",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_any_job(spark, change, message):
    frame = rows(spark)
    estimator = quick(weightCol="weight", validationDataFrame=change(frame))
    spark.sparkContext.setJobGroup("validation", "must stay empty")
    with pytest.raises(SchemaError, match=f"validationDataFrame doesn't fit the rows to train on: .*{message}"):
        estimator.fit(frame)
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("validation")) == []
    spark.sparkContext._jsc.clearJobGroup()


def test_what_else_cannot_be_is_refused(spark, tmp_path):
    frame = rows(spark)
    with pytest.raises(ConfigurationError, match="validationIndicatorCol='held_out' and validationDataFrame are both"):
        quick(validationIndicatorCol="held_out", validationDataFrame=frame).fit(frame)
    with pytest.raises(TypeError, match=r"validationDataFrame='rows'; accepted: a pyspark\.sql\.DataFrame"):
        quick(validationDataFrame="rows")
    with pytest.raises(ConfigurationError, match=r"clear\(estimator.validationDataFrame\)"):
        quick(validationDataFrame=frame).save(str(tmp_path / "estimator"))
    with pytest.raises(ConfigurationError, match="rows that are streamed take no"):
        quick(validationDataFrame=frame).fitPetastorm("file:///nowhere")
    with pytest.raises(DataError, match="there are no rows to validate on beside the 80 to train on"):
        quick(validationDataFrame=frame.where("id < 0")).fit(frame)
    broken = with_tensor_spec(frame.withColumn("features", F.lit(None).cast("binary")), "features", SPEC)
    with pytest.raises(DataError, match="row 0: the tensor is null"):
        quick(validationDataFrame=broken.where("id = 0"), idCol="id").fit(frame)


def test_pictures_to_validate_on_are_decoded(spark):
    frame = png_frame(spark, 20)
    model = quick(featuresCol="content", imageShape=[16, 16, 1], validationDataFrame=frame).fit(frame)
    assert model.summary.numValidationRows == 20
