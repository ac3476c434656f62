"""Shapley values of trees against their definition, and against another implementation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pytest

from sparkwater.conversions.stages.saved_trees import SavedLeaf, SavedSplit
from sparkwater.ml.explanations.tree_paths import Tree, read_tree

Node = SavedLeaf | SavedSplit


def grown(random: np.random.Generator, depth: int, columns: int, rows: float = 1.0) -> Node:
    """Return a random tree, where features come up again below themselves; statistics are the rows in a node."""
    if depth == 0 or (depth < 3 and random.random() < 0.2):
        return SavedLeaf(float(random.normal()), (rows,))
    share = random.uniform(0.02, 0.98)
    left, right = (grown(random, depth - 1, columns, rows * part) for part in (share, 1 - share))
    column = int(random.integers(columns))
    if column % 2:
        return SavedSplit(
            column, left, right, (rows,), None, tuple(random.permutation(4)[:2] + 0.0), random.random() < 0.5
        )
    return SavedSplit(column, left, right, (rows,), float(random.normal()))


def expected(node: Node, x: np.ndarray, known: frozenset[int]) -> float:
    """Return the mean output where some features are known: algorithm 1 of Lundberg, Erion and Lee."""
    if isinstance(node, SavedLeaf):
        return node.prediction
    if node.column in known:
        value = x[node.column]
        holds = value <= node.threshold if node.threshold is not None else value in node.categories
        return expected(node.left if holds == node.listed_left else node.right, x, known)
    left, right = node.left.statistics[0], node.right.statistics[0]
    if not left + right:
        left = right = 1.0
    return (left * expected(node.left, x, known) + right * expected(node.right, x, known)) / (left + right)


def defined(value: Callable[[frozenset[int]], float], players: int) -> np.ndarray:
    """Return the Shapley values of a game, set by set (Shapley 1953)."""
    found = np.zeros(players)
    for player in range(players):
        others = [other for other in range(players) if other != player]
        for size in range(players):
            factor = math.factorial(size) * math.factorial(players - 1 - size) / math.factorial(players)
            for chosen in map(frozenset, itertools.combinations(others, size)):
                found[player] += factor * (value(chosen | {player}) - value(chosen))
    return found


def read(root: Node) -> Tree:
    return read_tree(root, lambda leaf: leaf.prediction, lambda node: node.statistics[0])


@pytest.mark.parametrize("seed", range(6))
def test_values_are_those_of_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    root = grown(random, depth=5, columns=6)
    x = np.where(np.arange(6) % 2, random.integers(0, 4, (20, 6)), random.normal(size=(20, 6)))
    x[0, 0] = math.nan
    tree, found = read(root), np.zeros((20, 6))
    tree.add_contributions(x, found)
    for row, given in zip(x, found, strict=True):
        np.testing.assert_allclose(given, defined(lambda known, row=row: expected(root, row, known), 6), atol=1e-12)
        whole = expected(root, row, frozenset(range(6)))
        assert given.sum() + tree.base == pytest.approx(whole, abs=1e-12)


def chain(shares: np.ndarray, columns: list[int]) -> Node:
    """Return a tree that goes on to the right alone: there is a share of the rows."""
    node: Node = SavedLeaf(1.0, (float(np.prod(shares)),))
    for at in reversed(range(len(shares))):
        rows = float(np.prod(shares[:at]))
        left = SavedLeaf(0.0, (rows * (1 - shares[at]),))
        node = SavedSplit(columns[at], left, node, (rows,), 0.0)
    return node


def test_deep_paths_lose_no_digits() -> None:
    """Thirty features whose shares go down to 1e-9; a recursion that takes features out again divides by them."""
    random = np.random.default_rng(3)
    shares = 10.0 ** random.uniform(-9, 0, 30)
    shares[-1] = 0.0  # no training row went there
    x = np.vstack([np.ones(30), random.choice([-1.0, 1.0], (5, 30))])
    tree, found = read(chain(shares, list(range(30)))), np.zeros((6, 30))
    tree.add_contributions(x, found)
    assert tree.base == 0.0
    np.testing.assert_allclose(found.sum(axis=1), (x > 0).all(axis=1), atol=1e-14)
    few, columns = shares[-9:], [0, 1, 2, 3, 1, 4, 0, 5, 6]
    root, small = chain(few, columns), np.zeros((6, 7))
    read(root).add_contributions(x[:, :7], small)
    for row, given in zip(x, small, strict=True):
        np.testing.assert_allclose(given, defined(lambda known, row=row: expected(root, row, known), 7), atol=1e-14)


def from_lightgbm(node: dict[str, Any]) -> Node:
    if "leaf_value" in node:
        return SavedLeaf(node["leaf_value"], (float(node["leaf_count"]),))
    left, right = from_lightgbm(node["left_child"]), from_lightgbm(node["right_child"])
    return SavedSplit(node["split_feature"], left, right, (float(node["internal_count"]),), node["threshold"])


def test_deep_boosted_trees_agree_with_lightgbm() -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(600, 8))
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + 0.1 * random.normal(size=600)
    settings = {"num_leaves": 60, "min_data_in_leaf": 2, "num_threads": 1, "verbose": -1, "seed": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), num_boost_round=12)
    trees = [read(from_lightgbm(tree["tree_structure"])) for tree in booster.dump_model()["tree_info"]]
    found = np.zeros((40, 8))
    for tree in trees:
        tree.add_contributions(x[:40], found)
    assert max(tree.features for tree in trees) >= 6
    theirs = booster.predict(x[:40], pred_contrib=True)
    np.testing.assert_allclose(found, theirs[:, :8], atol=1e-9)
    assert sum(tree.base for tree in trees) == pytest.approx(theirs[0, 8], abs=1e-9)
