"""Learners' outputs, combined: means, logits, pools; each has shape (rows, outputs)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from sparkwater.bundle.graph.arithmetic import constant_rows, row_sum

if TYPE_CHECKING:
    from sparkwater.bundle.graph.builder import Graph


def mean_of_models(graph: Graph, parts: Sequence[str]) -> str:
    """Return the mean of several models' outputs, added from the first to the last."""
    if len(parts) == 1:
        return parts[0]
    total = reduce(lambda left, right: graph.node("Add", left, right), parts)
    return graph.node("Div", total, graph.constant(float(len(parts))))


def logit(graph: Graph, x: str, clip: float) -> str:
    """Return the logits of probabilities, which are kept away from 0 and 1."""
    bounded = graph.node("Clip", x, graph.constant(clip), graph.constant(1 - clip))
    odds = graph.node("Div", bounded, graph.node("Sub", graph.constant(1.0), bounded))
    return graph.node("Log", odds)


def logarithms(graph: Graph, x: str, smallest: float) -> str:
    """Return the logarithms of probabilities, none smaller than that of a bound."""
    return graph.node("Log", graph.node("Max", x, graph.constant(smallest)))


def weighted_sum(graph: Graph, parts: Sequence[tuple[float, str]]) -> str:
    """Return the weighted sum of learners' outputs, added from the first to the last."""
    scaled = [graph.node("Mul", part, graph.constant(weight)) for weight, part in parts]
    return reduce(lambda left, right: graph.node("Add", left, right), scaled)


def rising_line(graph: Graph, x: str, points: Sequence[tuple[float, float]]) -> str:
    """Return the line through points at each number, constant outside of them; x has shape (rows, 1)."""
    at, to = np.array(points, np.float64).T
    if len(at) == 1:
        return constant_rows(graph, x, to)
    width = np.diff(at)
    along = graph.node("Sub", x, graph.constant(at[:-1]))
    along = graph.node("Max", graph.node("Min", along, graph.constant(width)), graph.constant(0.0))
    rise = row_sum(graph, graph.node("Mul", along, graph.constant(np.diff(to) / width)))
    return graph.node("Add", rise, graph.constant(to[0]))
