"""Stacked ensembles through onnxruntime, against ``transform``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from against_spark import differences, graph_of
from conftest import start_session
from pyspark.ml import PipelineModel
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    LinearSVC,
    LogisticRegression,
    NaiveBayes,
    RandomForestClassifier,
)
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import DecisionTreeRegressor, LinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.bundle.export.inputs import input_columns
from sparkwater.bundle.export.registry import check_stage, emit
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import string
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.stacking import CombinerModel, NonNegativeRegression, StackedEnsembleModel
from sparkwater.stacking.calibration.isotonic import Isotonic
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.ensemble_model import BaseModel, FittedEnsemble
from sparkwater.stacking.level_one.prepared import LevelOneTask
from sparkwater.stacking.meta_learner import LEVEL_ONE, LevelOneInput, LinearModel
from sparkwater.stacking.summary import EnsembleSummary


@dataclass(frozen=True)
class Bases:
    """Fitted models to stack, and rows."""

    pair: tuple[BaseModel, ...]
    tree: BaseModel
    three: list[BaseModel]
    numbers: list[BaseModel]
    meta: Any
    frame: DataFrame


@pytest.fixture(scope="module")
def bases() -> Iterator[Bases]:
    spark = start_session("local[2]")
    random_ = random.Random(3)
    rows = [(random_.uniform(0, 3), random_.uniform(0, 1), random_.randrange(4)) for _ in range(150)]
    frame = spark.createDataFrame(rows, "a double, b double, n int").coalesce(1)
    frame = VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(frame)
    kind = F.pmod(F.floor("a") + (F.col("b") > 0.7).cast("int"), F.lit(3)).cast("double")
    frame = frame.withColumns({"label": kind, "name": F.when(kind > 0, "yes").otherwise("no")}).persist()
    two = frame.withColumn("label", (F.col("label") > 0).cast("double"))
    halves = [two.where("a < 2"), two.where("a > 1")]
    line, bayes = LogisticRegression(maxIter=3), NaiveBayes(modelType="gaussian")
    pair = (
        BaseModel("line", "probability", tuple(line.fit(half) for half in halves)),
        BaseModel("bayes", "probability", (bayes.fit(two),)),
    )
    tree = BaseModel("tree", "probability", (DecisionTreeClassifier(maxDepth=2).fit(two),))
    forest = RandomForestClassifier(numTrees=2, maxDepth=2, seed=1).fit(frame)
    piped = PipelineModel([VectorAssembler(inputCols=["b", "n"], outputCol="bn"), NaiveBayes(featuresCol="bn").fit(
        VectorAssembler(inputCols=["b", "n"], outputCol="bn").transform(frame))])  # fmt: skip
    three = [BaseModel("forest", "probability", (forest,)), BaseModel("bayes", "probability", (piped,))]
    fitted = LinearRegression(maxIter=2).fit(frame)
    number = DecisionTreeRegressor(maxDepth=2).fit(frame)
    numbers = [BaseModel("line", "prediction", (fitted,)), BaseModel("tree", "prediction", (number, fitted))]
    level = VectorAssembler(inputCols=["a", "b", "n"], outputCol=LEVEL_ONE).transform(frame)
    meta = LogisticRegression(maxIter=3, featuresCol=LEVEL_ONE, labelCol="two").fit(
        level.withColumn("two", (F.col("label") > 0).cast("double"))
    )
    yield Bases(pair, tree, three, numbers, meta, frame.select("a", "b", "n", "features"))
    spark.catalog.clearCache()


NAMES = (
    "pool",
    "best",
    "none",
    "logs",
    "pool of three",
    "logit",
    "nested",
    "two levels",
    "numbers",
    "of connect",
    "mean",
    "warm",
    "risen",
    "risen three",
)


def combiner(**params: Any) -> CombinerModel:
    return CombinerModel()._set(featuresCol=LEVEL_ONE, **params)


SUMMARY = EnsembleSummary(
    strategy="cross-validation", metrics=("logLoss", "error"), scores=(), rows=150, folds=2, fingerprint="", best="",
    difference=0.0, differenceLow=0.0, differenceHigh=0.0, coefficients=(), columns=(), skipped=(), notes=(), fits=(),
    totalSeconds=1.0,
)  # fmt: skip
OUTPUTS = ("predictionCol", "probabilityCol", "rawPredictionCol", "predictedLabelCol")
TWO, THREE = LevelOneTask("classification", ("no", "yes")), LevelOneTask("classification", (0.0, 1.0, 2.0))


def stacked(name: str, bases_: Any, task: LevelOneTask, meta: Any, **more: Any) -> StackedEnsembleModel:
    """Return an ensemble whose output columns have a name, or Spark's names."""
    model = StackedEnsembleModel()
    names = tuple(base.name for base in bases_)
    reads = LevelOneInput(names, task, more.get("transform", "none"), more.get("passthrough", ()))
    model.fitted = FittedEnsemble(
        tuple(bases_), meta, reads, replace(SUMMARY, skipped=more.get("skipped", ())), more.get("calibration")
    )
    return model._set(**{param: f"{name} {param}" for param in OUTPUTS}) if name else model


def plain(bases: Bases) -> StackedEnsembleModel:
    return stacked("", (bases.tree, bases.pair[0]), TWO, combiner(weights=[0.6, 0.9], form="logPool"))


def variants(bases: Bases) -> dict[str, Any]:
    number, pair, wide = LevelOneTask("regression"), bases.pair, {"width": 3}
    line = NonNegativeRegression(featuresCol=LEVEL_ONE).model_of(np.array([0.25, 0.5]), 0.125)
    expression = LinearModel(weights=[0.25, 0.5], intercept=0.125)._set(featuresCol=LEVEL_ONE)
    inner = BaseModel("inner", "probability", (plain(bases),))
    second = BaseModel(
        "second", "probability", (bases.meta,), LevelOneInput(("line", "bayes"), TWO, passthrough=("n",))
    )
    warm, rise = Combination("logPool", (0.4,)), ("isotonic", (1.0,), ())
    points = (((0.1, 0.05), (0.4, 0.3), (0.45, 0.8), (0.9, 0.95)), ((0.5, 0.25),), ((0.2, 0.2), (0.8, 0.7)))
    logs = {"form": "logPool"}
    made = {
        "pool": (pair, TWO, combiner(weights=[0.25, 0.75]), {}),
        "best": ((bases.tree, pair[0]), TWO, combiner(weights=[0.0, 1.0]), {"skipped": ("tree",)}),
        "none": (pair, TWO, combiner(weights=[0.0, 0.0], **logs), {"skipped": ("line", "bayes")}),
        "logs": (bases.three, THREE, combiner(weights=[0.8, 0.6], biases=[0.1, -0.2, 0.0], **wide, **logs), {}),
        "pool of three": (bases.three, THREE, combiner(weights=[0.5, 0.5], **wide), {}),
        "logit": (pair, TWO, bases.meta, {"transform": "logit", "passthrough": ("n",)}),
        "nested": ([inner, pair[0]], TWO, combiner(weights=[0.7, 0.3], **logs), {}),
        # "line" has no weight of its own, but is read.
        "two levels": ((*pair, second), TWO, combiner(weights=[0.0, 0.4, 0.6]), {"skipped": ("line",)}),
        "numbers": (bases.numbers, number, line, {}),
        "of connect": (bases.numbers, number, expression, {}),
        "warm": (pair, TWO, bases.meta, {"transform": "logit", "passthrough": ("n",), "calibration": warm}),
        "risen": (pair, TWO, combiner(weights=[0.25, 0.75]), {"calibration": Isotonic(*rise, points=(points[0],))}),
        "risen three": (
            bases.three,
            THREE,
            combiner(weights=[0.5, 0.5], **wide),
            {"calibration": Isotonic(*rise, points=points)},
        ),
        "mean": (bases.numbers, number, combiner(weights=[0.5, 0.5], task="regression"), {}),
    }
    assert sorted(made) == sorted(NAMES)
    return {name: stacked(name, *parts[:3], **parts[3]) for name, parts in made.items()}


@pytest.mark.parametrize("names", [NAMES[place::3] for place in range(3)], ids=", ".join)
def test_every_combination_gives_what_transform_gives(bases: Bases, names: tuple[str, ...]):
    models = {name: variants(bases)[name] for name in names}
    found = differences(PipelineModel([*models.values()]), bases.frame)
    added = set()
    for name, model in models.items():
        task = model.fitted.reads.task
        params = OUTPUTS if task.named else OUTPUTS[:3] if task.classes else OUTPUTS[:1]
        added |= {f"{name} {param}" for param in params}
    assert found.keys() == added
    assert {param: away for param, away in found.items() if not away <= 1e-12} == {}


def test_base_predictions_are_columns_where_they_are_wanted(bases: Bases):
    wanted = variants(bases)["pool"]._set(includeBasePredictions=True)
    found = differences(wanted, bases.frame)
    assert {"line", "bayes"} <= found.keys()
    assert max(found.values()) <= 1e-12


def test_learners_without_weight_and_their_columns_stay_out_of_the_graph(bases: Bases):
    best = variants(bases)["best"]
    graph = graph_of(best, bases.frame)
    assert not {"probability", "__sparkwater_level_one"} & graph.columns.keys()
    nodes = graph.build({"out": graph.column("best predictionCol")}).graph.node
    assert "TreeEnsemble" not in {node.op_type for node in nodes}


def test_an_ensemble_with_a_foreign_learner_is_refused_by_name_before_any_job(bases: Bases):
    foreign = LinearSVC(maxIter=1).fit(bases.frame.withColumn("label", F.round("b")))
    odd = [BaseModel("odd", "rawPrediction", (PipelineModel([foreign]),)), bases.pair[0]]
    model = stacked("foreign", odd, TWO, combiner(weights=[0.5, 0.5]))
    with pytest.raises(ConfigurationError, match=r"LinearSVCModel of learner 'odd' can't go along .* KMeansModel, "):
        check_stage(PipelineModel([model]))


def test_columns_of_strings_and_learners_of_other_classes_are_refused(bases: Bases):
    passing = variants(bases)["logit"]
    inputs = {**input_columns(bases.frame), "n": string("n")}
    with pytest.raises(SchemaError, match="passthroughCols: 'n' holds strings"):
        emit(passing, Graph(inputs))
    wrong = stacked("wrong", bases.pair, THREE, combiner())
    with pytest.raises(ConfigurationError, match="learner 'line' gives 2 probabilities where there are 3 classes"):
        emit(wrong, Graph(input_columns(bases.frame)))
