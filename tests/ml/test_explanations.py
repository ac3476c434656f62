"""Explanations of models whose truth is known: linear ones, and features that a model doesn't use."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import DecisionTreeClassifier, LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.ml.feature import SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression, LinearRegressionModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml import individual_curves, partial_dependence, permutation_importance, shapley_values
from sparkwater.ml.explanations.grid import given_values

ROWS = 200


@pytest.fixture(scope="module")
def rows() -> DataFrame:
    """Rows of ``2 a - 3 b``, where ``noise`` has no part, with a letter that follows ``a``."""
    random = np.random.default_rng(7)
    lines = [
        (float(a), float(b), float(noise), "high" if a > 0 else "low", float(2 * a - 3 * b))
        for a, b, noise in random.normal(size=(ROWS, 3)).round(4)
    ]
    schema = "a double, b double, noise double, letter string, label double"
    return start_session("local[2]").createDataFrame(lines, schema).coalesce(1)


@pytest.fixture(scope="module")
def linear(rows: DataFrame) -> PipelineModel:
    stages = [VectorAssembler(inputCols=["a", "b", "noise"], outputCol="features"), LinearRegression()]
    return Pipeline(stages=stages).fit(rows)


def weights(model: PipelineModel) -> np.ndarray:
    last: LinearRegressionModel = model.stages[-1]
    return last.coefficients.toArray()


def test_permutation_costs_twice_the_variance_that_a_feature_explains(rows: DataFrame, linear: PipelineModel) -> None:
    evaluator = RegressionEvaluator(metricName="mse")
    found = permutation_importance(linear, rows, evaluator, inputCols=["a", "b", "noise"], repeats=8).collect()
    assert [row.feature for row in found] == ["b", "a", "noise"]
    by_name = {row.feature: row for row in found}
    for name, weight in (("a", 2.0), ("b", -3.0)):
        values = np.array([row[0] for row in rows.select(name).collect()])
        expected = 2 * weight**2 * values.var()
        assert by_name[name].lower < expected < by_name[name].upper
        assert by_name[name].standardError < 0.2 * expected
    assert by_name["noise"].importance == pytest.approx(0, abs=1e-9)


def test_values_are_dealt_out_anew_none_lost_or_doubled(rows: DataFrame) -> None:
    """The variance of predictions that follow from one feature alone doesn't depend on the order of its values."""
    assembled = VectorAssembler(inputCols=["a"], outputCol="one").transform(rows)
    model = LinearRegression(featuresCol="one").fit(assembled)
    found = permutation_importance(model, assembled, RegressionEvaluator(metricName="var"), repeats=2).collect()
    assert [row.feature for row in found] == ["a"]
    assert found[0].importance == pytest.approx(0, abs=1e-12)


def test_strings_are_permuted_before_the_pipeline_reads_them(rows: DataFrame) -> None:
    stages = [
        StringIndexer(inputCol="letter", outputCol="index"),
        VectorAssembler(inputCols=["index", "noise"], outputCol="features"),
        DecisionTreeClassifier(labelCol="sign", maxDepth=1),
    ]
    labelled = rows.withColumn("sign", (F.col("a") > 0).cast("double"))
    model = Pipeline(stages=stages).fit(labelled)
    evaluator = MulticlassClassificationEvaluator(labelCol="sign", metricName="accuracy")
    ordered = permutation_importance(model, labelled, evaluator, inputCols=["letter", "noise"], repeats=2)
    found = ordered.collect()
    assert found[0].feature == "letter"
    assert 0.3 < found[0].importance < 0.7  # half of the rows get the other letter
    assert found[1].importance == 0
    again = labelled.repartition(3)
    assert permutation_importance(model, again, evaluator, inputCols=["letter", "noise"], repeats=2).collect() == found


def test_partial_dependence_of_a_line_is_the_line(rows: DataFrame, linear: PipelineModel) -> None:
    found = partial_dependence(linear, rows, "a", grid=np.array([-1, 0, 2])).collect()
    rest = -3 * np.mean([row.b for row in rows.collect()])
    assert [row.value for row in found] == [-1.0, 0.0, 2.0]
    np.testing.assert_allclose([row["mean"] for row in found], np.array([-2.0, 0.0, 4.0]) + rest, atol=1e-6)
    assert {row.rows for row in found} == {ROWS}
    curves = individual_curves(linear, rows, "a", grid=5, maxRows=20).collect()
    assert len(curves) == 100
    own = {row.row: row for row in curves}
    assert len(own) == 20
    slopes = [
        (curves[place + 1].output[0] - curves[place].output[0]) / (curves[place + 1].value - curves[place].value)
        for place in range(0, 100, 5)
    ]
    np.testing.assert_allclose(slopes, 2.0, atol=1e-6)


def test_contributions_to_a_linear_model_are_exact_and_add_up(rows: DataFrame, linear: PipelineModel) -> None:
    background = rows.where("a > 0")
    some = rows.limit(6).union(rows.limit(1))  # one comes twice
    explained = shapley_values(
        linear, some, background, inputCols=["a", "b", "noise"], permutations=2 * background.count()
    ).collect()
    assert len(explained) == 7
    means = np.array([background.agg(F.avg(name)).first()[0] for name in ("a", "b", "noise")])
    for row in explained:
        mine = np.array([row.a, row.b, row.noise])
        given = [row.contributions[name] for name in ("a", "b", "noise")]
        np.testing.assert_allclose(given, weights(linear) * (mine - means), atol=1e-9)
        assert sum(given) + row.baseValue == pytest.approx(row.label, abs=1e-6)


def test_contributions_to_a_probability_by_entries_of_a_vector(rows: DataFrame, linear: PipelineModel) -> None:
    assembled = linear.stages[0].transform(rows).withColumn("sign", (F.col("label") > 0).cast("double"))
    model = LogisticRegression(labelCol="sign", regParam=0.1).fit(assembled)
    kept = assembled.select("features", "label")
    found = shapley_values(model, kept.limit(4), kept, outputCol="probability", permutations=10)
    scored = {row.label: row.probability[1] for row in model.transform(kept.limit(4)).collect()}
    for row in found.collect():
        assert set(row.contributions) == {"a", "b", "noise"}
        assert sum(row.contributions.values()) + row.baseValue == pytest.approx(scored[row.label], abs=1e-9)
    with pytest.raises(ConfigurationError, match="outputIndex=2 is not accepted"):
        shapley_values(model, kept, kept, outputCol="probability", outputIndex=2)


def test_nulls_don_t_mix_rows_up_and_a_missing_output_leaves_no_contributions(rows: DataFrame) -> None:
    """A model that reads nulls, gives none for ``a = 7``, and leaves rows out from ``b = 50`` on."""
    model = SQLTransformer(
        statement="SELECT *, CASE WHEN a = 7 THEN NULL ELSE coalesce(a, 10) + 2 * coalesce(b, 100) END AS prediction "
        "FROM __THIS__ WHERE coalesce(b, 0) < 50"
    )
    spark, schema = rows.sparkSession, "id int, a double, b double, more array<double>"
    lines = [(1, None, 1.0, None), (1, 1.0, None, None), (2, 7.0, 1.0, None), (3, 1.0, 60.0, None)]
    lines += [(4, 2.0, 3.0, [None, 1.0]), (4, 2.0, 3.0, [1.0, None])]
    background = spark.createDataFrame([(0, 0.0, 0.0, None)], schema)
    frame = spark.createDataFrame(lines, schema).coalesce(1)
    found = shapley_values(model, frame, background, inputCols=["a", "b"], permutations=2).orderBy("id", "a").collect()
    assert [(row.contributions, row.baseValue) for row in found] == [
        ({"a": 10.0, "b": 2.0}, 0.0),
        ({"a": 1.0, "b": 200.0}, 0.0),
        (None, None),
        (None, None),
        ({"a": 2.0, "b": 6.0}, 0.0),
        ({"a": 2.0, "b": 6.0}, 0.0),
    ]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (T.DoubleType(), [1, 0, 1.0], [0.0, 1.0]),
        (T.FloatType(), np.linspace(0, 1, 3), [0.0, 0.5, 1.0]),
        (T.IntegerType(), np.linspace(0, 4, 3), [0, 2, 4]),
        (T.DecimalType(4, 2), [0.25, 3], [Decimal("0.25"), Decimal(3)]),
        (T.StringType(), np.array(["b", "a"]), ["a", "b"]),
        (T.BooleanType(), np.array([True, False]), [False, True]),
    ],
)
def test_given_values_become_the_column_s_own(kind: T.DataType, given: Any, expected: list[Any]) -> None:
    found = given_values(T.StructField("x", kind), given)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (T.DoubleType(), [0.0, "high"], "'high'"),
        (T.DoubleType(), [None], "None"),
        (T.DoubleType(), [True], "True"),
        (T.DoubleType(), [10**400, 1], "100000"),
        (T.IntegerType(), [1, 0.5], "0.5"),
        (T.IntegerType(), [float("nan")], "nan"),
        (T.ByteType(), [127, 128, -129], "128, -129"),
        (T.DecimalType(4, 2), [99.99, 100, 0.125], "100, 0.125"),
        (T.StringType(), ["a", 1], "1"),
        (T.BooleanType(), [0, True], "0"),
    ],
)
def test_given_values_of_another_kind_are_named(kind: T.DataType, given: list[Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"grid holds {said}.*column 'x' is {re.escape(kind.simpleString())}"):
        given_values(T.StructField("x", kind), given)


def test_a_grid_of_no_values_is_refused() -> None:
    for grid in ([], np.array([]), "abc", np.zeros((2, 2))):
        with pytest.raises(ConfigurationError, match="give a value at least, or how many to take"):
            given_values(T.StructField("x", T.StringType()), grid)


def test_mistakes_are_refused(rows: DataFrame, linear: PipelineModel) -> None:
    evaluator = RegressionEvaluator()
    with pytest.raises(ConfigurationError, match="PipelineModel doesn't say what it reads"):
        permutation_importance(linear, rows, evaluator)
    with pytest.raises(SchemaError, match="there is no column 'c'"):
        permutation_importance(linear, rows, evaluator, inputCols=["c"])
    with pytest.raises(ConfigurationError, match="give each column once"):
        permutation_importance(linear, rows, evaluator, inputCols=["a", "a"])
    with pytest.raises(ConfigurationError, match=r"several features are named 'a'.*rename"):
        permutation_importance(linear, linear.stages[0].transform(rows), evaluator, inputCols=["a", "features"])
    with pytest.raises(ConfigurationError, match="an interval needs 2 or more"):
        permutation_importance(linear, rows, evaluator, inputCols=["a"], repeats=1)
    with pytest.raises(DataError, match="fewer than two rows"):
        permutation_importance(linear, rows.limit(1), evaluator, inputCols=["a"])
    with pytest.raises(ConfigurationError, match="grid=0 is not accepted"):
        partial_dependence(linear, rows, "a", grid=0)
    with pytest.raises(DataError, match="holds no value"):
        partial_dependence(linear, rows.where("a > 100"), "a")
    with pytest.raises(SchemaError, match="takes numbers, strings and booleans"):
        partial_dependence(linear, rows.withColumn("a", F.array("a")), "a")
    with pytest.raises(SchemaError, match="an output to explain is a vector or a number"):
        partial_dependence(linear, rows, "a", outputCol="letter", grid=2)
    with pytest.raises(ConfigurationError, match="even numbers from 2 up"):
        shapley_values(linear, rows, rows, inputCols=["a"], permutations=3)
    with pytest.raises(DataError, match="background has no rows"):
        shapley_values(linear, rows, rows.where("a > 100"), inputCols=["a"])
