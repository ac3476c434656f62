"""Calibration on out-of-fold probabilities, without Spark: what scikit-learn finds, and what is chosen."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

from sparkwater.stacking.calibration.choice import Combined, calibrate, temperature_of
from sparkwater.stacking.calibration.isotonic import CELLS, Isotonic, calibration_from, fit_isotonic, grid_sums
from sparkwater.stacking.combiners.blocks import Block, Layout, LocalBlocks
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.combiners.solvers import run_together
from sparkwater.stacking.diagnostics import Diagnostics, diagnose, reliability_of

ROWS, FOLDS = 3000, 5


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def blocks(outputs: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> tuple[Block, LocalBlocks]:
    weight = np.ones(len(label)) if weight is None else weight
    fold = np.arange(len(label)) % FOLDS
    whole = Block(outputs, label.astype(float), weight, fold, outputs.shape[2] > 1)
    parts = [slice(start, start + 700) for start in range(0, len(label), 700)]
    cut = [Block(outputs[p], whole.label[p], weight[p], fold[p], whole.classification) for p in parts]
    return whole, LocalBlocks(cut)


def too_sure(classes: int, temperature: float = 3.0, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities whose logarithms are too large by a factor, and labels."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(rows, classes))
    right = softmax(scores)
    label = (rng.random(rows)[:, None] > right.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    return softmax(temperature * scores)[:, None, :], label


def bent(rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of the second of two classes that are wrong in a way that no temperature mends."""
    rng = np.random.default_rng(1)
    given = rng.uniform(0.01, 0.99, rows)
    label = rng.random(rows) < np.where(given < 0.5, 0.02 + 0.1 * given, 0.3 + 0.1 * given)
    return np.stack([1 - given, given], axis=1)[:, None, :], label.astype(int)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_temperature_is_what_scipy_finds_and_helps(classes: int) -> None:
    outputs, label = too_sure(classes)
    _, cut = blocks(outputs, label)
    found = calibrate(cut, classes, "temperature", FOLDS)

    def loss(temperature: float) -> float:
        return -np.log(softmax(np.log(outputs[:, 0]) / temperature)[np.arange(ROWS), label]).mean()

    expected = minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x
    assert temperature_of(found.combination) == pytest.approx(expected, rel=1e-3)
    assert sum(one.first for one in found.whole) < sum(one.first for one in found.learners[0]) * 0.95


def test_probabilities_beyond_one_by_rounding_are_calibrated_as_ones() -> None:
    """As those of three learners, all sure, of which greedy selection took 2, 21 and 2."""
    shares = np.array([2, 21, 2]) / 25
    weights = tuple((shares / shares.sum()).tolist())
    mixed = Combination("pool", weights).apply(blocks(np.ones((1, 3, 2)), np.array([1]))[0])
    assert mixed.max() > 1
    given = mixed[0, 0] * np.array([[[0.0, 1.0]], [[1.0, 0.0]], [[0.5, 0.5]]])
    found, expected = (grid_sums(blocks(np.minimum(given, most), np.array([1, 0, 1]))[0], ()) for most in (2.0, 1.0))
    np.testing.assert_array_equal(found, expected)


def test_isotonic_is_scikit_learns_on_a_grid() -> None:
    outputs, label = bent()
    rng = np.random.default_rng(2)
    weight = rng.uniform(0.5, 2, len(label))
    whole, cut = blocks(outputs, label, weight)
    found = run_together(cut, {"": fit_isotonic(Layout(1, 1, True), (3,))})[""]
    kept = whole.fold != 3
    given = outputs[:, 0, 1]
    reference = IsotonicRegression(out_of_bounds="clip").fit(given[kept], label[kept], weight[kept])
    ours = found.apply(whole)
    np.testing.assert_allclose(ours.sum(axis=1), 1)
    assert np.abs(ours[:, 1] - reference.predict(given)).mean() < 0.01
    order = np.argsort(given)
    assert (np.diff(ours[order, 1]) >= -1e-12).all()
    assert 0 < ours.min() <= ours.max() < 1
    assert len(found.points[0]) <= CELLS


def test_each_of_several_classes_is_raised_by_itself_and_probabilities_have_a_sum_of_one() -> None:
    outputs, label = too_sure(4)
    whole, cut = blocks(outputs, label)
    found = calibrate(cut, 4, "isotonic", FOLDS)
    assert len(found.combination.points) == 4
    np.testing.assert_allclose(found.combination.apply(whole).sum(axis=1), 1)
    assert sum(one.first for one in found.whole) < sum(one.first for one in found.learners[0])


def test_auto_takes_none_for_what_is_calibrated_and_what_mends_the_rest() -> None:
    assert calibrate(blocks(*too_sure(3, 1.0))[1], 3, "auto", FOLDS).name == "best"
    assert calibrate(blocks(*too_sure(3, 3.0))[1], 3, "auto", FOLDS).name == "temperature"
    chosen = calibrate(blocks(*bent())[1], 2, "auto", FOLDS)
    assert chosen.name == "isotonic"
    assert list(chosen.tried) == ["best", "temperature", "isotonic"]


def test_an_estimate_is_of_fits_without_the_fold() -> None:
    outputs, label = bent(2000)
    whole, cut = blocks(outputs, label)
    found = calibrate(cut, 2, "isotonic", FOLDS)
    for fold in range(FOLDS):
        own = run_together(cut, {"": fit_isotonic(Layout(1, 1, True), (fold,))})[""]
        rows = whole.fold == fold
        right = own.apply(whole)[np.arange(2000), label][rows]
        assert found.whole[fold].mean == pytest.approx(-np.log(right).mean())


def test_reliability_is_that_of_scikit_learn_and_calibration_mends_it() -> None:
    outputs, label = bent()
    _, cut = blocks(outputs, label)
    same = dict.fromkeys(range(FOLDS), Combination("pool", (1.0,)))
    bins = reliability_of(cut, same)
    observed, predicted = calibration_curve(label, outputs[:, 0, 1], n_bins=10)
    np.testing.assert_allclose([one.observed for one in bins], observed)
    np.testing.assert_allclose([one.predicted for one in bins], predicted)
    assert sum(one.rows for one in bins) == len(label)
    assert (bins[0].low, bins[0].high) == (0.0, 0.1)
    after = reliability_of(cut, calibrate(cut, 2, "isotonic", FOLDS).column)

    def gap(found) -> float:
        return sum(one.rows * abs(one.predicted - one.observed) for one in found) / len(label)

    assert gap(after) < 0.1 * gap(bins)


def test_reliability_of_several_classes_is_that_of_the_predicted_one() -> None:
    outputs, label = too_sure(3)
    _, cut = blocks(outputs, label)
    bins = reliability_of(cut, dict.fromkeys(range(FOLDS), Combination("pool", (1.0,))))
    top = outputs[:, 0].max(axis=1)
    inside = (top >= 0.9) & (top <= 1.0)
    assert bins[-1].rows == inside.sum()
    assert bins[-1].observed == pytest.approx((outputs[inside, 0].argmax(axis=1) == label[inside]).mean())


def test_confusion_and_correlation_are_those_of_numpy() -> None:
    first, label = too_sure(3)
    rng = np.random.default_rng(4)
    other = softmax(rng.normal(size=(ROWS, 3)))[:, None, :]
    outputs = np.concatenate([first, other, np.full((ROWS, 1, 3), 1 / 3)], axis=1)
    weight = rng.uniform(0.5, 2, ROWS)
    _, cut = blocks(outputs, label, weight)
    column = {fold: Combination("pool", (1.0, 0.0, 0.0) if fold < 3 else (0.0, 1.0, 0.0)) for fold in range(FOLDS)}
    found = diagnose(cut, 3, 3, column)
    mine = np.where((np.arange(ROWS) % FOLDS < 3)[:, None], first[:, 0], other[:, 0])
    expected = np.zeros((3, 3))
    np.add.at(expected, (label, mine.argmax(axis=1)), weight)
    np.testing.assert_allclose(found.confusion, expected)
    assert sum(one.rows for one in found.reliability) == ROWS
    errors = np.stack([one[np.arange(ROWS), label] for one in (first[:, 0], other[:, 0], mine)])
    center = errors - np.average(errors, axis=1, weights=weight)[:, None]
    covariance = (weight * center) @ center.T
    spread = np.sqrt(np.diag(covariance))
    wanted = covariance / np.outer(spread, spread)
    given = np.array(found.correlation)
    np.testing.assert_allclose(given[np.ix_([0, 1, 3], [0, 1, 3])], wanted, atol=1e-9)
    assert given[2].tolist() == [0, 0, 1, 0]


def test_numbers_have_correlations_alone() -> None:
    rng = np.random.default_rng(5)
    label = 1000 + rng.normal(size=ROWS)
    outputs = (label[:, None] + rng.normal(size=(ROWS, 2)))[:, :, None]
    _, cut = blocks(outputs, label)
    found = diagnose(cut, 2, 1, dict.fromkeys(range(FOLDS), Combination("pool", (1.0, 0.0))))
    assert (found.reliability, found.confusion) == ((), ())
    assert found.correlation[0][2] == pytest.approx(1)
    errors = outputs[:, :, 0] - label[:, None]
    assert found.correlation[0][1] == pytest.approx(np.corrcoef(errors.T)[0, 1])


def test_calibrations_and_diagnostics_come_back_from_plain_values() -> None:
    def again(fields):
        return json.loads(json.dumps(fields))

    for one in (Combination("logPool", (0.5,)), Isotonic("isotonic", (1.0,), (), (((0.1, 0.2), (0.5, 0.9)),))):
        assert calibration_from(again(asdict(one))) == one
    assert calibration_from(None) is None
    _, cut = blocks(*too_sure(2))
    found = diagnose(Combined(cut, dict.fromkeys(range(FOLDS), Combination("pool", (1.0,)))), 1, 2,
                     dict.fromkeys(range(FOLDS), Combination("pool", (1.0,))))  # fmt: skip
    assert Diagnostics.from_dict(again(asdict(found))) == found
