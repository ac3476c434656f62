"""Spark's naive Bayes, perceptrons and clusters."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from sparkwater.bundle.export.columns import features, publish, publish_classes
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.arithmetic import any_of, softmax
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import number
from sparkwater.bundle.graph.learners import Layer, gaussian_bayes, linear_bayes, nearest, perceptron


@emits("pyspark.ml.classification.NaiveBayesModel")
def classify_by_bayes(stage: Any, graph: Graph) -> None:
    """Naive Bayes of all four kinds."""
    kind, theta, prior = stage.getModelType(), stage.theta.toArray(), stage.pi.toArray()
    x = features(stage, graph, theta.shape[1])
    if kind == "gaussian":
        raw = gaussian_bayes(graph, x, theta, stage.sigma.toArray(), prior)
    else:
        accepted = _ones(graph, x) if kind == "bernoulli" else graph.node("GreaterOrEqual", x, graph.constant(0.0))
        reason = f"NaiveBayes: a feature is not {'0 or 1' if kind == 'bernoulli' else 'from 0 up'}"
        raw = linear_bayes(graph, x, kind, theta, prior)
        raw = graph.check(any_of(graph, graph.node("Not", accepted)), raw, reason)
    publish_classes(stage, graph, raw, softmax(graph, raw), len(prior))


def _ones(graph: Graph, x: str) -> str:
    """Return whether numbers are 0 or 1."""
    zero, one = (graph.node("Equal", x, graph.constant(value)) for value in (0.0, 1.0))
    return graph.node("Or", zero, one)


@emits("pyspark.ml.classification.MultilayerPerceptronClassificationModel")
def classify_by_layers(stage: Any, graph: Graph) -> None:
    """Multilayer perceptron: logistic units, and softmax at the end."""
    sizes, flat = stage.getLayers(), stage.weights.toArray()
    layers, start = [], 0
    for inputs, outputs in pairwise(sizes):
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        layers.append(Layer(flat[start:middle].reshape(inputs, outputs), flat[middle:end]))
        start = end
    raw = perceptron(graph, features(stage, graph, sizes[0]), layers)
    publish_classes(stage, graph, raw, softmax(graph, raw), sizes[-1])


@emits("pyspark.ml.clustering.KMeansModel")
def cluster(stage: Any, graph: Graph) -> None:
    """Find the nearest center."""
    centers = np.array(stage.clusterCenters(), np.float64)
    x = features(stage, graph, centers.shape[1])
    cosine = stage.getDistanceMeasure() == "cosine"
    place = nearest(graph, x, centers, cosine)
    missing = any_of(graph, graph.node("IsNaN", x))
    place = graph.check(missing, place, f"KMeans: a number is missing in {stage.getFeaturesCol()!r}")
    if cosine:
        zeros = graph.node("Not", any_of(graph, graph.node("Not", graph.node("Equal", x, graph.constant(0.0)))))
        place = graph.check(zeros, place, "KMeans: a vector of zeros has no cosine distance")
    publish(stage, graph, "predictionCol", lambda: number(place))
