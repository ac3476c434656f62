from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import saying
from pyspark.ml.linalg import Vectors
from pyspark.ml.param import Param
from pyspark.ml.regression import LinearRegressionModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.optimize import lsq_linear
from sklearn.linear_model import LinearRegression
from tables import MeanModel, MeanRegressor

from sparkwater.errors import DataError
from sparkwater.stacking import NonNegativeRegression, cross_fit
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.prepared import LevelOneTask
from sparkwater.stacking.meta_learner import LevelOneInput, default_meta_learner, solve_bounded
from sparkwater.stacking.row_keys import ROW
from sparkwater.stacking.stack import configured, fit_meta_learner, ordered_level_one


def table(rows: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = 1e4 + 50 * rng.normal(size=rows)
    near, worse = truth + rng.normal(size=rows), truth + 9 * rng.normal(size=rows)
    return np.column_stack([near, worse, -truth]), truth, rng.uniform(0.5, 2, rows)


def test_weights_are_those_of_scikit_learn(spark: SparkSession) -> None:
    features, label, weight = table()
    lines = [(Vectors.dense(row), float(y), float(w)) for row, y, w in zip(features, label, weight, strict=True)]
    frame = spark.createDataFrame(lines, ["features", "label", "weight"]).repartition(3)
    model = NonNegativeRegression(weightCol="weight").fit(frame)
    expected = LinearRegression(positive=True).fit(features, label, weight)
    assert isinstance(model, LinearRegressionModel)
    np.testing.assert_allclose(model.coefficients, expected.coef_, rtol=1e-5, atol=1e-7)
    assert model.coefficients[2] == 0.0
    assert model.intercept == pytest.approx(expected.intercept_, rel=1e-5, abs=1e-3)
    scored = model.transform(frame).select(F.avg(F.abs(F.col("prediction") - F.col("label")))).first()
    assert scored[0] < 1
    with pytest.raises(DataError, match="no rows"):
        NonNegativeRegression().fit(frame.limit(0))


@pytest.mark.parametrize("bounded", [0, 1, 3])
def test_columns_beyond_the_bounded_ones_may_have_any_weight(bounded: int) -> None:
    features, label, _ = table()
    columns = np.column_stack([np.ones(len(label)), features - features.mean(axis=0), label - 1e4])
    weights, _ = solve_bounded(columns.T @ columns, bounded)
    assert (weights[:bounded] >= 0).all()
    free = LinearRegression().fit(features, label).coef_
    if bounded == 0:
        np.testing.assert_allclose(weights, free, rtol=1e-6, atol=1e-9)


def test_free_columns_of_a_regression_may_have_a_negative_weight(spark: SparkSession) -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(80, 4))
    label = features @ [-1.0, 2.0, -3.0, -0.5] + 1
    lines = [(Vectors.dense(row), float(y)) for row, y in zip(features, label, strict=True)]
    frame = spark.createDataFrame(lines, ["features", "label"])
    found = NonNegativeRegression(freeColumns=2).fit(frame).coefficients.toArray()
    centred = features - features.mean(axis=0)
    expected = lsq_linear(centred, label - label.mean(), ([0.0, 0.0, -np.inf, -np.inf], np.inf)).x
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert (found[2:] < -0.1).all()


def test_passthrough_columns_of_two_classes_may_have_a_negative_weight(spark: SparkSession) -> None:
    rng = np.random.default_rng(4)
    learner, other = rng.uniform(size=200), rng.normal(size=200)
    label = (rng.normal(size=200) - 2 * learner - 2 * other > 0).astype(float)
    lines = [(Vectors.dense(row[:2]), row[2]) for row in np.column_stack([learner, other, label]).tolist()]
    frame = spark.createDataFrame(lines, ["features", "label"])
    found = default_meta_learner(LevelOneTask("classification", (0.0, 1.0)), 1, 1, 200, "none").fit(frame).coefficients
    assert found[0] == 0
    assert found[1] < -1


def test_doubled_columns_are_solved() -> None:
    features, label, _ = table()
    columns = np.column_stack([np.ones(len(label)), features[:, [0, 0]] - 1e4, label - 1e4])
    weights, _ = solve_bounded(columns.T @ columns, 2)
    assert weights.sum() == pytest.approx(1, abs=0.01)


def test_logits_are_clipped(spark: SparkSession) -> None:
    frame = spark.createDataFrame([([0.0], [0.25], 7)], "a array<double>, b array<double>, c int")
    reads = LevelOneInput(("a", "b"), LevelOneTask("classification", (0.0, 1.0)), "logit", ("c",))
    vector = frame.select(reads.column(frame.schema)).first()[0]
    np.testing.assert_allclose(vector, [np.log(1e-9 / (1 - 1e-9)), np.log(1 / 3), 7.0])


@pytest.mark.usefixtures("spark")  # Spark's own stages have a part in its JVM
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_default_bounds_the_columns_of_learners_and_no_others(kind: str) -> None:
    found = default_meta_learner(LevelOneTask(kind, (0.0, 1.0) if kind == "classification" else ()), 2, 3, 100, "none")
    if kind == "regression":
        assert found.getFreeColumns() == 3
    else:
        assert found.getLowerBoundsOnCoefficients().toArray().tolist() == [[0, 0, -np.inf, -np.inf, -np.inf]]


class Recorder(MeanRegressor):
    """Keeps the keys of the rows that it is fitted on, by partition."""

    def copy(self, extra: Any = None) -> Recorder:
        for param, value in (extra or {}).items():
            self._set(**{param.name: value})
        return self

    def _fit(self, dataset: DataFrame) -> MeanModel:
        rows = dataset.select(F.spark_partition_id().alias("part"), ROW).collect()
        with self.lock:
            self.seen = [[row[ROW] for row in rows if row.part == part] for part in sorted({row.part for row in rows})]
        return super()._fit(dataset)


@pytest.mark.parametrize(("small", "partitions"), [(20_000, 1), (20, 2)])
def test_the_meta_learner_reads_rows_in_the_order_of_their_keys(
    spark: SparkSession, small: int, partitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkwater.stacking.level_one.prepared.SMALL_ROWS", small)
    frame = spark.range(40).selectExpr("id", "id % 7 as x", "0.5D * id as label", "id % 2 as part")
    found = cross_fit({"mean": MeanRegressor()}, frame.orderBy(F.desc("id")), "part")
    reads, recorder = LevelOneInput(("mean",), found.task, "none", ("id", "x")), Recorder()
    recorder.featuresCol = Param(recorder, "featuresCol", "the vector")
    # With as many partitions as the meta-learner reads, Spark sorts the rows for its join anyway.
    with saying(spark, "spark.sql.shuffle.partitions", "3"), saying(spark, "spark.sql.adaptive.enabled", "false"):
        fit_meta_learner(found, reads, recorder, 1)
    assert sum(map(len, recorder.seen)) == 40
    assert len(recorder.seen) == partitions
    assert all(part == sorted(part) and len(part) > 5 for part in recorder.seen)
    found.unpersist()


def test_the_default_meta_learner_bounds_the_learners_only(spark: SparkSession) -> None:
    frame = spark.range(40).selectExpr("id", "-id as x", "0.5D * id as label", "id % 2 as part").coalesce(1)
    found = cross_fit({"mean": MeanRegressor()}, frame, "part")
    default = fit_meta_learner(found, LevelOneInput(("mean",), found.task, "none", ("x",)), None, 2)
    assert default.model.coefficients[1] < -0.1
    found.unpersist()


def test_sums_over_many_rows_follow_from_the_rows_alone(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkwater.stacking.level_one.prepared.SMALL_ROWS", 60)
    frame = spark.range(160).selectExpr("id", "0.1D * id as label", "sin(1.0D * id) as x", "id % 2 as part")
    rows, weights = [], []
    for moved in (frame.coalesce(1), frame.orderBy(F.desc("x")).repartition(5)):
        prepared = prepare(moved, "part", "regression", "label", idCol="id")
        assert prepared.parts == 3
        values = prepared.frame.select(ROW, F.array("x").alias("mean"))
        reads = LevelOneInput(("mean",), prepared.task, passthrough=("id",))
        ordered = ordered_level_one(prepared, values, reads)
        rows.append(ordered.select(F.spark_partition_id(), "id").collect())
        fitted = configured(NonNegativeRegression(), False).fit(ordered)
        weights.append(fitted.coefficients.toArray().tobytes())
        prepared.frame.unpersist()
    assert len({part for part, _ in rows[0]}) == 3
    assert rows[0] == rows[1]
    assert weights[0] == weights[1]
