"""Fits of combinations: generators that ask for sums over level one, so that many share a pass over it."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from sparkwater.stacking.combiners.blocks import Blocks, Layout, Measure, Numbers
from sparkwater.stacking.combiners.losses import (
    Combination,
    column_products,
    log_pool_loss,
    mixture_losses,
    pool_loss,
    residual_products,
)

Key = TypeVar("Key", bound=Hashable)

#: A fit that runs: it asks for sums and ends with a combination.
Fit = Generator[Measure, Numbers, Combination]

#: Keeps the weights of learners that are the same, or constant, finite and equal for equal ones.
_RIDGE = 1e-6

#: Predictions that differ by less than this share of their mean are constant.
_FLAT = 1e-10

#: Smallest eigenvalue of a Hessian with ones on its diagonal: rounding makes smaller ones.
_LEAST_CURVATURE = 1e-12

#: Newton's steps, and how often one is halved.
_STEPS, _HALVES = 60, 30

#: Selection gains less than this share of the loss only by rounding.
_ROUNDING = 1e-12


def run_together(blocks: Blocks, fits: Mapping[Key, Fit]) -> dict[Key, Combination]:
    """Run fits to their end; each pass over the blocks serves all that still run."""
    asked = {key: next(fit) for key, fit in fits.items()}
    found: dict[Key, Combination] = {}
    while asked:
        answers = dict(zip(asked, blocks.add_up(list(asked.values())), strict=True))
        asked = {}
        for key, answer in answers.items():
            _go_on(key, fits[key], answer, asked, found)
    return {key: found[key] for key in fits}


def _go_on(key: Key, fit: Fit, answer: Numbers, asked: dict[Key, Measure], found: dict[Key, Combination]) -> None:
    try:
        asked[key] = fit.send(answer)
    except StopIteration as end:
        found[key] = end.value


def fit_best(layout: Layout, without: Sequence[int], metric: str) -> Fit:
    """Take the learner with the smallest loss; of equal ones the first."""
    single = np.eye(layout.learners)
    sums = yield partial(mixture_losses, without=without, points=single, metric=metric)
    return _pool(single[sums[1:].argmin()])


def fit_selection(layout: Layout, without: Sequence[int], metric: str, steps: int) -> Fit:
    """Add the learner that helps most, again and again, with replacement; keep the best of all steps.

    Source: Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble Selection from Libraries of Models, ICML 2004,
    sections 2 and 2.1.
    """
    counts, kept, smallest = np.zeros(layout.learners), np.zeros(layout.learners), np.inf
    for step in range(steps):
        points = (counts + np.eye(layout.learners)) / (step + 1)
        sums = yield partial(mixture_losses, without=without, points=points, metric=metric)
        chosen = int(sums[1:].argmin())
        counts[chosen] += 1
        if sums[1 + chosen] < smallest - _ROUNDING * abs(smallest if np.isfinite(smallest) else 0.0):
            smallest, kept = sums[1 + chosen], counts / (step + 1)
    return _pool(kept)


def fit_pool(layout: Layout, without: Sequence[int]) -> Fit:
    """Find the convex weights with the smallest logarithmic or squared loss."""
    if not layout.classification:
        sums = yield partial(residual_products, without=without)
        weights = _simplex_weights(sums[1:].reshape(layout.learners, -1) / sums[0])
        return _pool(weights)
    start = np.full(layout.learners, 1 / layout.learners)
    # With the sum of the weights added to the mean loss, weights without a bound on their sum have a sum of one.
    weights = yield from _newton(partial(pool_loss, without=without), start, layout.learners, slope=1.0)
    return _pool(weights)


def _simplex_weights(products: Numbers) -> Numbers:
    """Return the convex weights with the smallest squared loss, from the mean products of residuals.

    Each learner is measured by its own error: one that diverged leaves the others' differences as they are.
    """
    sizes = np.sqrt(np.diag(products))
    smallest = sizes[sizes > 0].min(initial=np.inf)
    # A learner without any error is better than all that have some, and not infinitely.
    sizes = np.maximum(sizes, 1e-6 * smallest) if np.isfinite(smallest) else np.ones(len(sizes))
    scaled = products / np.outer(sizes, sizes) + _RIDGE * np.eye(len(sizes))
    # Scaled to a sum of one, the weights that fulfil these conditions fulfil those of the simplex.
    weights = bounded_step(scaled, -sizes.min() / sizes, np.zeros(len(sizes)), len(sizes)) / sizes
    weights[weights < _ROUNDING * weights.max()] = 0.0
    return weights / weights.sum()


def fit_log_pool(layout: Layout, without: Sequence[int], bias: bool) -> Fit:
    """Find the non-negative weights of the logarithms, and biases on request, with the smallest logarithmic loss."""
    learners = layout.learners
    start = np.concatenate([np.full(learners, 1 / learners), np.zeros(layout.outputs if bias else 0)])
    found = yield from _newton(partial(log_pool_loss, without=without), start, learners, slope=0.0)
    return Combination("logPool", tuple(found[:learners].tolist()), tuple(found[learners:].tolist()))


def fit_linear(layout: Layout, without: Sequence[int]) -> Fit:
    """Find the non-negative weights and the intercept of least squares, as `NonNegativeRegression` does."""
    from sparkwater.stacking.meta_learner import solve_bounded

    columns = layout.learners + 2
    sums = yield partial(column_products, without=without, center=np.zeros(columns - 1))
    center = sums.reshape(columns, columns)[0, 1:] / sums[0]
    sums = yield partial(column_products, without=without, center=center)
    products = sums.reshape(columns, columns)
    # A constant far from zero differs from its mean by rounding alone.
    flat = np.concatenate([[False], np.diag(products)[1:] <= products[0, 0] * (_FLAT * center) ** 2])
    products = np.where(flat[:, None] | flat, 0.0, products)
    weights, intercept = solve_bounded(products, layout.learners)
    return Combination(
        "linear", tuple(weights.tolist()), (float(center[-1]) + intercept - float(weights @ center[:-1]),)
    )


def _pool(weights: Numbers) -> Combination:
    return Combination("pool", tuple((weights / weights.sum()).tolist()))


def _newton(
    measure: partial[Numbers], point: Numbers, bounded: int, slope: float
) -> Generator[Measure, Numbers, Numbers]:
    """Minimise a mean loss with a ridge by Newton's method; the first so many numbers are not negative.

    Each step minimises the loss's quadratic model within the bounds; it is halved until the loss falls by a
    share of what the model promises (Bertsekas, Nonlinear Programming, 2nd edition, section 2.3).
    """

    def read(sums: Numbers, at: Numbers) -> tuple[float, Numbers, Numbers]:
        total, size = sums[0], len(at)
        loss = sums[1] / total + slope * at[:bounded].sum() + _RIDGE / 2 * at @ at
        gradient = sums[2 : 2 + size] / total + _RIDGE * at
        gradient[:bounded] += slope
        return loss, gradient, sums[2 + size :].reshape(size, size) / total + _RIDGE * np.eye(size)

    loss, gradient, hessian = read((yield partial(measure, point=point)), point)
    for _ in range(_STEPS):
        step = bounded_step(hessian, gradient, point, bounded)
        promised = -(gradient @ step)
        if promised <= 1e-12 * (1 + abs(loss)):
            return point
        for _ in range(_HALVES):
            moved = point + step
            moved[:bounded] = np.maximum(moved[:bounded], 0.0)
            found = read((yield partial(measure, point=moved)), moved)
            if found[0] <= loss - 1e-4 * promised:
                break
            step, promised = step / 2, promised / 2
        else:
            return point
        point, (loss, gradient, hessian) = moved, found
    return point


def bounded_step(hessian: Numbers, gradient: Numbers, point: Numbers, bounded: int) -> Numbers:
    """Return the step that minimises a quadratic model and leaves the first so many numbers not negative.

    Parameters
    ----------
    hessian : numpy.ndarray, shape (size, size)
        Second derivatives; eigenvalues below what rounding leaves of them are raised to it.
    gradient, point : numpy.ndarray, shape (size,)
        First derivatives at a point, and the point.
    bounded : int
        Numbers with a bound.
    """
    from scipy.optimize import lsq_linear

    diagonal = np.diag(hessian)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    root = np.sqrt(np.maximum(values, _LEAST_CURVATURE))
    low = np.full(len(point), -np.inf)
    low[:bounded] = -point[:bounded]
    target = -(vectors.T @ (gradient / scale)) / root
    found: Numbers = lsq_linear(root[:, None] * vectors.T, target, (low * scale, np.inf), "bvls").x / scale
    found[:bounded] = np.maximum(found[:bounded], low[:bounded])
    return found
