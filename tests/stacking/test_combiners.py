"""Combiners on blocks of level one in memory: what scipy finds, what Caruana's procedure picks, and who is chosen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from sparkwater.stacking.combiners import blocks as blocks_module
from sparkwater.stacking.combiners.blocks import Block, Layout, LocalBlocks, carve
from sparkwater.stacking.combiners.choice import choose
from sparkwater.stacking.combiners.losses import Combination, log_pool_loss, mixture_losses, pool_loss
from sparkwater.stacking.combiners.solvers import (
    bounded_step,
    fit_best,
    fit_linear,
    fit_log_pool,
    fit_pool,
    fit_selection,
    run_together,
)

CLASSES, LEARNERS, ROWS = 3, 4, 400


def probabilities(rng: np.random.Generator, label: np.ndarray, skill: float) -> np.ndarray:
    """Return the probabilities of a learner that is wrong now and then."""
    scores = rng.normal(size=(len(label), CLASSES)) + skill * np.eye(CLASSES)[label]
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def classes(skills=(1.0, 2.0, 0.2, 1.5), rows: int = ROWS, folds: int = 5) -> Block:
    rng = np.random.default_rng(3)
    label = rng.integers(0, CLASSES, rows)
    outputs = np.stack([probabilities(rng, label, skill) for skill in skills], axis=1)
    weight = rng.uniform(0.5, 2, rows)
    return Block(outputs, label.astype(float), weight, np.arange(rows) % folds, True)


def numbers(noise=(1.0, 1.5, 9.0), rows: int = ROWS, folds: int = 5) -> Block:
    rng = np.random.default_rng(4)
    label = 100 + 10 * rng.normal(size=rows)
    outputs = np.stack([label + scale * rng.normal(size=rows) for scale in noise], axis=1)[:, :, None]
    return Block(outputs, label, rng.uniform(0.5, 2, rows), np.arange(rows) % folds, False)


def cut(block: Block, size: int) -> LocalBlocks:
    parts = [slice(start, start + size) for start in range(0, len(block.label), size)]
    return LocalBlocks([
        Block(block.outputs[part], block.label[part], block.weight[part], block.fold[part], block.classification)
        for part in parts
    ])  # fmt: skip


CLASS_LAYOUT, NUMBER_LAYOUT = Layout(LEARNERS, CLASSES, True), Layout(3, 1, False)


def fitted(fit, block: Block, size: int = 150):
    return run_together(cut(block, size), {"": fit})[""]


def log_loss(block: Block, probability: np.ndarray) -> float:
    right = probability[np.arange(len(block.label)), block.label.astype(int)]
    return float(np.average(-np.log(right), weights=block.weight))


def test_a_pool_has_the_convex_weights_that_scipy_finds() -> None:
    block = classes()
    found = fitted(fit_pool(CLASS_LAYOUT, ()), block)
    expected = minimize(
        lambda weights: log_loss(block, np.tensordot(block.outputs, weights, (1, 0))), np.full(LEARNERS, 0.25),
        bounds=[(0, 1)] * LEARNERS, constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-12},
    )  # fmt: skip
    np.testing.assert_allclose(found.weights, expected.x, atol=2e-4)
    assert sum(found.weights) == pytest.approx(1)


@pytest.mark.parametrize("bias", [False, True])
def test_a_log_pool_has_the_weights_and_biases_that_scipy_finds(bias: bool) -> None:
    block = classes()
    found = fitted(fit_log_pool(CLASS_LAYOUT, (), bias), block)

    def loss(point: np.ndarray) -> float:
        scores = np.tensordot(np.log(block.outputs), point[:LEARNERS], (1, 0)) + (point[LEARNERS:] if bias else 0)
        return log_loss(block, np.exp(log_softmax(scores, axis=1))) + 5e-7 * point @ point

    start = np.concatenate([np.full(LEARNERS, 0.25), np.zeros(CLASSES * bias)])
    expected = minimize(
        loss, start, bounds=[(0, None)] * LEARNERS + [(None, None)] * CLASSES * bias, options={"ftol": 1e-13}
    )
    np.testing.assert_allclose([*found.weights, *found.biases], expected.x, atol=2e-3)
    assert loss(np.array([*found.weights, *found.biases])) <= expected.fun + 1e-9
    assert sum(found.weights) != pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("measure", "biases"), [(pool_loss, 0), (log_pool_loss, 0), (log_pool_loss, CLASSES)])
def test_gradients_and_hessians_are_those_of_differences(measure, biases: int) -> None:
    block, size = classes(), LEARNERS + biases
    point = np.linspace(0.1, 0.5, size)

    def sums(at: np.ndarray) -> np.ndarray:
        return measure(block, (1, 3), at)

    found = sums(point)
    assert found[0] == pytest.approx(block.weight[~np.isin(block.fold, (1, 3))].sum())
    moves = np.eye(size) * 1e-6
    slopes = [(sums(point + move) - sums(point - move)) / 2e-6 for move in moves]
    np.testing.assert_allclose(found[2 : 2 + size], [slope[1] for slope in slopes], rtol=1e-5, atol=1e-5)
    hessian = [slope[2 : 2 + size] for slope in slopes]
    np.testing.assert_allclose(found[2 + size :].reshape(size, size), hessian, rtol=1e-4, atol=1e-3)


def test_a_pool_of_numbers_has_the_convex_weights_of_least_squares() -> None:
    block = numbers()
    found = fitted(fit_pool(NUMBER_LAYOUT, ()), block)
    expected = minimize(
        lambda weights: np.average((block.outputs[:, :, 0] @ weights - block.label) ** 2, weights=block.weight),
        np.full(3, 1 / 3), bounds=[(0, 1)] * 3, constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-14},
    )  # fmt: skip
    np.testing.assert_allclose(found.weights, expected.x, atol=1e-3)


def test_selection_is_the_plain_greedy_procedure() -> None:
    block, metric = classes(), "error"
    for metric in ("logLoss", "error"):
        counts, best = np.zeros(LEARNERS), (np.inf, None)
        for step in range(1, 11):
            losses = []
            for learner in np.eye(LEARNERS):
                mixed = np.tensordot(block.outputs, (counts + learner) / step, (1, 0))
                wrong = np.average(mixed.argmax(axis=1) != block.label, weights=block.weight)
                losses.append(log_loss(block, mixed) if metric == "logLoss" else wrong)
            counts[np.argmin(losses)] += 1
            if min(losses) < best[0] - 1e-12:
                best = (min(losses), counts / step)
        found = fitted(fit_selection(CLASS_LAYOUT, (), metric, 10), block)
        np.testing.assert_allclose(found.weights, best[1])


def test_the_best_learner_is_that_of_the_metric_and_of_the_rows_that_count() -> None:
    block = numbers()
    assert fitted(fit_best(NUMBER_LAYOUT, (), "rmse"), block).weights == (1.0, 0.0, 0.0)
    block.outputs[block.fold == 0, 0] += 1000
    assert fitted(fit_best(NUMBER_LAYOUT, (), "mae"), block).weights == (0.0, 1.0, 0.0)
    assert fitted(fit_best(NUMBER_LAYOUT, (0,), "rmse"), block).weights == (1.0, 0.0, 0.0)


def test_a_linear_combination_is_least_squares_without_negative_weights() -> None:
    block = numbers()
    block.outputs[:, 0] = 2 * block.outputs[:, 0] - 70
    found = fitted(fit_linear(NUMBER_LAYOUT, ()), block)
    root = np.sqrt(block.weight)
    columns = np.column_stack([block.outputs[:, :, 0], np.ones(ROWS)]) * root[:, None]
    expected = np.linalg.lstsq(columns, block.label * root, rcond=None)[0]
    np.testing.assert_allclose([*found.weights, *found.biases], expected, rtol=1e-6, atol=1e-6)


def test_learners_that_are_the_same_share_their_weight_and_constant_ones_do_no_harm() -> None:
    block = classes()
    outputs = np.stack([block.outputs[:, 1], block.outputs[:, 1], np.full((ROWS, CLASSES), 1 / 3)], axis=1)
    same, layout = Block(outputs, block.label, block.weight, block.fold, True), Layout(3, CLASSES, True)
    for fit in (fit_pool(layout, ()), fit_log_pool(layout, (), False), fit_log_pool(layout, (), True)):
        one, other, _ = fitted(fit, same).weights
        assert one == pytest.approx(other, rel=1e-6)
        assert one > 0.3


def test_sure_and_wrong_rows_do_not_decide_alone() -> None:
    block = classes()
    block.outputs[0, 1] = np.eye(CLASSES)[(int(block.label[0]) + 1) % CLASSES]
    weights = fitted(fit_log_pool(CLASS_LAYOUT, (), False), block).weights
    assert np.isfinite(weights).all()
    assert weights[1] > 0.1


def methods(layout: Layout):
    found = {
        "best": lambda layout, without: fit_best(layout, without, "logLoss" if layout.classification else "rmse"),
        "pool": fit_pool,
    }
    return {**found, "logPool": partial(fit_log_pool, bias=False)} if layout.classification else found


def test_the_nested_estimate_of_a_choice_is_that_of_a_plain_loop() -> None:
    block, folds = classes(), 5
    found = choose(cut(block, 150), CLASS_LAYOUT, methods(CLASS_LAYOUT), folds)

    def fit(name: str, without: tuple[int, ...]):
        return fitted(methods(CLASS_LAYOUT)[name](CLASS_LAYOUT, without), block)

    def row_loss(combination) -> np.ndarray:
        return -np.log(combination.apply(block)[np.arange(ROWS), block.label.astype(int)])

    def pick(left_out: tuple[int, ...]) -> str:
        kept = [fold for fold in range(folds) if fold not in left_out]
        rows, losses = np.isin(block.fold, kept), {}
        for name in methods(CLASS_LAYOUT):
            values = np.zeros(ROWS)
            for fold in kept:
                values[block.fold == fold] = row_loss(fit(name, (*left_out, fold)))[block.fold == fold]
            losses[name] = values[rows]
        weight = block.weight[rows]
        best = min(losses, key=lambda name: np.average(losses[name], weights=weight))
        for name, values in losses.items():
            apart = values - losses[best]
            mean = np.average(apart, weights=weight)
            error = np.sqrt((np.average(apart**2, weights=weight) - mean**2) / weight.sum())
            if name == best or mean <= error:
                return name
        raise AssertionError

    assert found.name == pick(()) == "logPool"
    for fold in range(folds):
        rows = block.fold == fold
        expected = row_loss(fit(pick((fold,)), (fold,)))[rows]
        assert found.whole[fold].mean == pytest.approx(np.average(expected, weights=block.weight[rows]), rel=1e-6)
        alone = row_loss(fit("pool", (fold,)))[rows]
        assert found.tried["pool"][fold].mean == pytest.approx(np.average(alone, weights=block.weight[rows]), rel=1e-6)


def mean(losses) -> float:
    return sum(one.first for one in losses) / sum(one.weight for one in losses)


@pytest.mark.parametrize("seed", range(4))
def test_learners_that_give_nothing_to_combine_leave_the_best_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, CLASSES, 120)
    good = probabilities(rng, label, 2.0)
    noise = probabilities(rng, rng.integers(0, CLASSES, 120), 3.0)
    block = Block(np.stack([noise, good, good], axis=1), label.astype(float), np.ones(120), np.arange(120) % 3, True)
    found = choose(cut(block, 50), Layout(3, CLASSES, True), methods(CLASS_LAYOUT), 3)
    assert mean(found.whole) <= min(map(mean, found.learners))
    if found.name == "best":
        assert found.combination.weights == (0.0, 1.0, 0.0)
        assert all(one.first == other.first for one, other in zip(found.whole, found.learners[1], strict=True))
        assert (found.difference[1].first, found.difference[1].squares) == (0.0, 0.0)


def test_more_folds_than_groups_are_put_together() -> None:
    block = numbers(folds=23)
    found = choose(cut(block, 150), NUMBER_LAYOUT, methods(NUMBER_LAYOUT), 23)
    assert len(found.whole) == 23
    assert [one.weight for one in found.whole] == pytest.approx(np.bincount(block.fold, block.weight))


def arrow(block_numbers: list[int], layout: Layout) -> list[pa.RecordBatch]:
    rows = len(block_numbers)
    columns = {
        "block": pa.array(block_numbers, pa.int32()),
        "values": pa.array([[float(row)] * (layout.learners * layout.width) for row in range(rows)]),
        "label": pa.array([1.0] * rows), "weight": pa.array([1.0] * rows), "fold": pa.array([0] * rows, pa.int32()),
    }  # fmt: skip
    table = pa.table(columns)
    return [batch for start in range(0, rows, 3) for batch in table.slice(start, 3).to_batches()]


def test_blocks_reach_over_batches_and_large_ones_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(2, 1, True)
    monkeypatch.setattr(blocks_module, "BLOCK_NUMBERS", 4)
    found = dict(carve(arrow([0] * 2 + [3] * 9 + [4] * 2, layout), layout))
    assert {key: len(block.label) for key, block in found.items()} == {
        (0, 0): 2, (3, 0): 4, (3, 1): 4, (3, 2): 1, (4, 0): 2,
    }  # fmt: skip
    np.testing.assert_array_equal(found[3, 1].outputs[:, 0, 1], [6, 7, 8, 9])
    np.testing.assert_array_equal(found[3, 1].outputs[:, 1, 0], [-5, -6, -7, -8])


@pytest.mark.parametrize("size", [1e8, 1e30, np.inf, -np.inf])
@pytest.mark.parametrize("fit", [fit_pool, fit_linear, partial(fit_selection, metric="rmse", steps=10)])
def test_a_learner_that_diverged_leaves_the_weights_of_the_others_as_they_are(fit, size: float) -> None:
    block, rng = numbers(), np.random.default_rng(5)
    wild = np.clip(size * rng.uniform(0.5, 1, ROWS), -blocks_module.LARGEST, blocks_module.LARGEST)[:, None, None]
    worse = replace(block, outputs=np.concatenate([block.outputs, wild], axis=1))
    alone, beside = fitted(fit(NUMBER_LAYOUT, ()), block), fitted(fit(Layout(4, 1, False), ()), worse)
    # Noise explains a little of anything.
    np.testing.assert_allclose(beside.weights[:3], alone.weights, atol=0.01)
    mixed, without = ((one.apply(rows)[:, 0] - block.label) ** 2 for one, rows in ((beside, worse), (alone, block)))
    assert np.average(mixed, weights=block.weight) == pytest.approx(np.average(without, weights=block.weight), rel=0.01)


def test_predictions_without_bound_are_bounded_in_blocks() -> None:
    layout = Layout(2, 1, False)
    rows = {"block": pa.array([0], pa.int32()), "values": pa.array([[np.inf, -1e99]]), "label": pa.array([1.0]),
            "weight": pa.array([1.0]), "fold": pa.array([0], pa.int32())}  # fmt: skip
    ((_, block),) = carve(pa.table(rows).to_batches(), layout)
    assert block.outputs.ravel().tolist() == [blocks_module.LARGEST, -blocks_module.LARGEST]


@pytest.mark.parametrize("fit", [fit_pool, fit_linear])
def test_constant_and_duplicated_learners_change_nothing(fit) -> None:
    block = numbers()
    constant = np.full((ROWS, 1, 1), 1e12 + 0.1)
    worse = replace(block, outputs=np.concatenate([block.outputs, block.outputs[:, :1], constant], axis=1))
    alone, beside = fitted(fit(NUMBER_LAYOUT, ()), block), fitted(fit(Layout(5, 1, False), ()), worse)
    np.testing.assert_allclose(beside.apply(worse), alone.apply(block), rtol=1e-4)
    assert beside.weights[4] == 0


def test_a_learner_without_error_is_taken_alone() -> None:
    block = numbers()
    outputs = np.concatenate([block.outputs, block.label[:, None, None]], axis=1)
    found = fitted(fit_pool(Layout(4, 1, False), ()), replace(block, outputs=outputs))
    np.testing.assert_allclose(found.weights, [0, 0, 0, 1], atol=1e-5)


def test_a_step_of_a_hessian_that_rounding_made_indefinite_lowers_the_model() -> None:
    ratio = np.array([1e15, 1e15, 1.0, 0.0])
    hessian = np.outer(ratio, ratio) - 1e-3 * np.eye(4)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(hessian)
    gradient, point = np.array([-1e15, 1e15, 1.0, -1.0]), np.full(4, 0.25)
    step = bounded_step(hessian, gradient, point, 4)
    assert np.isfinite(step).all()
    assert (point + step >= 0).all()
    assert gradient @ step < 0


def test_learners_that_are_sure_and_wrong_are_pooled() -> None:
    rng = np.random.default_rng(6)
    label = rng.integers(0, 2, ROWS)
    sure = np.stack([np.where(rng.random(ROWS) < share, label, 1 - label) for share in (0.9, 0.8, 0.7, 0.5)], axis=1)
    outputs = np.stack([1.0 - sure, sure], axis=2).astype(float)
    outputs = np.concatenate([outputs, outputs, np.full((ROWS, 1, 2), 0.5)], axis=1)
    block, layout = Block(outputs, label.astype(float), np.ones(ROWS), np.arange(ROWS) % 5, True), Layout(9, 1, True)
    for fit in (fit_pool(layout, ()), fit_log_pool(layout, (), False), fit_log_pool(layout, (), True)):
        found = fitted(fit, block)
        assert np.isfinite(found.weights).all()
        assert log_loss(block, np.maximum(found.apply(block), 1e-15)) < np.log(2)


def test_the_estimate_of_the_best_learner_alone_accounts_for_its_choice() -> None:
    rng = np.random.default_rng(1)
    label = rng.normal(size=60)
    outputs = (label[:, None] + rng.normal(size=(60, 4)))[:, :, None]
    block = Block(outputs, label, np.ones(60), np.arange(60) % 3, False)
    # What is combined is worse here: the candidates are the best learner, and the one that is worst.
    bad = {**methods(Layout(4, 1, False)), "pool": lambda layout, without: _worst(layout, without)}
    found = choose(cut(block, 25), Layout(4, 1, False), bad, 3)
    assert found.name == "best"
    losses = (outputs[:, :, 0] - label[:, None]) ** 2
    for fold in range(3):
        inside = block.fold == fold
        others = losses[~inside].mean(axis=0).argmin()
        assert found.estimate[fold].mean == pytest.approx(losses[inside, others].mean())
    assert mean(found.estimate) > mean(found.whole) == pytest.approx(losses.mean(axis=0).min())


def _worst(layout: Layout, without):
    sums = yield partial(mixture_losses, without=without, points=np.eye(layout.learners), metric="rmse")
    return Combination("pool", tuple(np.eye(layout.learners)[sums[1:].argmax()].tolist()))


@pytest.mark.parametrize("seed", range(5))
def test_a_constant_far_from_zero_has_no_weight_beside_a_learner_that_has_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label, weight = 100 + rng.normal(size=ROWS), rng.uniform(0.5, 2, ROWS)
    outputs = np.stack([-label, np.full(ROWS, 1e12 + 0.1)], axis=1)[:, :, None]
    block = Block(outputs, label, weight, np.arange(ROWS) % 5, False)
    found = fitted(fit_linear(Layout(2, 1, False), ()), block)
    assert found.weights == (0.0, 0.0)
    assert found.biases[0] == pytest.approx(np.average(label, weights=weight))
