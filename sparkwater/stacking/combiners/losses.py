"""Losses of combined predictions on a block of level one, with their derivatives; without Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparkwater.stacking.combiners.blocks import Block, Numbers
from sparkwater.stacking.level_one.deviance import SQUARED
from sparkwater.stacking.level_one.metrics import LEAST_PROBABILITY


@dataclass(frozen=True)
class Combination:
    """A way to combine the learners' outputs of a row into one.

    Attributes
    ----------
    form : {"pool", "logPool", "linear"}
        ``pool``: the weighted sum. ``logPool``: softmax of the weighted sum of logarithms. ``linear``: the weighted
        sum and an intercept.
    weights : tuple of float
        One a learner, none negative.
    biases : tuple of float
        One a class for ``logPool``, or none; the intercept for ``linear``.
    """

    form: str
    weights: tuple[float, ...]
    biases: tuple[float, ...] = ()

    def among(self, learners: int) -> Combination:
        """Return the same combination for outputs of more learners, whose last ones have no weight."""
        return replace(self, weights=(*self.weights, *[0.0] * (learners - len(self.weights))))

    def apply(self, block: Block) -> Numbers:
        """Return the combined outputs, shape (rows, outputs)."""
        weights = np.array(self.weights)
        if self.form == "logPool":
            return softmax(_scores(block, weights, np.array(self.biases)))
        mixed = np.tensordot(block.outputs, weights, axes=(1, 0))
        return mixed + self.biases[0] if self.form == "linear" else mixed


def softmax(scores: Numbers) -> Numbers:
    """Return probabilities from scores, row by row."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _scores(block: Block, weights: Numbers, biases: Numbers) -> Numbers:
    scores = np.tensordot(block.logs, weights, axes=(1, 0))
    return scores + biases if len(biases) else scores


def row_losses(outputs: Numbers, block: Block) -> tuple[Numbers, Numbers]:
    """Return the two losses of each row: logarithmic and wrong, or the deviance and the absolute error."""
    if not block.classification:
        return block.deviance.rows(outputs[:, 0], block.label), np.abs(outputs[:, 0] - block.label)
    label = block.label.astype(np.int64)
    right = outputs[np.arange(len(label)), label]
    return -np.log(np.maximum(right, LEAST_PROBABILITY)), (outputs.argmax(axis=1) != label).astype(np.float64)


def mixture_losses(block: Block, without: Sequence[int], points: Numbers, metric: str) -> Numbers:
    """Return the total weight, and the total loss of each of several convex combinations.

    Parameters
    ----------
    block : Block
        The rows.
    without : sequence of int
        Folds to leave out.
    points : numpy.ndarray, shape (combinations, learners)
        Weights.
    metric : {"first", "logLoss", "error", "rmse", "mae"}
        The loss; for ``rmse`` the squared error, for ``first`` that which the rows are compared by.
    """
    weight = block.weight_without(without)
    if metric == "logLoss" or (metric == "first" and block.classification):
        losses = -np.log(np.maximum(block.right @ points.T, LEAST_PROBABILITY))
        return np.concatenate([[weight.sum()], weight @ losses])
    place = 1 if metric in ("error", "mae") else 0
    block = block if metric == "first" else replace(block, deviance=SQUARED)
    mixed = (np.tensordot(block.outputs, point, axes=(1, 0)) for point in points)
    return np.array([weight.sum(), *(weight @ row_losses(outputs, block)[place] for outputs in mixed)])


def pool_loss(block: Block, without: Sequence[int], point: Numbers) -> Numbers:
    """Return the total weight, and the logarithmic loss of a pool with its gradient and Hessian."""
    weight = block.weight_without(without)
    right = np.maximum(block.right, LEAST_PROBABILITY)
    mixed = np.maximum(right @ point, LEAST_PROBABILITY)
    ratio = right / mixed[:, None]
    hessian = (weight[:, None] * ratio).T @ ratio
    return np.concatenate([[weight.sum(), -weight @ np.log(mixed)], -weight @ ratio, hessian.ravel()])


def log_pool_loss(block: Block, without: Sequence[int], point: Numbers) -> Numbers:
    """Return the total weight, and the logarithmic loss of a logarithmic pool with its gradient and Hessian.

    Parameters
    ----------
    block : Block
        The rows.
    without : sequence of int
        Folds to leave out.
    point : numpy.ndarray
        One weight a learner; after them one bias a class, or none.
    """
    logs, label = block.logs, block.label.astype(np.int64)
    weight, learners = block.weight_without(without), logs.shape[1]
    scores = _scores(block, point[:learners], point[learners:])
    shares = softmax(scores)
    top = scores.max(axis=1)
    loss = weight @ (top + np.log(np.exp(scores - top[:, None]).sum(axis=1)) - scores[np.arange(len(label)), label])
    weighted = weight[:, None] * shares
    away = weighted.copy()
    away[np.arange(len(label)), label] -= weight
    mean = np.einsum("nk,nlk->nl", shares, logs)
    tall = (logs * np.sqrt(weighted)[:, None, :]).transpose(1, 0, 2).reshape(learners, -1)
    hessian = tall @ tall.T - (weight[:, None] * mean).T @ mean
    gradient = np.einsum("nk,nlk->l", away, logs)
    if len(point) > learners:
        across = np.einsum("nk,nlk->lk", weighted, logs) - mean.T @ weighted
        own = np.diag(weighted.sum(axis=0)) - weighted.T @ shares
        hessian = np.block([[hessian, across], [across.T, own]])
        gradient = np.concatenate([gradient, away.sum(axis=0)])
    return np.concatenate([[weight.sum(), loss], gradient, hessian.ravel()])


def residual_products(block: Block, without: Sequence[int]) -> Numbers:
    """Return the total weight, and the products of the learners' residuals, summed over rows."""
    weight = block.weight_without(without)
    away = block.outputs[:, :, 0] - block.label[:, None]
    return np.concatenate([[weight.sum()], ((weight[:, None] * away).T @ away).ravel()])


def column_products(block: Block, without: Sequence[int], center: Numbers) -> Numbers:
    """Return the products of ones, the learners' predictions and the label, less their centers, summed over rows."""
    weight = block.weight_without(without)
    columns = np.column_stack([np.ones(len(weight)), np.column_stack([block.outputs[:, :, 0], block.label]) - center])
    return ((weight[:, None] * columns).T @ columns).ravel()


def compared_losses(
    block: Block,
    without: Sequence[int],
    columns: Sequence[Mapping[int, Combination]],
    pairs: Sequence[tuple[int, int]],
    folds: int,
) -> Numbers:
    """Return sums of several combinations' losses by fold, and of the differences between some of them.

    Parameters
    ----------
    block : Block
        The rows.
    without : sequence of int
        Folds to leave out.
    columns : sequence of mapping of int to Combination
        The combination that scores each fold.
    pairs : sequence of (int, int)
        Columns to compare, the second taken from the first.
    folds : int
        Number of folds.

    Returns
    -------
    numpy.ndarray, shape (1 + 3 * columns) * folds + 2 * pairs
        Weights by fold; by column and fold the first loss, its square and the second loss; by pair the difference of
        the first losses and its square.
    """
    weight = block.weight_without(without)
    losses = [_scored(block, column, without) for column in columns]
    by_fold = [weight]
    for first, second in losses:
        by_fold += [weight * first, weight * first**2, weight * second]
    sums = [np.bincount(block.fold, values, folds) for values in by_fold]
    apart = [losses[left][0] - losses[right][0] for left, right in pairs]
    totals = [[weight @ difference, weight @ difference**2] for difference in apart]
    return np.concatenate([*sums, *totals])


def combined_outputs(block: Block, column: Mapping[int, Combination], without: Sequence[int] = ()) -> Numbers:
    """Return the outputs of the combination that scores each fold, shape (rows, outputs); zeros in folds without one.

    Parameters
    ----------
    block : Block
        The rows.
    column : mapping of int to Combination
        The combination of each fold.
    without : sequence of int
        Folds to leave out.
    """
    found = np.zeros((len(block.label), block.outputs.shape[2]))
    for combination in dict.fromkeys(column[fold] for fold in column if fold not in without):
        rows = np.isin(block.fold, [fold for fold, other in column.items() if other == combination])
        if rows.any():
            found[rows] = combination.apply(block)[rows]
    return found


def _scored(block: Block, column: Mapping[int, Combination], without: Sequence[int]) -> tuple[Numbers, Numbers]:
    """Return the losses of the rows that are scored; those of other rows don't count."""
    return row_losses(combined_outputs(block, column, without), block)
