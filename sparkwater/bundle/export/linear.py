"""Spark's linear models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkwater.bundle.export.columns import features, publish, publish_classes, value_of
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.arithmetic import (
    affine,
    as_double,
    complement_pair,
    flat,
    logistic,
    opposite_pair,
    rows_of,
    slice_columns,
    softmax,
)
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import number
from sparkwater.bundle.graph.links import mean_of, within_family

#: Links that a family has where none is set.
_LINKS = {"gaussian": "identity", "binomial": "logit", "poisson": "log", "gamma": "inverse"}


@emits("pyspark.ml.classification.LogisticRegressionModel")
def classify_linearly(stage: Any, graph: Graph) -> None:
    """Logistic regression: the logistic function of one margin for two classes, or softmax of one each."""
    weights = stage.coefficientMatrix.toArray()
    x = features(stage, graph, weights.shape[1])
    margins = affine(graph, x, weights.T, stage.interceptVector.toArray())
    if len(weights) > 1:
        publish_classes(stage, graph, margins, softmax(graph, margins), len(weights))
        return
    raw = opposite_pair(graph, margins)
    probability = complement_pair(graph, logistic(graph, slice_columns(graph, raw, 0, 1)))
    above = graph.node("Greater", margins, graph.constant(_margin_of(stage.getThreshold())))
    publish_classes(stage, graph, raw, probability, 2, flat(graph, as_double(graph, above)))


def _margin_of(threshold: float) -> float:
    """Return the margin of a probability."""
    if threshold in (0.0, 1.0):
        return -math.inf if threshold == 0.0 else math.inf
    return math.log(threshold / (1.0 - threshold))


@emits("pyspark.ml.regression.LinearRegressionModel")
def regress_linearly(stage: Any, graph: Graph) -> None:
    """Linear regression."""
    publish(stage, graph, "predictionCol", lambda: number(flat(graph, _predictor(stage, graph))))


@emits("sparkwater.stacking.meta_learner.LinearModel")
def weigh(stage: Any, graph: Graph) -> None:
    """Linear regression as a Spark expression, the meta-learner that Spark Connect has."""
    total = _weighted_sum(stage, graph, stage.coefficients.toArray(), stage.getIntercept())
    publish(stage, graph, "predictionCol", lambda: number(flat(graph, total)))


@emits("pyspark.ml.regression.GeneralizedLinearRegressionModel")
def regress_generalized(stage: Any, graph: Graph) -> None:
    """Generalised linear regression: a link's mean of the linear predictor."""
    eta = _predictor(stage, graph)
    offset = value_of(stage, "offsetCol")
    if offset:
        eta = graph.node("Add", eta, rows_of(graph, graph.column(offset)))
    family, link, power = stage.getFamily(), value_of(stage, "link"), None
    if family == "tweedie":
        link, power, family = _tweedie(stage)
    mean = within_family(graph, mean_of(graph, eta, link or _LINKS[family], power), family)
    publish(stage, graph, "predictionCol", lambda: number(flat(graph, mean)))
    publish(stage, graph, "linkPredictionCol", lambda: number(flat(graph, eta)))


def _tweedie(stage: Any) -> tuple[str, float, str]:
    """Return the link, its power, and the family that Tweedie's distribution of a variance power is."""
    variance = stage.getVariancePower()
    power = value_of(stage, "linkPower")
    family = {0.0: "gaussian", 1.0: "poisson", 2.0: "gamma"}.get(variance, "tweedie")
    return "power", 1.0 - variance if power is None else power, family


def _predictor(stage: Any, graph: Graph) -> str:
    """Return the linear predictor, shape (rows, 1)."""
    return _weighted_sum(stage, graph, stage.coefficients.toArray(), stage.intercept)


def _weighted_sum(stage: Any, graph: Graph, weights: npt.NDArray[np.float64], intercept: float) -> str:
    """Return the weighted sum of the features and an intercept, shape (rows, 1)."""
    x = features(stage, graph, len(weights))
    return affine(graph, x, weights[:, None], np.array([intercept]))
