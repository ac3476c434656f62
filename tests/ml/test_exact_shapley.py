"""Exact contributions to the outputs of Spark's own linear models and trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import start_session
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LinearSVC,
    LogisticRegression,
    RandomForestClassifier,
)
from pyspark.ml.feature import VectorAssembler, VectorIndexer
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import (
    DecisionTreeRegressor,
    GBTRegressor,
    GeneralizedLinearRegression,
    LinearRegression,
    RandomForestRegressor,
)
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import exact_shapley_values, shapley_values
from sparkwater.ml.explanations.solved import LINEAR

NAMES = ["a", "b", "kind", "noise"]


@pytest.fixture(scope="module")
def rows() -> DataFrame:
    """Rows of numbers, a column of four kinds, and labels of all sorts; ``noise`` has no part."""
    random = np.random.default_rng(7)
    a, b, noise = random.normal(size=(3, 240)).round(3)
    kind = random.integers(0, 4, 240)
    number = 2 * a - a * b + np.array([0.0, 3.0, -1.0, 1.0])[kind]
    table = np.column_stack([a, b, kind, noise, number, number > 0, np.digitize(number, [-1, 1.5]), np.exp(number / 4)])
    names = [*NAMES, "number", "sign", "class", "positive"]
    frame = start_session("local[2]").createDataFrame(table.tolist(), ", ".join(f"{name} double" for name in names))
    return frame.coalesce(2).cache()


@pytest.fixture(scope="module")
def stages(rows: DataFrame) -> list[Any]:
    """From columns to vectors of which ``kind`` is a category."""
    assemble = VectorAssembler(inputCols=NAMES, outputCol="raw")
    index = VectorIndexer(inputCol="raw", outputCol="features", maxCategories=4)
    return Pipeline(stages=[assemble, index]).fit(rows).stages


def fitted(stages: list[Any], rows: DataFrame, learner: Any) -> PipelineModel:
    """Return a pipeline whose trees split ``kind`` by category."""
    return PipelineModel([*stages, learner.fit(PipelineModel(stages).transform(rows))])


@pytest.fixture(scope="module")
def line(stages: list[Any], rows: DataFrame) -> PipelineModel:
    return fitted(stages, rows, LinearRegression(labelCol="number"))


@pytest.mark.parametrize(
    ("kind", "settings", "output", "index"),
    [
        (DecisionTreeRegressor, {"labelCol": "number", "maxDepth": 6}, "prediction", None),
        (RandomForestRegressor, {"labelCol": "number", "numTrees": 4}, "prediction", None),
        (GBTRegressor, {"labelCol": "number", "maxIter": 3, "maxDepth": 3, "stepSize": 0.3}, "prediction", None),
        (DecisionTreeClassifier, {"labelCol": "class"}, "probability", 2),
        (RandomForestClassifier, {"labelCol": "class", "numTrees": 4}, "probability", 0),
        (GBTClassifier, {"labelCol": "sign", "maxIter": 3, "maxDepth": 3}, "rawPrediction", 0),
        (LinearRegression, {"labelCol": "number"}, "prediction", None),
        (GeneralizedLinearRegression, {"labelCol": "positive", "family": "poisson", "linkPredictionCol": "eta"}, "eta",
         None),
        (LogisticRegression, {"labelCol": "sign", "regParam": 0.1}, "rawPrediction", None),
        (LogisticRegression, {"labelCol": "class", "regParam": 0.1}, "rawPrediction", 2),
        (LogisticRegression, {"labelCol": "sign", "regParam": 0.1, "family": "multinomial"}, "rawPrediction", None),
        (LogisticRegression, {"labelCol": "sign", "regParam": 0.1, "family": "multinomial"}, "rawPrediction", 0),
        (LinearSVC, {"labelCol": "sign", "maxIter": 10}, "rawPrediction", 0),
    ],
)  # fmt: skip
def test_contributions_and_base_add_up_to_the_output(
    stages: list[Any], rows: DataFrame, kind: Any, settings: dict[str, Any], output: str, index: int | None
) -> None:
    model = fitted(stages, rows, kind(**settings))
    linear = isinstance(model.stages[-1], LINEAR)
    explained = exact_shapley_values(model, rows, rows if linear else None, outputIndex=index)
    assert explained.columns[-2:] == ["contributions", "baseValue"]
    found = model.stages[-1].transform(explained).select("contributions", "baseValue", output).collect()
    assert len(found) == 240
    for row in found:
        assert set(row.contributions) == set(NAMES)
        value = row[output] if np.isscalar(row[output]) else row[output][1 if index is None else index]
        assert sum(row.contributions.values()) + row.baseValue == pytest.approx(value, abs=1e-9)
    sizes = {name: np.mean([abs(row.contributions[name]) for row in found]) for name in NAMES}
    assert sizes["noise"] < sizes["a"] / 2
    assert linear or sizes["noise"] < sizes["kind"]


def test_the_base_of_a_tree_is_the_mean_over_its_training_rows(stages: list[Any], rows: DataFrame) -> None:
    weighted = rows.withColumn("weight", F.col("kind") + 1)
    means = weighted.agg(
        *(F.sum(F.col(name) * F.col("weight")) / F.sum("weight") for name in ("number", "sign"))
    ).first()
    learners = (
        DecisionTreeRegressor(labelCol="number", weightCol="weight"),
        DecisionTreeClassifier(labelCol="sign", weightCol="weight"),
    )
    for learner, mean in zip(learners, means, strict=True):
        explained = exact_shapley_values(fitted(stages, weighted, learner), weighted.limit(1))
        assert explained.first().baseValue == pytest.approx(mean, abs=1e-9)


def test_linear_contributions_are_what_sampling_estimates(rows: DataFrame, line: PipelineModel) -> None:
    background = rows.limit(20).cache()
    some = rows.where("a > 1.5").select(*NAMES)
    exact = exact_shapley_values(line, some, background).select(*NAMES, "contributions", "baseValue")
    sampled = shapley_values(line, some, background, inputCols=NAMES, permutations=40)
    pairs = exact.join(sampled, NAMES).collect()
    assert pairs
    for row in pairs:
        for name in NAMES:
            assert row[len(NAMES)][name] == pytest.approx(row[len(NAMES) + 2][name], abs=1e-9)


def test_rows_without_a_vector_have_no_contributions_and_sparse_ones_do(rows: DataFrame) -> None:
    assembled = VectorAssembler(inputCols=NAMES, outputCol="features").transform(rows)
    model = DecisionTreeRegressor(labelCol="number", maxDepth=2).fit(assembled)
    spark = rows.sparkSession
    lines = [(1, Vectors.sparse(4, {0: 1.0})), (2, Vectors.dense(1.0, 0.0, 0.0, 0.0)), (3, None)]
    frame = spark.createDataFrame(lines, ["id", "features"])
    one, two, three = exact_shapley_values(model, frame).orderBy("id").collect()
    assert one.contributions == two.contributions
    assert set(one.contributions) == {f"features[{at}]" for at in range(4)}
    assert three.contributions is None
    mixed = spark.createDataFrame([(1, Vectors.dense(1.0, 2.0, 3.0, 4.0)), (2, Vectors.dense(1.0))], frame.schema)
    with pytest.raises(Exception, match="a vector has 1 entries; the model takes 4"):
        exact_shapley_values(model, mixed.coalesce(1)).collect()
    with pytest.raises(SchemaError, match="the model takes vectors of 4"):
        exact_shapley_values(model, mixed.where("id = 2"))


def test_models_and_backgrounds_that_don_t_fit_are_refused(
    stages: list[Any], rows: DataFrame, line: PipelineModel
) -> None:
    tree = fitted(stages, rows, DecisionTreeClassifier(labelCol="class", maxDepth=1))
    with pytest.raises(ConfigurationError, match="takes no background"):
        exact_shapley_values(tree, rows, rows, outputIndex=0)
    with pytest.raises(ConfigurationError, match="there are 3 classes; say which"):
        exact_shapley_values(tree, rows)
    with pytest.raises(ConfigurationError, match="outputIndex=3 is not accepted"):
        exact_shapley_values(tree, rows, outputIndex=3)
    with pytest.raises(ConfigurationError, match="needs a background"):
        exact_shapley_values(line, rows)
    failing = rows.where(F.raise_error(F.lit("a job ran")).isNull())
    for columns, name in (
        ({"contributionsCol": "Features"}, "contributionsCol='Features'"),
        ({"baseValueCol": "noise"}, "baseValueCol='noise'"),
        ({"contributionsCol": "base", "baseValueCol": "Base"}, "baseValueCol='Base'"),
    ):
        with pytest.raises(SchemaError, match=f"{name}: there is a column of that name already"):
            exact_shapley_values(line, failing, failing, **columns)
    with pytest.raises(ConfigurationError, match="gives one number"):
        exact_shapley_values(line, rows, rows, outputIndex=1)
    with pytest.raises(DataError, match="the background has no rows"):
        exact_shapley_values(line, rows, rows.where("a > 100"))
    with pytest.raises(
        ConfigurationError, match="VectorAssembler has no exact values here; accepted: LinearRegression"
    ):
        exact_shapley_values(VectorAssembler(inputCols=NAMES), rows)
