"""Losses of learners: sums over rows, and the numbers that people read."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkwater.stacking.level_one.metrics import LABEL, WEIGHT, LearnerMetrics, Losses, collect_losses, compare
from sparkwater.stacking.level_one.prepared import FOLD, LevelOneTask

VALUES = np.array([0.1, 0.7, 0.2, 0.9, 2.0])


def losses(values: np.ndarray, weights: np.ndarray | None = None) -> Losses:
    weights = np.ones(len(values)) if weights is None else weights
    return Losses(weights.sum(), (weights * values).sum(), (weights * values**2).sum(), 0.0)


def test_the_standard_error_falls_with_the_rows_weight() -> None:
    assert losses(VALUES).standard_error == pytest.approx(VALUES.std() / np.sqrt(5))
    hundred = losses(np.tile(VALUES, 100))
    assert hundred.standard_error == pytest.approx(losses(VALUES).standard_error / 10)
    # A weight of 3 stands for three equal rows.
    weights = np.array([1, 3, 1, 2, 1])
    assert losses(VALUES, weights).standard_error == pytest.approx(losses(VALUES.repeat(weights)).standard_error)


@pytest.mark.parametrize(("kind", "read"), [("classification", lambda mean: mean), ("regression", np.sqrt)])
def test_the_deviation_over_folds_is_that_of_a_sample(kind: str, read) -> None:
    folds = {str(fold): losses(VALUES + fold**2) for fold in range(4)}
    means = [read(VALUES.mean() + fold**2) for fold in range(4)]
    assert LearnerMetrics(kind, {"net": folds}).deviation("net") == pytest.approx(np.std(means, ddof=1))
    assert LearnerMetrics(kind, {"net": {"0": folds["0"]}}).deviation("net") == 0


@pytest.mark.parametrize(("kind", "read"), [("classification", lambda mean: mean), ("regression", np.sqrt)])
def test_the_interval_reaches_1_96_standard_errors_to_each_side(kind: str, read) -> None:
    metrics = LearnerMetrics(kind, {"net": {"0": losses(VALUES[:2]), "1": losses(VALUES[2:])}})
    reach = 1.96 * VALUES.std() / np.sqrt(5)
    expected = [read(VALUES.mean() - reach), read(VALUES.mean() + reach)]
    np.testing.assert_allclose(metrics.interval("net"), expected, rtol=1e-4)


TASKS = {
    "two classes": LevelOneTask("classification", ("a", "b")),
    "three classes": LevelOneTask("classification", (0.0, 1.0, 2.0)),
    "numbers": LevelOneTask("regression"),
}


@pytest.mark.parametrize("name", TASKS)
def test_sums_of_losses_are_those_of_plain_arithmetic(spark: SparkSession, name: str) -> None:
    rng = np.random.default_rng(5)
    task, rows = TASKS[name], 12
    label = rng.normal(size=rows) if name == "numbers" else rng.integers(0, task.size, rows).astype(float)
    values = {one: rng.dirichlet(np.ones(task.size), rows) for one in ("net", "tree")}
    values["net"][0] = np.eye(task.size)[
        (int(label[0]) + 1) % task.size
    ]  # sure, and wrong: a loss of 1e-15's logarithm
    weight, fold = rng.uniform(0.5, 2, rows), np.arange(rows) % 3

    def given(learner: str) -> list[list[float]]:
        return (values[learner][:, 1:] if task.width == 1 and task.size == 2 else values[learner]).tolist()

    lines = list(zip(label.tolist(), weight.tolist(), fold.tolist(), given("net"), given("tree"), strict=True))
    names = [LABEL, WEIGHT, FOLD, "net", "tree"]
    frame = spark.createDataFrame(lines, names).withColumn(FOLD, F.col(FOLD).cast("int"))
    first, second = {}, {}
    for learner, numbers in values.items():
        if name == "numbers":
            first[learner], second[learner] = (numbers[:, 0] - label) ** 2, np.abs(numbers[:, 0] - label)
        else:
            right = numbers[np.arange(rows), label.astype(int)]
            first[learner] = -np.log(np.maximum(right, 1e-15))
            second[learner] = (numbers.argmax(axis=1) != label).astype(float)
    found = collect_losses(frame, task, ["net", "tree"])
    for learner in values:
        for number in range(3):
            one, some = found[learner][str(number)], fold == number
            expected = [weight, weight * first[learner], weight * first[learner] ** 2, weight * second[learner]]
            sums = [one.weight, one.first, one.squares, one.second]
            np.testing.assert_allclose(sums, [values[some].sum() for values in expected], rtol=1e-9)
    apart, difference = compare(frame, task, "net", ["tree"])["tree"], first["net"] - first["tree"]
    assert apart.mean == pytest.approx(np.average(difference, weights=weight))
    spread = np.average(difference**2, weights=weight) - apart.mean**2
    assert apart.standard_error == pytest.approx(np.sqrt(spread / weight.sum()))
