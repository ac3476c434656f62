"""Exact Shapley values of trees, path by path; NumPy alone.

The value of a set of features is the tree's mean over the ways of a row: at a split of a feature of the set the row
goes its own way, at any other both ways, by the training rows on each. That is ``tree_path_dependent``, algorithm 1 of
Lundberg, Erion and Lee, Consistent Individualized Feature Attribution for Tree Ensembles, arXiv:1802.03888 (2018).

A leaf's part of it is a product over the features on its path: 1 or 0 where the row's own way is known, else the share
of the training rows that stay on the path. Shapley values of a game are integrals of the derivatives of its
multilinear extension along the diagonal (Owen, Multilinear Extensions of Games, Management Science 18 (1972)). Here the
integrand is a polynomial of a degree below the number of features on the path, so Gauss-Legendre nodes of half that
number are exact. Algorithm 2 of Lundberg et al. gives the same numbers; here nothing is subtracted, so that deep paths
lose no digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.stages.saved_trees import SavedLeaf, SavedSplit

if TYPE_CHECKING:
    from collections.abc import Callable

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Of a feature on a way: the splits, each with whether its condition must hold, and the share of the training rows that
#: stay on the way at them.
Step = tuple[tuple[tuple[int, bool], ...], float]


@dataclass(frozen=True)
class Condition:
    """The way that a row goes at a split.

    Attributes
    ----------
    column : int
        Place of the feature.
    threshold : float or None
        Values up to it fulfil the condition, NaN doesn't; None for categories.
    categories : tuple of float
        Categories that fulfil it.
    """

    column: int
    threshold: float | None
    categories: tuple[float, ...]

    def holds(self, x: Numbers) -> Flags:
        """Return which rows of ``(rows, features)`` fulfil it."""
        values = x[:, self.column]
        if self.threshold is None:
            return np.isin(values, self.categories)
        return values <= self.threshold


@dataclass(frozen=True)
class Path:
    """A leaf, and the way to it.

    Attributes
    ----------
    value : float
        What the leaf adds to the output.
    steps : mapping of int to Step
        The features on the way.
    """

    value: float
    steps: Mapping[int, Step]

    @property
    def shares(self) -> list[float]:
        """The features' shares, in their order."""
        return [share for _, share in self.steps.values()]


@dataclass(frozen=True)
class Tree:
    """A tree as its conditions and paths."""

    conditions: tuple[Condition, ...]
    paths: tuple[Path, ...]

    @property
    def base(self) -> float:
        """The value of the empty set: the mean over all ways."""
        return math.fsum(path.value * math.prod(path.shares) for path in self.paths)

    def add_contributions(self, x: Numbers, total: Numbers) -> None:
        """Add the Shapley values of rows ``(rows, features)``, float64, to an array of the same shape."""
        held = np.array([condition.holds(x) for condition in self.conditions]).reshape(len(self.conditions), len(x))
        for path in self.paths:
            if path.steps and path.value:
                own = np.array([_all_hold(held, splits) for splits, _ in path.steps.values()])
                total[:, list(path.steps)] += path.value * _path_contributions(own, np.array(path.shares))


def _all_hold(held: Flags, splits: Sequence[tuple[int, bool]]) -> Flags:
    first, *rest = (held[number] == wanted for number, wanted in splits)
    for one in rest:
        first = first & one
    return first


def _path_contributions(own: Flags, shares: Numbers) -> Numbers:
    """Return the Shapley values of a product game, ``(rows, features)``, for factors ``(features, rows)`` and shares.

    They depend on which factors are 1 alone, so each pattern is computed once.
    """
    bits = np.left_shift(1, np.arange(len(shares), dtype=np.int64)) @ own
    patterns, places = np.unique(bits, return_inverse=True)
    ones = (patterns[:, None] >> np.arange(len(shares)) & 1).astype(np.float64)
    found = product_game(ones, shares)
    return found[places]


def product_game(ones: Numbers, shares: Numbers) -> Numbers:
    """Return the Shapley values of games whose value is a product over the players.

    Parameters
    ----------
    ones : numpy.ndarray
        Factors of the players in the set, ``(games, players)``.
    shares : numpy.ndarray
        Factors of those that aren't, ``(players,)``.
    """
    players = len(shares)
    found = np.zeros_like(ones)
    for place, weight in _nodes((players + 1) // 2):
        factors = place * ones + (1 - place) * shares
        # The product of the others, without a division: a factor may be 0.
        before, after = np.ones_like(factors), np.ones_like(factors)
        before[:, 1:] = np.cumprod(factors[:, :-1], axis=1)
        after[:, :-1] = np.cumprod(factors[:, :0:-1], axis=1)[:, ::-1]
        found += weight * before * after
    return (ones - shares) * found


@lru_cache
def _nodes(count: int) -> list[tuple[float, float]]:
    """Return the nodes of Gauss and Legendre between 0 and 1, with their weights."""
    rule: Any = np.polynomial.legendre.leggauss  # it has no types
    places, weights = rule(count)
    return list(zip(((places + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


@dataclass
class _Reading:
    """A tree that is being read."""

    value: Callable[[SavedLeaf], float]
    rows: Callable[[SavedLeaf | SavedSplit], float]
    conditions: list[Condition] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def follow(self, node: SavedLeaf | SavedSplit, steps: Mapping[int, Step]) -> None:
        """Add the paths through a node."""
        if isinstance(node, SavedLeaf):
            self.paths.append(Path(self.value(node), steps))
            return
        number = len(self.conditions)
        self.conditions.append(Condition(node.column, node.threshold, node.categories))
        splits, share = steps.get(node.column, ((), 1.0))
        left, right = self.rows(node.left), self.rows(node.right)
        total = left + right
        for branch, rows, listed in ((node.left, left, True), (node.right, right, False)):
            # Splits without any weight tell nothing of the ways.
            part = rows / total if total else 0.5
            step = ((*splits, (number, listed == node.listed_left)), share * part)
            self.follow(branch, {**steps, node.column: step})


def read_tree(
    root: SavedLeaf | SavedSplit,
    value: Callable[[SavedLeaf], float],
    rows: Callable[[SavedLeaf | SavedSplit], float],
) -> Tree:
    """Return a tree as its paths.

    Parameters
    ----------
    root : SavedLeaf or SavedSplit
        The tree.
    value : callable
        From a leaf to what it adds to the output.
    rows : callable
        From a node to the training rows in it, by weight.
    """
    reading = _Reading(value, rows)
    reading.follow(root, {})
    return Tree(tuple(reading.conditions), tuple(reading.paths))
