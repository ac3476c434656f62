"""Pipelines of Spark's stages and ensembles with networks, as bundles: written, loaded and scored."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import start_session
from digits import pictures, png, png_frame
from pyspark.ml import Pipeline
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.feature import Imputer, StringIndexer, VectorAssembler
from pyspark.ml.regression import GBTRegressor
from pyspark.sql import functions as F

from sparkwater.bundle import Bundle, export_bundle
from sparkwater.conversions import ImageToTensor, TensorToVector
from sparkwater.errors import DataError
from sparkwater.ml import ImageClassifier
from sparkwater.stacking import CombinerModel, StackedEnsembleModel
from sparkwater.stacking.ensemble_model import BaseModel, FittedEnsemble
from sparkwater.stacking.level_one.prepared import LevelOneTask
from sparkwater.stacking.meta_learner import LEVEL_ONE, LevelOneInput
from sparkwater.stacking.summary import EnsembleSummary

COLORS = ("red", "blue", "green")


def expected(rows, name):
    return np.array([row[name].toArray() if hasattr(row[name], "toArray") else row[name] for row in rows])


def test_a_pipeline_from_raw_columns_to_a_forest(tmp_path):
    spark = start_session("local[2]")
    rows = [(i % 7 / 10, None if i % 5 == 0 else i % 4, COLORS[i % 3], ("no", "yes")[i % 3 % 2]) for i in range(90)]
    frame = spark.createDataFrame(rows, "a double, n int, color string, answer string").coalesce(1).persist()
    stages = [
        StringIndexer(inputCol="answer", outputCol="label", handleInvalid="keep"),
        StringIndexer(inputCol="color", outputCol="color_at", handleInvalid="keep"),
        Imputer(inputCol="n", outputCol="n_full"),
        VectorAssembler(inputCols=["a", "n_full", "color_at"], outputCol="features", handleInvalid="skip"),
        RandomForestClassifier(numTrees=3, maxDepth=3, seed=1),
        GBTRegressor(maxIter=2, maxDepth=2, seed=1, predictionCol="again"),
    ]
    model = Pipeline(stages=stages).fit(frame)
    export_bundle(model, str(tmp_path / "bundle"), frame)
    bundle = Bundle.load(tmp_path / "bundle", threads=1)
    assert [each.name for each in bundle.signature.inputs] == ["a", "n", "color"]
    new = [
        {"a": 0.3, "n": None, "color": "violet"},
        {"a": 0.2, "n": 3, "color": None},
        {"a": None, "n": 1, "color": "red"},
        {"a": float(np.nextafter(0.5, 1.0)), "n": 2, "color": "blue", "more": 1},
    ]
    given = [(row["a"], row["n"], row["color"]) for row in new]
    scored = model.transform(spark.createDataFrame(given, "a double, n int, color string")).collect()
    found = bundle.predict(new)
    assert found.keys() == {"rawPrediction", "probability", "prediction", "again"}
    for name, values in found.items():
        np.testing.assert_array_equal(values[[0, 1, 3]], expected(scored, name))
        assert np.isnan(values[2]).all()  # a row that VectorAssembler leaves out


def ensemble_of(network, forest, meta):
    summary = EnsembleSummary(
        strategy="cross-validation", metrics=("logLoss", "error"), scores=(), rows=60, folds=2, fingerprint="",
        best="network", difference=0.0, differenceLow=0.0, differenceHigh=0.0, coefficients=(), columns=(), skipped=(),
        notes=(), fits=(), totalSeconds=1.0,
    )  # fmt: skip
    bases = (BaseModel("network", "probability", (network,)), BaseModel("forest", "probability", (forest,)))
    task = LevelOneTask("classification", tuple(f"class {label}" for label in range(4)))
    model = StackedEnsembleModel()
    model.fitted = FittedEnsemble(bases, meta, LevelOneInput(("network", "forest"), task), summary)
    return model


def test_an_ensemble_of_a_network_and_a_forest_in_one_graph(tmp_path):
    spark = start_session("local[2]")
    frame = png_frame(spark, 60).coalesce(1).persist()
    network = ImageClassifier(epochs=0, network="mlp", featuresCol="content", imageShape=[16, 16, 1], numWorkers=1).fit(
        frame
    )
    forest = Pipeline(
        stages=[
            ImageToTensor(inputCol="content", outputCol="small", imageShape=[16, 16, 1]),
            TensorToVector(inputCol="small", outputCol="pixels"),
            RandomForestClassifier(numTrees=3, maxDepth=3, seed=1, featuresCol="pixels", labelCol="at"),
        ]
    ).fit(frame.withColumn("at", F.substring("label", 7, 1).cast("double")))
    meta = CombinerModel()._set(featuresCol=LEVEL_ONE, width=4, form="logPool", weights=[0.5, 0.75])
    model = ensemble_of(network, forest, meta)
    model.exportBundle(str(tmp_path / "bundle"), frame)
    bundle = Bundle.load(tmp_path / "bundle", threads=1)
    images, _ = pictures(20, seed=9)
    scored = model.transform(png_frame(spark, 20, seed=9)).collect()
    found = bundle.predict([png(image) for image in images])
    np.testing.assert_allclose(found["probability"], expected(scored, "probability"), atol=1e-5)
    np.testing.assert_array_equal(found["prediction"], expected(scored, "prediction"))
    assert found["predictedLabel"].tolist() == [row["predictedLabel"] for row in scored]
    with pytest.raises(DataError, match="row 0: 'content'"):
        bundle.predict([None])
