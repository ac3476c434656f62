"""Arithmetic in float64 that learners share: affine maps, softmax, logistic function, choice of a class.

Tensors are named; ``x`` has shape (rows, columns) where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sparkwater.bundle.graph.column import Column
from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from sparkwater.bundle.graph.builder import Graph

Numbers = npt.NDArray[np.float64]

#: ONNX's numbers of data types.
INT64, BOOL, DOUBLE = 7, 9, 11


def numbers_of(graph: Graph, column: Column) -> str:
    """Return a column of numbers or vectors as float64.

    Raises
    ------
    SchemaError
        If it holds strings.
    """
    if column.kind == "string":
        raise SchemaError("a column of strings was given where numbers are needed; index it with StringIndexer")
    return column.tensor if column.dtype == "float64" else graph.node("Cast", column.tensor, to=DOUBLE)


def rows_of(graph: Graph, column: Column) -> str:
    """Return a column as a matrix of float64, with one column for numbers."""
    tensor = numbers_of(graph, column)
    if len(column.shape) == 1:
        return tensor
    return graph.node("Reshape", tensor, graph.constant(np.array([-1, column.size])))


def flat(graph: Graph, x: str) -> str:
    """Return a matrix of one column as numbers, shape (rows,)."""
    return graph.node("Reshape", x, graph.constant(np.array([-1])))


def slice_columns(graph: Graph, x: str, start: int, end: int) -> str:
    """Return the columns from one place to before another."""
    return graph.node("Slice", x, *(graph.constant(np.array([place])) for place in (start, end, 1)))


def join_columns(graph: Graph, parts: Sequence[str]) -> str:
    """Return matrices side by side."""
    return parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=1)


def constant_rows(graph: Graph, like: str, row: npt.ArrayLike) -> str:
    """Return the same row of float64 for each row of a tensor of any type."""
    values = np.asarray(row, np.float64).reshape(1, -1)
    rows = graph.node("Shape", like, start=0, end=1)
    shape = graph.node("Concat", rows, graph.constant(np.array([values.size])), axis=0)
    return graph.node("Expand", graph.constant(values), shape)


def affine(graph: Graph, x: str, weights: Numbers, bias: Numbers) -> str:
    """Return x @ weights + bias; weights have shape (columns, outputs)."""
    product = graph.node("MatMul", x, graph.constant(np.asarray(weights, np.float64)))
    return graph.node("Add", product, graph.constant(np.asarray(bias, np.float64)))


def logistic(graph: Graph, x: str) -> str:
    """Return 1 / (1 + exp(-x))."""
    one = graph.constant(1.0)
    return graph.node("Div", one, graph.node("Add", one, graph.node("Exp", graph.node("Neg", x))))


def softmax(graph: Graph, x: str) -> str:
    """Return the softmax of each row."""
    powers = graph.node("Exp", graph.node("Sub", x, row_maximum(graph, x)))
    return graph.node("Div", powers, row_sum(graph, powers))


def log_softmax(graph: Graph, x: str) -> str:
    """Return the logarithm of the softmax of each row."""
    top = row_maximum(graph, x)
    total = row_sum(graph, graph.node("Exp", graph.node("Sub", x, top)))
    return graph.node("Sub", x, graph.node("Add", graph.node("Log", total), top))


def normalized(graph: Graph, x: str) -> str:
    """Return each row divided by its sum; a row whose sum is zero stays as it is."""
    total = row_sum(graph, x)
    zero = graph.node("Equal", total, graph.constant(0.0))
    return graph.node("Div", x, graph.node("Where", zero, graph.constant(1.0), total))


def row_sum(graph: Graph, x: str) -> str:
    """Return the sum of each row, shape (rows, 1)."""
    return graph.node("ReduceSum", x, graph.constant(np.array([1])), keepdims=1)


def row_maximum(graph: Graph, x: str) -> str:
    """Return the largest number of each row, shape (rows, 1)."""
    return graph.node("ReduceMax", x, graph.constant(np.array([1])), keepdims=1)


def largest(graph: Graph, x: str, op: str = "ArgMax") -> str:
    """Return the place of the largest number of each row, or the smallest (``ArgMin``), as float64; ties: the first."""
    return graph.node("Cast", graph.node(op, x, axis=1, keepdims=0), to=DOUBLE)


def as_double(graph: Graph, tensor: str) -> str:
    """Return a tensor of booleans or integers as float64."""
    return graph.node("Cast", tensor, to=DOUBLE)


def opposite_pair(graph: Graph, margin: str) -> str:
    """Return raw predictions of two classes, (-margin, margin); the margin has shape (rows, 1)."""
    return graph.node("Concat", graph.node("Neg", margin), margin, axis=1)


def complement_pair(graph: Graph, first: str) -> str:
    """Return probabilities of two classes, (p, 1 - p); p has shape (rows, 1)."""
    return graph.node("Concat", first, graph.node("Sub", graph.constant(1.0), first), axis=1)


def choose_class(graph: Graph, scores: str, probability: str, thresholds: Sequence[float] | None) -> str:
    """Return the predicted class: that of the largest score, or of probability / threshold where there are thresholds.

    A class whose threshold is zero is always predicted, unless its probability is zero as well (Spark's Param
    ``thresholds``).
    """
    if thresholds is None:
        return largest(graph, scores)
    scaled = graph.node("Div", probability, graph.constant(np.array(thresholds, np.float64)))
    never = graph.node("IsNaN", scaled)
    return largest(graph, graph.node("Where", never, graph.constant(-np.inf), scaled))


def any_of(graph: Graph, mask: str) -> str:
    """Return whether a row has any true value; shape (rows,)."""
    found = graph.node("ReduceMax", as_double(graph, mask), graph.constant(np.array([1])), keepdims=0)
    return graph.node("Greater", found, graph.constant(0.0))
