"""Preparation of features: indexing, one-hot vectors, buckets, imputation, scaling.

Tensors of numbers and strings have shape (rows,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparkwater.bundle.graph.arithmetic import Numbers, as_double, row_maximum, row_sum

if TYPE_CHECKING:
    from sparkwater.bundle.graph.builder import Graph

_ML = "ai.onnx.ml"


def index_strings(graph: Graph, x: str, labels: Sequence[str]) -> str:
    """Return the places of strings in a list, as float64; the list's length for all others."""
    found = graph.node(
        "LabelEncoder",
        x,
        domain=_ML,
        keys_strings=list(labels),
        values_int64s=list(range(len(labels))),
        default_int64=len(labels),
    )
    return as_double(graph, found)


def index_numbers(graph: Graph, x: str, labels: Numbers) -> str:
    """Return the places of numbers in a list, as float64; the list's length for all others."""
    found = graph.node(
        "LabelEncoder",
        x,
        domain=_ML,
        keys_tensor=np.asarray(labels, np.float64),
        values_tensor=np.arange(len(labels), dtype=np.int64),
        default_tensor=np.array([len(labels)], np.int64),
    )
    return as_double(graph, found)


def one_hot(graph: Graph, place: str, size: int) -> str:
    """Return vectors with a one at the place, shape (rows, size); zeros for places from the size up."""
    column = graph.node("Unsqueeze", graph.node("Floor", place), graph.constant(np.array([1])))
    return as_double(graph, graph.node("Equal", column, graph.constant(np.arange(size, dtype=np.float64))))


@dataclass(frozen=True)
class Buckets:
    """Numbers' buckets.

    Attributes
    ----------
    place : str
        The bucket, as float64; the number of buckets for NaN.
    missing, outside : str
        Whether the number is NaN, or outside of all buckets.
    """

    place: str
    missing: str
    outside: str


def buckets(graph: Graph, x: str, splits: Numbers) -> Buckets:
    """Return the buckets of numbers: from a split up to the next; the last one has its upper end as well.

    As in Java's binary search -0.0 is below a split of 0.0.
    """
    column = graph.node("Unsqueeze", x, graph.constant(np.array([1])))
    reached = graph.node("GreaterOrEqual", column, graph.constant(splits))
    inner = (splits == 0.0) & ~np.signbit(splits)
    inner[-1] = False
    if inner.any():
        negative = graph.node("Equal", graph.node("Reciprocal", column), graph.constant(-np.inf))
        below = graph.node("And", negative, graph.constant(inner))
        reached = graph.node("And", reached, graph.node("Not", below))
    count = graph.node("ReduceSum", as_double(graph, reached), graph.constant(np.array([1])), keepdims=0)
    last = float(len(splits) - 2)
    place = graph.node("Min", graph.node("Sub", count, graph.constant(1.0)), graph.constant(last))
    missing = graph.node("IsNaN", x)
    low = graph.node("Equal", count, graph.constant(0.0))
    high = graph.node("Greater", x, graph.constant(splits[-1]))
    outside = graph.node("And", graph.node("Or", low, high), graph.node("Not", missing))
    return Buckets(graph.node("Where", missing, graph.constant(last + 1), place), missing, outside)


def impute(graph: Graph, x: str, surrogate: float, missing: float) -> str:
    """Return numbers with a surrogate where they are NaN, or equal to the number for a missing one."""
    mask = graph.node("IsNaN", x)
    if not np.isnan(missing):
        mask = graph.node("Or", mask, graph.node("Equal", x, graph.constant(missing)))
    return graph.node("Where", mask, graph.constant(surrogate), x)


def scale(graph: Graph, x: str, shift: Numbers | None, factor: Numbers | None) -> str:
    """Return (x - shift) * factor."""
    centered = x if shift is None else graph.node("Sub", x, graph.constant(shift))
    return centered if factor is None else graph.node("Mul", centered, graph.constant(factor))


@dataclass(frozen=True)
class Span:
    """A rescaling from the span of each column to one span of all: Spark's ``MinMaxScaler``.

    Attributes
    ----------
    lower, upper : numpy.ndarray
        The columns' smallest and largest numbers.
    low, high : float
        The new ones.
    """

    lower: Numbers
    upper: Numbers
    low: float
    high: float

    def apply(self, graph: Graph, x: str) -> str:
        """Return the rescaled rows; a column of one value gets the middle, NaN stays."""
        span = self.upper - self.lower
        constant = span == 0
        factor = np.where(constant, 0.0, (self.high - self.low) / np.where(constant, 1.0, span))
        shifted = graph.node("Mul", graph.node("Sub", x, graph.constant(self.lower)), graph.constant(factor))
        moved = graph.node("Add", shifted, graph.constant(self.low))
        if not constant.any():
            return moved
        fixed = graph.node("And", graph.node("Not", graph.node("IsNaN", x)), graph.constant(constant))
        return graph.node("Where", fixed, graph.constant((self.low + self.high) / 2), moved)


def unit_rows(graph: Graph, x: str, p: float) -> str:
    """Return rows divided by their p-norm; rows of zeros stay."""
    size = graph.node("Abs", x)
    if np.isinf(p):
        # As in Spark this norm alone passes over missing numbers.
        norm = row_maximum(graph, graph.node("Where", graph.node("IsNaN", x), graph.constant(0.0), size))
    elif p == 1:
        norm = row_sum(graph, size)
    elif p == 2:
        norm = graph.node("Sqrt", row_sum(graph, graph.node("Mul", x, x)))
    else:
        powers = row_sum(graph, graph.node("Pow", size, graph.constant(p)))
        norm = graph.node("Pow", powers, graph.constant(1.0 / p))
    zero = graph.node("Equal", norm, graph.constant(0.0))
    return graph.node("Div", x, graph.node("Where", zero, graph.constant(1.0), norm))
