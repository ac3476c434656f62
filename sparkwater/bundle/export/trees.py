"""Spark's trees, forests and boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparkwater.bundle.export.columns import features, publish, publish_classes
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.arithmetic import (
    complement_pair,
    flat,
    logistic,
    normalized,
    opposite_pair,
    slice_columns,
)
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import number
from sparkwater.bundle.graph.trees import Leaf, Split, add_trees, leaf_values
from sparkwater.conversions.stages.saved_trees import SavedLeaf, SavedSplit, saved_trees


def _trees(stage: Any, classification: bool) -> list[Leaf | Split]:
    """Return a model's trees, in their order; leaves hold the weights of the classes, or a prediction."""
    return [_emitted(tree, classification) for tree in saved_trees(stage)]


def _emitted(node: SavedLeaf | SavedSplit, classification: bool) -> Leaf | Split:
    if isinstance(node, SavedLeaf):
        return Leaf(node.statistics if classification else (node.prediction,))
    left, right = (_emitted(branch, classification) for branch in (node.left, node.right))
    return Split(node.column, left, right, node.threshold, node.categories, node.listed_left)


@emits("pyspark.ml.classification.DecisionTreeClassificationModel")
def classify_by_tree(stage: Any, graph: Graph) -> None:
    """Weights of the classes in a leaf."""
    trees = _trees(stage, classification=True)
    raw = add_trees(graph, leaf_values(graph, features(stage, graph, stage.numFeatures), trees), 1)
    publish_classes(stage, graph, raw, normalized(graph, raw), stage.numClasses)


@emits("pyspark.ml.classification.RandomForestClassificationModel")
def classify_by_forest(stage: Any, graph: Graph) -> None:
    """Sum of the trees' probabilities."""
    trees = [_shares(tree) for tree in _trees(stage, classification=True)]
    raw = add_trees(graph, leaf_values(graph, features(stage, graph, stage.numFeatures), trees), len(trees))
    publish_classes(stage, graph, raw, normalized(graph, raw), stage.numClasses)


def _shares(node: Leaf | Split) -> Leaf | Split:
    """Return a tree whose leaves hold shares of the classes; a leaf without weight holds zeros."""
    if isinstance(node, Split):
        return Split(
            node.column, _shares(node.left), _shares(node.right), node.threshold, node.categories, node.listed_left
        )
    total = sum(node.values)
    return Leaf(tuple(value / total for value in node.values)) if total else node


@emits("pyspark.ml.classification.GBTClassificationModel")
def classify_by_boosting(stage: Any, graph: Graph) -> None:
    """Weighted sum of trees as the margin of two classes."""
    raw = opposite_pair(graph, _boosted(stage, graph))
    doubled = graph.node("Mul", slice_columns(graph, raw, 0, 1), graph.constant(2.0))
    publish_classes(stage, graph, raw, complement_pair(graph, logistic(graph, doubled)), 2)


@emits("pyspark.ml.regression.DecisionTreeRegressionModel")
def regress_by_tree(stage: Any, graph: Graph) -> None:
    """Prediction of a leaf."""
    trees = _trees(stage, classification=False)
    total = add_trees(graph, leaf_values(graph, features(stage, graph, stage.numFeatures), trees), 1)
    publish(stage, graph, "predictionCol", lambda: number(flat(graph, total)))


@emits("pyspark.ml.regression.RandomForestRegressionModel")
def regress_by_forest(stage: Any, graph: Graph) -> None:
    """Mean of the trees."""
    trees = _trees(stage, classification=False)
    total = add_trees(graph, leaf_values(graph, features(stage, graph, stage.numFeatures), trees), len(trees))
    mean = graph.node("Div", total, graph.constant(float(len(trees))))
    publish(stage, graph, "predictionCol", lambda: number(flat(graph, mean)))


@emits("pyspark.ml.regression.GBTRegressionModel")
def regress_by_boosting(stage: Any, graph: Graph) -> None:
    """Weighted sum of trees."""
    publish(stage, graph, "predictionCol", lambda: number(flat(graph, _boosted(stage, graph))))


def _boosted(stage: Any, graph: Graph) -> str:
    trees = _trees(stage, classification=False)
    weights = [np.array([weight]) for weight in stage.treeWeights]
    leaves = leaf_values(graph, features(stage, graph, stage.numFeatures), trees, weights)
    return add_trees(graph, leaves, len(trees))
