"""Exact Shapley values of trees, in one walk through each; NumPy alone.

The value of a set of features is the tree's mean over the ways of a row: at a split of a feature of the set the row
goes its own way, at any other both ways, by the training rows on each. That is ``tree_path_dependent``, algorithm 1 of
Lundberg, Erion and Lee, Consistent Individualized Feature Attribution for Tree Ensembles, arXiv:1802.03888 (2018).

A leaf's part of it is a product over the features on its path: 1 or 0 where the row's own way is known, else the share
of the training rows that stay on the path. Shapley values of a game are integrals of the derivatives of its
multilinear extension along the diagonal (Owen, Multilinear Extensions of Games, Management Science 18 (1972)). Here the
integrand is a polynomial of a degree below the number of features on the path, so Gauss-Legendre nodes of half that
number are exact. Algorithm 2 of Lundberg et al. gives the same numbers; here no feature is taken out of a sum again, so
that deep paths lose no digits, and a split costs as much at any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.stages.saved_trees import SavedLeaf, SavedSplit

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Leaf:
    """A leaf: what it adds to the output."""

    value: float


@dataclass(frozen=True)
class Split:
    """A split.

    Attributes
    ----------
    saved : SavedSplit
        Which rows go left.
    left, right : Leaf or Split
        Branches.
    share : float
        Share of the training rows that go left.
    """

    saved: SavedSplit
    left: Leaf | Split
    right: Leaf | Split
    share: float

    def goes_left(self, x: Numbers) -> Flags:
        """Return which rows of ``(rows, features)`` go left."""
        values = x[:, self.saved.column]
        if self.saved.threshold is not None:
            return values <= self.saved.threshold
        listed: Flags = np.isin(values, self.saved.categories)
        return listed == self.saved.listed_left


@dataclass(frozen=True)
class _Known:
    """A feature on the way to a node.

    Attributes
    ----------
    own : numpy.ndarray
        Whether each row stays on the way by itself, ``(rows,)``.
    share : float
        Share of the training rows that stay on it.
    """

    own: Flags
    share: float

    def factors(self, places: Numbers) -> Numbers:
        """Return the factors of rows that leave the way, and of those that stay on it, ``(2, places)``."""
        return np.stack([(1 - places) * self.share, places + (1 - places) * self.share])

    def slopes(self, factors: Numbers) -> Numbers:
        """Return the factor's derivative divided by it; 0 where it is 0, as is the way's part of the output then."""
        change = np.array([[-self.share], [1 - self.share]])
        return np.divide(change, factors, out=np.zeros_like(factors), where=factors > 0)


@dataclass(frozen=True)
class Tree:
    """A tree.

    Attributes
    ----------
    root : Leaf or Split
        Its root.
    features : int
        Different features on a path, at most.
    depth : int
        Splits on a path, at most.
    """

    root: Leaf | Split
    features: int
    depth: int

    @property
    def base(self) -> float:
        """The value of the empty set: the mean over all ways."""
        return _mean(self.root)

    @property
    def row_bytes(self) -> int:
        """Memory of a row during the walk: a few numbers for each node of the integral and each split on the path."""
        return (self.depth + 1) * (24 * self.nodes + 4)

    @property
    def nodes(self) -> int:
        """Nodes of the integral."""
        return max(1, (self.features + 1) // 2)

    def add_contributions(self, x: Numbers, total: Numbers) -> None:
        """Add the Shapley values of rows ``(rows, features)``, float64, to an array of the same shape."""
        rule: Any = np.polynomial.legendre.leggauss  # it has no types
        places, weights = rule(self.nodes)
        walk = _Walk(x, total, (places + 1) / 2)
        walk.visit(self.root, np.broadcast_to(weights / 2, (len(x), self.nodes)), {})


@dataclass(frozen=True)
class _Walk:
    """A walk through a tree with some rows.

    Attributes
    ----------
    x, total : numpy.ndarray
        The rows, and their contributions so far, ``(rows, features)``.
    places : numpy.ndarray
        Nodes of the integral between 0 and 1.
    """

    x: Numbers
    total: Numbers
    places: Numbers

    def visit(self, node: Leaf | Split, product: Numbers, known: Mapping[int, _Known]) -> Numbers:
        """Return the sum over the leaves below a node of value and factors on the way, ``(rows, places)``.

        Parameters
        ----------
        node : Leaf or Split
            The node.
        product : numpy.ndarray
            The factors on the way to it, with the weight of the integral's node.
        known : mapping of int to _Known
            The features on the way.
        """
        if isinstance(node, Leaf):
            return node.value * product
        left = node.goes_left(self.x)
        return self._branch(node, left, node.left, node.share, product, known) + self._branch(
            node, ~left, node.right, 1 - node.share, product, known
        )

    def _branch(
        self,
        split: Split,
        goes: Flags,
        child: Leaf | Split,
        share: float,
        product: Numbers,
        known: Mapping[int, _Known],
    ) -> Numbers:
        column = split.saved.column
        before = known.get(column)
        after = _Known(goes if before is None else before.own & goes, share * (1.0 if before is None else before.share))
        factors = after.factors(self.places)
        slopes = after.slopes(factors)
        if before is None:
            case, ratios, changes = after.own.astype(np.intp), factors, slopes
        else:
            # Rows that left the way before, leave it here, or stay on it. The earlier slope goes, the new one comes.
            case = before.own.astype(np.intp) + after.own
            pairs = ([0, 1, 1], [0, 0, 1])
            old = before.factors(self.places)
            ratios = np.divide(
                factors[pairs[1]], old[pairs[0]], out=np.zeros((3, len(self.places))), where=old[pairs[0]] > 0
            )
            changes = slopes[pairs[1]] - before.slopes(old)[pairs[0]]
        below = self.visit(child, product * np.take(ratios, case, axis=0), {**known, column: after})
        self.total[:, column] += np.einsum("rq,rq->r", below, np.take(changes, case, axis=0))
        return below


def _mean(node: Leaf | Split) -> float:
    if isinstance(node, Leaf):
        return node.value
    return node.share * _mean(node.left) + (1 - node.share) * _mean(node.right)


def read_tree(
    root: SavedLeaf | SavedSplit,
    value: Callable[[SavedLeaf], float],
    rows: Callable[[SavedLeaf | SavedSplit], float],
) -> Tree:
    """Return a tree with what its leaves add to the output.

    Parameters
    ----------
    root : SavedLeaf or SavedSplit
        The tree.
    value : callable
        From a leaf to what it adds to the output.
    rows : callable
        From a node to the training rows in it, by weight.
    """
    paths: list[list[int]] = []

    def read(node: SavedLeaf | SavedSplit, way: list[int]) -> Leaf | Split:
        if isinstance(node, SavedLeaf):
            paths.append(way)
            return Leaf(value(node))
        left, right = rows(node.left), rows(node.right)
        # Splits without any weight tell nothing of the ways.
        share = left / (left + right) if left + right else 0.5
        branches = [read(branch, [*way, node.column]) for branch in (node.left, node.right)]
        return Split(node, branches[0], branches[1], share)

    return Tree(read(root, []), max(len(set(way)) for way in paths), max(map(len, paths)))
