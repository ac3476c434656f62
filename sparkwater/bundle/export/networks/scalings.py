"""Scalings of a table's numbers in a graph."""

from __future__ import annotations

import numpy as np

from sparkwater.bundle.graph.builder import Graph
from sparkwater.conversions.tables.encoding.scaling import (
    CLIP,
    UNIFORM,
    QuantileScaling,
    RobustScaling,
    Scaling,
    StandardScaling,
)

#: As in `RobustScaling.apply`: beyond it the result is the same to the last bit.
_FAR = 1e100


def scaled(graph: Graph, scaling: Scaling, values: str) -> str:
    """Return scaled numbers, float64 ``(rows, size)``, as the scaling's ``apply`` gives them.

    Raises
    ------
    TypeError
        If the scaling is of another class.
    """
    if isinstance(scaling, StandardScaling):
        scale = np.array(scaling.scale)
        factor = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)
        return _affine(graph, values, np.array(scaling.center), factor)
    if isinstance(scaling, RobustScaling):
        return _robust(graph, scaling, values)
    if isinstance(scaling, QuantileScaling):
        return _quantile(graph, scaling, values)
    raise TypeError(f"{type(scaling).__name__} can't go along in a bundle")


def _affine(graph: Graph, values: str, center: np.ndarray, factor: np.ndarray) -> str:  # type: ignore[type-arg]
    centred = graph.node("Sub", values, graph.constant(center[None]))
    return graph.node("Mul", centred, graph.constant(factor[None]))


def _robust(graph: Graph, scaling: RobustScaling, values: str) -> str:
    moved = _affine(graph, values, np.array(scaling.center), np.array(scaling.factor))
    known = graph.node("Where", graph.node("IsNaN", moved), graph.constant(np.float64(0)), moved)
    near = graph.node("Clip", known, graph.constant(np.float64(-_FAR)), graph.constant(np.float64(_FAR)))
    share = graph.node("Div", near, graph.constant(np.float64(CLIP)))
    root = graph.node("Sqrt", graph.node("Add", graph.constant(np.float64(1)), graph.node("Mul", share, share)))
    return graph.node("Div", near, root)


def _quantile(graph: Graph, scaling: QuantileScaling, values: str) -> str:
    shares = []
    for place, (knots, levels) in enumerate(zip(scaling.knots, scaling.levels, strict=True)):
        one = graph.node("Gather", values, graph.constant(np.array([place])), axis=1)
        shares.append(_share(graph, np.array(knots), np.array(levels), one))
    together = graph.node("Concat", *shares, axis=1)
    centred = graph.node(
        "Sub", graph.node("Mul", together, graph.constant(np.float64(2))), graph.constant(np.float64(1))
    )
    return graph.node("Mul", centred, graph.constant(np.float64(UNIFORM)))


def _share(graph: Graph, knots: np.ndarray, levels: np.ndarray, values: str) -> str:  # type: ignore[type-arg]
    """Return `numpy.interp` of numbers ``(rows, 1)``, as ``slope * (x - knot) + level`` of the knot below."""
    if len(knots) < 2:
        half = graph.constant(np.float64(0.5))
        return graph.node("Where", graph.node("IsNaN", values), half, half)
    inside = graph.node("Clip", values, graph.constant(knots[0]), graph.constant(knots[-1]))
    reached = graph.node("GreaterOrEqual", inside, graph.constant(knots[None, 1:-1]))
    place = graph.node("ReduceSum", graph.node("Cast", reached, to=7), graph.constant(np.array([1])), keepdims=1)
    below, level, slope = (
        graph.node("Gather", graph.constant(table), place)
        for table in (knots[:-1], levels[:-1], np.diff(levels) / np.diff(knots))
    )
    return graph.node("Add", graph.node("Mul", slope, graph.node("Sub", inside, below)), level)
