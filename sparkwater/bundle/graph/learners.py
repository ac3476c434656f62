"""Naive Bayes, perceptrons and clusters; ``x`` has shape (rows, columns)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparkwater.bundle.graph.arithmetic import Numbers, affine, largest, log_softmax, logistic, row_sum

if TYPE_CHECKING:
    from sparkwater.bundle.graph.builder import Graph


def linear_bayes(graph: Graph, x: str, kind: str, theta: Numbers, prior: Numbers) -> str:
    """Return raw predictions of naive Bayes whose logarithms are linear in the features.

    Parameters
    ----------
    graph : Graph
        The graph.
    x : str
        Features.
    kind : {"multinomial", "complement", "bernoulli"}
        Kind of the distributions.
    theta : numpy.ndarray, shape (classes, columns)
        Logarithms of the features' probabilities, or weights (complement).
    prior : numpy.ndarray, shape (classes,)
        Logarithms of the classes' probabilities; complement doesn't use them, and takes logarithms of softmax.
    """
    if kind == "bernoulli":
        absent = np.log1p(-np.exp(theta))
        return affine(graph, x, (theta - absent).T, prior + absent.sum(axis=1))
    if kind == "multinomial":
        return affine(graph, x, theta.T, prior)
    return log_softmax(graph, graph.node("MatMul", x, graph.constant(theta.T.copy())))


def gaussian_bayes(graph: Graph, x: str, means: Numbers, variances: Numbers, prior: Numbers) -> str:
    """Return raw predictions of Gaussian naive Bayes; means and variances have shape (classes, columns)."""
    away = graph.node("Sub", _by_row(graph, x), graph.constant(means))
    squares = graph.node("Div", graph.node("Mul", away, away), graph.constant(variances))
    total = graph.node("ReduceSum", squares, graph.constant(np.array([2])), keepdims=0)
    widths = np.log(variances).sum(axis=1)
    halves = graph.node("Mul", graph.node("Add", total, graph.constant(widths)), graph.constant(0.5))
    return graph.node("Sub", graph.constant(prior), halves)


@dataclass(frozen=True)
class Layer:
    """A layer of a perceptron: weights of shape (inputs, outputs), and biases."""

    weights: Numbers
    bias: Numbers


def perceptron(graph: Graph, x: str, layers: Sequence[Layer]) -> str:
    """Return the last layer's sums; the layers before it have logistic units."""
    for place, layer in enumerate(layers):
        x = affine(graph, logistic(graph, x) if place else x, layer.weights, layer.bias)
    return x


def nearest(graph: Graph, x: str, centers: Numbers, cosine: bool = False) -> str:
    """Return the place of the nearest center, as float64, by Euclidean or cosine distance; ties: the first.

    Differences are taken before they are squared, so that no digits are lost.
    """
    if cosine:
        lengths = graph.node("Sqrt", row_sum(graph, graph.node("Mul", x, x)))
        unit = centers / np.linalg.norm(centers, axis=1, keepdims=True)
        likeness = graph.node("Div", graph.node("MatMul", x, graph.constant(unit.T)), lengths)
        return largest(graph, likeness)
    away = graph.node("Sub", _by_row(graph, x), graph.constant(centers))
    distances = graph.node("ReduceSum", graph.node("Mul", away, away), graph.constant(np.array([2])), keepdims=0)
    return largest(graph, distances, "ArgMin")


def _by_row(graph: Graph, x: str) -> str:
    """Return rows with an axis for classes or centers."""
    return graph.node("Unsqueeze", x, graph.constant(np.array([1])))
