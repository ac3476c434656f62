"""Diagnostics of out-of-fold predictions: reliability, confusion of classes, correlation of the learners' errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sparkwater.stacking.combiners.blocks import Block, Blocks, Numbers
from sparkwater.stacking.combiners.losses import Combination, combined_outputs

#: Bins of equal width in a reliability diagram.
BINS = 10

#: More classes than this have no confusion matrix.
MAX_CONFUSED = 50


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows whose predicted probability lies in one span.

    For two classes it is the probability of the second, and the observed rate is its share. For more it is that of the
    predicted class, and the rate is the share of right predictions (Guo, Pleiss, Sun and Weinberger, On Calibration of
    Modern Neural Networks, ICML 2017, section 2).

    Attributes
    ----------
    low, high : float
        The span.
    rows : int
        Number of rows.
    predicted : float
        Weighted mean of the predicted probability.
    observed : float
        Weighted rate that was observed.
    """

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Diagnostics:
    """Diagnostics of the ensemble and its learners, out of fold.

    Attributes
    ----------
    reliability : tuple of ReliabilityBin
        Of the ensemble, before a calibration; bins without rows are left out. Empty for regression.
    calibrated : tuple of ReliabilityBin
        The same after the calibration, cross-validated; empty without one.
    confusion : tuple of tuple of float
        Weights of the ensemble's rows by label, then by predicted class; empty for regression and for more than
        `MAX_CONFUSED` classes.
    correlation : tuple of tuple of float
        Correlation of the errors of the learners and, last, the ensemble: of predictions less labels, or of
        probabilities of the rows' own classes. 0 with one whose errors are all the same.
    """

    reliability: tuple[ReliabilityBin, ...] = ()
    calibrated: tuple[ReliabilityBin, ...] = ()
    confusion: tuple[tuple[float, ...], ...] = ()
    correlation: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Diagnostics:
        """Return the diagnostics that `dataclasses.asdict` gave, also after a way through JSON."""
        reliability, after = (
            tuple(ReliabilityBin(**one) for one in fields[name]) for name in ("reliability", "calibrated")
        )
        confusion, correlation = (tuple(tuple(row) for row in fields[name]) for name in ("confusion", "correlation"))
        return cls(reliability, after, confusion, correlation)


def diagnose(blocks: Blocks, learners: int, outputs: int, column: Mapping[int, Combination]) -> Diagnostics:
    """Return the diagnostics of an ensemble, in one pass over level one.

    Parameters
    ----------
    blocks : Blocks
        Level one: the learners' outputs, and perhaps others after them.
    learners : int
        Number of learners.
    outputs : int
        Number of classes; 1 for regression.
    column : mapping of int to Combination
        What scores each fold.
    """
    measures = [partial(error_products, learners=learners, column=column)]
    if outputs > 1:
        measures.append(partial(bin_sums, column=column))
    if 1 < outputs <= MAX_CONFUSED:
        measures.append(partial(confused, column=column))
    products, *rest = blocks.add_up(measures)
    correlation = _correlation(products.reshape(learners + 2, -1))
    confusion = rest[1].reshape(outputs, -1).tolist() if len(rest) > 1 else ()
    return Diagnostics(
        reliability=read_bins(rest[0]) if rest else (),
        confusion=tuple(map(tuple, confusion)),
        correlation=tuple(map(tuple, correlation.tolist())),
    )


def reliability_of(blocks: Blocks, column: Mapping[int, Combination]) -> tuple[ReliabilityBin, ...]:
    """Return the reliability of what scores each fold."""
    return read_bins(*blocks.add_up([partial(bin_sums, column=column)]))


def bin_sums(block: Block, column: Mapping[int, Combination]) -> Numbers:
    """Return by bin the number of rows, their weight, and weighted sums of predicted and observed."""
    outputs, label = combined_outputs(block, column), block.label.astype(np.int64)
    if outputs.shape[1] == 2:
        given, hits = outputs[:, 1], label == 1
    else:
        given, hits = outputs.max(axis=1), outputs.argmax(axis=1) == label
    place = np.clip((given * BINS).astype(np.int64), 0, BINS - 1)
    weight = block.weight
    sums = [np.bincount(place, values, BINS) for values in (np.ones(len(label)), weight, weight * given, weight * hits)]
    return np.concatenate(sums)


def read_bins(sums: Numbers) -> tuple[ReliabilityBin, ...]:
    """Return the bins that have rows of some weight."""
    return tuple(
        ReliabilityBin(place / BINS, (place + 1) / BINS, int(rows), float(given / weight), float(hits / weight))
        for place, (rows, weight, given, hits) in enumerate(sums.reshape(4, BINS).T)
        if weight > 0
    )


def confused(block: Block, column: Mapping[int, Combination]) -> Numbers:
    """Return the weights of the rows by label and predicted class."""
    outputs = combined_outputs(block, column)
    classes = outputs.shape[1]
    cell = block.label.astype(np.int64) * classes + outputs.argmax(axis=1)
    return np.bincount(cell, block.weight, classes * classes).astype(np.float64)


def error_products(block: Block, learners: int, column: Mapping[int, Combination]) -> Numbers:
    """Return the products of ones and of the errors of the learners and the whole, summed over rows."""
    outputs = np.concatenate([block.outputs[:, :learners], combined_outputs(block, column)[:, None]], axis=1)
    if block.classification:
        errors = outputs[np.arange(len(block.label)), :, block.label.astype(np.int64)]
    else:
        errors = outputs[:, :, 0] - block.label[:, None]
    columns = np.column_stack([np.ones(len(block.label)), errors])
    return ((block.weight[:, None] * columns).T @ columns).ravel()


def _correlation(products: Numbers) -> Numbers:
    mean = products[0, 1:] / products[0, 0]
    covariance = products[1:, 1:] / products[0, 0] - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    # What is left of a constant is rounding.
    spread[spread <= 1e-7 * np.abs(mean)] = 0.0
    scale = np.outer(spread, spread)
    found = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(found, 1.0)
    return np.clip(found, -1.0, 1.0)
