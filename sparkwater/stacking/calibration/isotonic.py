"""Isotonic calibration: a rising function of the probability, from sums over a grid of probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sparkwater.stacking.combiners.blocks import Block, Layout, Numbers
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.combiners.solvers import Fit

#: Cells of the grid; they are of equal width in log-odds, up to the bound on both sides.
CELLS, _BOUND = 256, 12.0


@dataclass(frozen=True)
class Isotonic(Combination):
    """A rising function of each class's probability; for more than two classes they are scaled to a sum of one.

    Attributes
    ----------
    points : tuple of tuple of (float, float)
        One tuple a class, or one for two classes, of the second: probabilities, ascending, and what becomes of them.
        Between them the function is a line, outside of them constant.
    """

    points: tuple[tuple[tuple[float, float], ...], ...] = ()

    def apply(self, block: Block) -> Numbers:
        """Return the calibrated probabilities of the block's only learner, shape (rows, outputs)."""
        given = block.outputs[:, 0]
        if len(self.points) == 1:
            second = _through(given[:, 1], self.points[0])
            return np.stack([1.0 - second, second], axis=1)
        raised = np.stack([_through(given[:, place], points) for place, points in enumerate(self.points)], axis=1)
        return raised / raised.sum(axis=1, keepdims=True)


def calibration_from(fields: Mapping[str, Any] | None) -> Combination | None:
    """Return the calibration that `dataclasses.asdict` gave, also after a way through JSON; None of None."""
    if not fields:
        return None
    form, weights, biases = str(fields["form"]), tuple(fields["weights"]), tuple(fields["biases"])
    if "points" not in fields:
        return Combination(form, weights, biases)
    return Isotonic(form, weights, biases, points=tuple(tuple((x, y) for x, y in one) for one in fields["points"]))


def _through(values: Numbers, points: Sequence[tuple[float, float]]) -> Numbers:
    given, wanted = zip(*points, strict=True)
    return np.interp(values, given, wanted)


def fit_isotonic(layout: Layout, without: Sequence[int]) -> Fit:
    """Find the rising function with the smallest squared error of each class's indicator.

    Source: Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass Probability Estimates, KDD
    2002, sections 3 and 4; rows count by cells of a grid, so that any number of them has sums of one size.
    """
    sums = yield partial(grid_sums, without=without)
    cells = sums.reshape(layout.width, CELLS, 3)
    return Isotonic("isotonic", (1.0,), (), tuple(_rising(one) for one in cells))


def grid_sums(block: Block, without: Sequence[int]) -> Numbers:
    """Return, by class and cell of the grid, the weight, the weighted probabilities and the weight of that class.

    Two classes have one row of cells: that of the second.
    """
    weight, label = block.weight_without(without), block.label.astype(np.int64)
    classes = [1] if block.outputs.shape[2] == 2 else range(block.outputs.shape[2])
    found = []
    for place in classes:
        # A mean of ones can be larger than one by rounding.
        given = np.clip(block.outputs[:, 0, place], 0.0, 1.0)
        with np.errstate(divide="ignore"):
            odds = np.clip(np.log(given) - np.log1p(-given), -_BOUND, _BOUND)
        cell = np.minimum(((odds + _BOUND) / (2 * _BOUND) * CELLS).astype(np.int64), CELLS - 1)
        sums = (weight, weight * given, weight * (label == place))
        found.append(np.stack([np.bincount(cell, values, CELLS) for values in sums]))
    return np.stack(found).transpose(0, 2, 1).ravel().astype(np.float64)


def _rising(cells: Numbers) -> tuple[tuple[float, float], ...]:
    """Pool neighbouring cells whose shares fall (Ayer et al. 1955), and return each pool's mean probability and share.

    No share is 0 or 1: half a row more of each kind would be as likely.
    """
    pools: list[Numbers] = []
    for cell in cells[cells[:, 0] > 0]:
        pools.append(cell)
        while len(pools) > 1 and pools[-2][2] / pools[-2][0] >= pools[-1][2] / pools[-1][0]:
            last = pools.pop()
            pools[-1] = pools[-1] + last
    if not pools:
        return ((0.0, 0.0), (1.0, 1.0))
    least = 0.5 / (cells[:, 0].sum() + 1.0)
    return tuple((float(p / weight), float(np.clip(hits / weight, least, 1 - least))) for weight, p, hits in pools)
