"""Losses of learners as numbers that people read, without Spark."""

from __future__ import annotations

import numpy as np
import pytest

from sparkwater.stacking.level_one.metrics import LearnerMetrics, Losses

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
