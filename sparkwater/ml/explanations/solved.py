"""Models whose Shapley values are known without sampling: linear ones and trees; their own numbers as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from pyspark.ml.classification import (
    DecisionTreeClassificationModel,
    GBTClassificationModel,
    LinearSVCModel,
    LogisticRegressionModel,
    RandomForestClassificationModel,
)
from pyspark.ml.regression import (
    DecisionTreeRegressionModel,
    GBTRegressionModel,
    GeneralizedLinearRegressionModel,
    LinearRegressionModel,
    RandomForestRegressionModel,
)

from sparkwater.conversions.stages.saved_trees import SavedLeaf, SavedSplit, saved_trees
from sparkwater.ml.explanations.tree_paths import Numbers, Tree, read_tree

LINEAR = (LinearRegressionModel, GeneralizedLinearRegressionModel, LogisticRegressionModel, LinearSVCModel)

_SHARED = (DecisionTreeClassificationModel, RandomForestClassificationModel)
_BOOSTED = (GBTRegressionModel, GBTClassificationModel)

TREES = (*_SHARED, *_BOOSTED, DecisionTreeRegressionModel, RandomForestRegressionModel)


@dataclass(frozen=True)
class Linear:
    """A linear model over a background.

    Attributes
    ----------
    coefficients, means : numpy.ndarray
        One a feature, float64.
    intercept : float
        The intercept.
    """

    coefficients: Numbers
    means: Numbers
    intercept: float

    @property
    def base(self) -> float:
        """The output at the means."""
        return float(self.coefficients @ self.means) + self.intercept

    @property
    def row_bytes(self) -> int:
        """Memory that a row takes beside its numbers."""
        return 0

    def contributions(self, x: Numbers) -> Numbers:
        """Return the Shapley values of rows ``(rows, features)``, of the same shape."""
        return self.coefficients * (x - self.means)


@dataclass(frozen=True)
class Trees:
    """A sum of trees."""

    trees: tuple[Tree, ...]

    @property
    def base(self) -> float:
        """The output where no feature is known."""
        return float(sum(tree.base for tree in self.trees))

    @property
    def row_bytes(self) -> int:
        """Memory that a row takes beside its numbers, in the walk through one tree."""
        return max(tree.row_bytes for tree in self.trees)

    def contributions(self, x: Numbers) -> Numbers:
        """Return the Shapley values of rows ``(rows, features)``, of the same shape."""
        total = np.zeros_like(x)
        for tree in self.trees:
            tree.add_contributions(x, total)
        return total


def read_linear(model: Any, index: int | None, means: Numbers) -> Linear:
    """Return a linear model, or its margin for a class.

    Parameters
    ----------
    model : pyspark.ml.Model
        One of `LINEAR`.
    index : int or None
        The class, for classifiers.
    means : numpy.ndarray
        Means of the features in the background.
    """
    # Two classes have one line of coefficients, or with family="multinomial" one each.
    if isinstance(model, LogisticRegressionModel) and model.coefficientMatrix.numRows > 1:
        weights, intercepts = model.coefficientMatrix.toArray(), model.interceptVector.toArray()
        return Linear(weights[index], means, float(intercepts[index]))
    # Of two classes the first has the opposite margin.
    sign = -1.0 if index == 0 else 1.0
    return Linear(sign * model.coefficients.toArray(), means, sign * float(model.intercept))


def read_trees(model: Any, index: int | None) -> Trees:
    """Return a model's trees with what their leaves add to its output, or to that of a class.

    Parameters
    ----------
    model : pyspark.ml.Model
        One of `TREES`; it is saved and read.
    index : int or None
        The class, for classifiers.
    """
    saved = saved_trees(model)
    if isinstance(model, _SHARED):
        assert index is not None  # a classifier's
        value = partial(_share, index, len(saved))
        return Trees(tuple(read_tree(tree, value, _all_classes) for tree in saved))
    if isinstance(model, _BOOSTED):
        sign = -1.0 if index == 0 else 1.0
        factors = [sign * weight for weight in model.treeWeights]
    else:
        factors = [1.0 / len(saved)] * len(saved)
    each = zip(saved, factors, strict=True)
    return Trees(tuple(read_tree(tree, partial(_prediction, factor), _weight) for tree, factor in each))


def _share(index: int, trees: int, leaf: SavedLeaf) -> float:
    """Return the share of a class in a leaf, divided by the number of trees."""
    total = sum(leaf.statistics)
    return leaf.statistics[index] / total / trees if total else 0.0


def _prediction(factor: float, leaf: SavedLeaf) -> float:
    return factor * leaf.prediction


def _all_classes(node: SavedLeaf | SavedSplit) -> float:
    return sum(node.statistics)


def _weight(node: SavedLeaf | SavedSplit) -> float:
    return node.statistics[0]
