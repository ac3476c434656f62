"""Links of generalised linear models: means from linear predictors, in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sparkwater.bundle.graph.arithmetic import logistic

if TYPE_CHECKING:
    from sparkwater.bundle.graph.builder import Graph

#: Spark keeps means so far away from the ends of a family's range.
_EPSILON = 1e-16

#: Beyond it the error function is 1 in float64.
_ERF_END = 6.0

#: Points of the Gauss-Legendre quadrature of the error function: with 40 its error is below 1e-14.
_POINTS = 40


def normal_distribution(graph: Graph, x: str) -> str:
    """Return the distribution function of the standard normal distribution; ``x`` has shape (rows, 1).

    onnxruntime has no error function for float64. It is integrated from 0 to x by Gauss-Legendre quadrature.
    """
    quadrature: Any = np.polynomial.legendre
    points, weights = quadrature.leggauss(_POINTS)
    scaled = graph.node("Mul", x, graph.constant(np.sqrt(0.5)))
    bounded = graph.node("Clip", scaled, graph.constant(-_ERF_END), graph.constant(_ERF_END))
    at = graph.node("Mul", bounded, graph.constant((points + 1.0) / 2.0))
    powers = graph.node("Exp", graph.node("Neg", graph.node("Mul", at, at)))
    integral = graph.node("Mul", bounded, graph.node("MatMul", powers, graph.constant(weights[:, None] / 2.0)))
    half = graph.node("Mul", integral, graph.constant(1.0 / np.sqrt(np.pi)))
    return graph.node("Add", half, graph.constant(0.5))


def mean_of(graph: Graph, eta: str, link: str, power: float | None = None) -> str:
    """Return the mean of a linear predictor.

    Parameters
    ----------
    graph : Graph
        The graph.
    eta : str
        Linear predictors, shape (rows, 1).
    link : str
        identity, log, inverse, logit, probit, cloglog, sqrt, or power.
    power : float or None
        The exponent of a power link; 0 is the logarithm.
    """
    if link == "power":
        link = {0.0: "log", 1.0: "identity", -1.0: "inverse", 0.5: "sqrt"}.get(float(power or 0.0), "power")
    if link == "identity":
        return eta
    if link == "log":
        return graph.node("Exp", eta)
    if link == "logit":
        return logistic(graph, eta)
    if link == "probit":
        return normal_distribution(graph, eta)
    one = graph.constant(1.0)
    if link == "cloglog":
        return graph.node("Sub", one, graph.node("Exp", graph.node("Neg", graph.node("Exp", eta))))
    if link == "inverse":
        return graph.node("Div", one, eta)
    if link == "sqrt":
        return graph.node("Mul", eta, eta)
    return graph.node("Pow", eta, graph.constant(1.0 / float(power or 1.0)))


def within_family(graph: Graph, mean: str, family: str) -> str:
    """Return means in the open range of a family, as Spark's ``project`` does."""
    largest = float(np.finfo(np.float64).max)
    low, high = {
        "gaussian": (-largest, largest),
        "binomial": (_EPSILON, 1.0 - _EPSILON),
    }.get(family, (_EPSILON, largest))
    return graph.node("Clip", mean, graph.constant(low), graph.constant(high))
