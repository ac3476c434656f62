"""Combiners as Spark ML stages: the same bits on any partitions and in any session, and what numpy computes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import start_session
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.stacking import BestLearner, CombinerModel, GreedySelection, LogPool, Pool
from sparkwater.stacking.combiners import blocks
from sparkwater.stacking.combiners.blocks import Block, Layout, LocalBlocks, SparkBlocks, open_blocks
from sparkwater.stacking.combiners.solvers import fit_log_pool, fit_pool, run_together

ROWS = 120
RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 3, ROWS)
OUTPUTS = np.stack([RNG.dirichlet(np.ones(3) + 3 * np.eye(3)[label], 4) for label in LABEL])
WEIGHT = RNG.uniform(0.5, 2, ROWS)


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    lines = [
        (Vectors.dense(row.ravel().tolist()), float(label), float(weight))
        for row, label, weight in zip(OUTPUTS, LABEL, WEIGHT, strict=True)
    ]
    return start_session("local[2]").createDataFrame(lines, ["features", "label", "weight"]).cache()


@pytest.mark.parametrize(
    "combiner",
    [LogPool(width=3, bias=True, weightCol="weight"), Pool(width=3), GreedySelection(width=3, metric="error", steps=5)],
)
def test_a_fit_has_the_same_bits_on_any_partitions_and_is_saved(frame: DataFrame, combiner, tmp_path: Path) -> None:
    model = combiner.fit(frame)
    again = combiner.fit(frame.repartition(5).orderBy(F.rand(1)))
    assert (again.getWeights(), again.getBiases()) == (model.getWeights(), model.getBiases())
    scored = model.transform(frame).collect()
    block = Block(OUTPUTS, LABEL.astype(float), WEIGHT, np.zeros(ROWS, np.int64), True)
    expected = model.combination.apply(block)
    np.testing.assert_allclose([row.probability.toArray() for row in scored], expected, rtol=1e-12)
    assert [row.prediction for row in scored] == expected.argmax(axis=1).tolist()
    model.save(str(tmp_path / "model"))
    assert CombinerModel.load(str(tmp_path / "model")).transform(frame).collect() == scored
    combiner.save(str(tmp_path / "combiner"))
    loaded = type(combiner).load(str(tmp_path / "combiner"))
    assert loaded.getWidth() == 3


def test_passes_in_spark_give_the_bits_of_those_on_the_driver(
    frame: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, found = Layout(4, 3, True), []
    rows = frame.select(vector_to_array("features").alias("values"), "label", "weight", F.lit(0).alias("fold"))
    # Several blocks, each of which is cut.
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 12 * 25)
    monkeypatch.setattr(blocks, "GROUPS", 2)
    for some, limit, kind in ((rows, ROWS * 12, LocalBlocks), (rows.repartition(5), ROWS * 12 - 1, SparkBlocks)):
        with open_blocks(some, layout, ROWS, limit) as opened:
            assert isinstance(opened, kind)
            fits = {"pool": fit_pool(layout, ()), "log": fit_log_pool(layout, (), False)}
            found.append(run_together(opened, fits))
            if isinstance(opened, SparkBlocks):
                # The driver gets one row a group, however many blocks there are.
                assert opened.count == 5
                assert opened.sums([lambda block: block.weight.sum(keepdims=True)]).count() == 2
    assert found[0] == found[1]


def test_predictions_of_numbers_are_weighted_and_the_best_learner_is_alone(frame: DataFrame) -> None:
    lines = [(Vectors.dense([row + 0.5, row - 0.5, 7.0]), float(row)) for row in range(20)]
    rows = frame.sparkSession.createDataFrame(lines, ["features", "label"])
    model = Pool(task="regression").fit(rows)
    np.testing.assert_allclose(model.getWeights(), [0.5, 0.5, 0], atol=1e-3)
    scored = model.transform(rows)
    assert scored.columns == ["features", "label", "prediction"]
    assert all(abs(row.prediction - row.label) < 0.01 for row in scored.collect())
    best = BestLearner(task="regression", metric="mae").fit(rows.where("label > 6"))
    assert best.getWeights() == [1.0, 0.0, 0.0]


def test_two_classes_have_one_number_a_learner(frame: DataFrame) -> None:
    lines = [(Vectors.dense([0.9 if row % 3 else 0.4, 0.5]), float(row % 3 > 0)) for row in range(30)]
    rows = frame.sparkSession.createDataFrame(lines, ["features", "label"])
    model = LogPool().fit(rows)
    row, weight = model.transform(rows).first(), model.getWeights()[0]
    # Softmax of weighted logits; the learner that says 0.5 changes nothing.
    assert row.probability[1] == pytest.approx(1 / (1 + (0.6 / 0.4) ** weight))
    assert (row.prediction, row.rawPrediction.size) == (0.0, 2)


@pytest.mark.parametrize(
    ("combiner", "error", "message"),
    [
        (partial(Pool, width=5), DataError, "has 12 to 12 numbers a row; accepted: a multiple of width=5"),
        (partial(Pool, width=2), DataError, "holds 0.0 to 2.0, and 0 rows without a whole number; accepted: 0 to 1"),
        (partial(LogPool, task="regression"), ConfigurationError, "regression has none: take Pool"),
        (partial(Pool, task="regression", width=3), ConfigurationError, "width=3 with task='regression'; accepted: 1"),
        (partial(GreedySelection, metric="rmse"), ConfigurationError, "metric='rmse' with task='classification'"),
        (partial(GreedySelection, steps=0), ConfigurationError, "steps=0"),
        (partial(Pool, task="ranking"), ConfigurationError, "task='ranking'; accepted: classification, regression"),
    ],
)
def test_columns_and_settings_that_do_not_fit_are_refused(frame: DataFrame, combiner, error, message) -> None:
    with pytest.raises(error, match=message):
        combiner().fit(frame)


@pytest.mark.parametrize("label", ["label - 1", "label / 2", "if(label = 2, null, label)"])
def test_labels_that_are_no_classes_are_refused(frame: DataFrame, label: str) -> None:
    with pytest.raises(DataError, match="accepted: 0 to 2, the classes of width=3"):
        LogPool(width=3).fit(frame.withColumn("label", F.expr(label)))


def test_no_rows_are_refused(frame: DataFrame) -> None:
    with pytest.raises(DataError, match="no rows to train on"):
        Pool().fit(frame.limit(0))
