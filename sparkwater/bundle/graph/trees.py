"""Trees: leaves by ``TreeEnsemble`` of ai.onnx.ml 5, whose thresholds are doubles.

The operator's leaves hold one number. So each tree is a target of its own, which gives the place of the row's leaf in
a table of all leaves; what leaves hold is then gathered, and added tree by tree, in the order of the trees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sparkwater.bundle.graph.arithmetic import Numbers, slice_columns

if TYPE_CHECKING:
    from sparkwater.bundle.graph.builder import Graph

#: Comparisons of ``TreeEnsemble``: at most the threshold, and member of a set.
_AT_MOST, _MEMBER = 0, 6

#: Sum of the trees' targets, and no transform afterwards.
_SUM, _NO_TRANSFORM = 1, 0


@dataclass(frozen=True)
class Leaf:
    """A leaf: what it holds, one number for regression, else one a class."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Split:
    """A split.

    Attributes
    ----------
    column : int
        Place in the vector of features; a column is split by threshold, or by categories, in all trees.
    left, right : Leaf or Split
        Branches.
    threshold : float or None
        Values up to it go left, NaN goes right; None for categories.
    categories : tuple of float
        Categories that go one way; all other values, NaN too, go the other.
    listed_left : bool
        Whether the categories go left.
    """

    column: int
    left: Leaf | Split
    right: Leaf | Split
    threshold: float | None = None
    categories: tuple[float, ...] = ()
    listed_left: bool = True


@dataclass
class _Nodes:
    """Nodes and leaves of all trees, as the operator's attributes have them."""

    column: list[int] = field(default_factory=list)
    mode: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    yes_is_leaf: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    no_is_leaf: list[int] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    table: list[tuple[float, ...]] = field(default_factory=list)

    def add_tree(self, tree: Leaf | Split) -> None:
        place = len(self.roots)
        if isinstance(tree, Leaf):  # The operator has no tree without a split.
            tree = Split(0, tree, tree, threshold=0.0)
        self.roots.append(self._add_split(tree, place))

    def _add_split(self, split: Split, tree: int) -> int:
        place = len(self.column)
        self.column.append(split.column)
        self.mode.append(_MEMBER if split.threshold is None else _AT_MOST)
        self.threshold.append(split.threshold or 0.0)
        if split.threshold is None:
            # Sets end with NaN.
            self.members += [*split.categories, math.nan]
        for branch in (self.yes, self.yes_is_leaf, self.no, self.no_is_leaf):
            branch.append(0)
        yes, no = (split.left, split.right) if split.listed_left else (split.right, split.left)
        self.yes[place], self.yes_is_leaf[place] = self._add(yes, tree)
        self.no[place], self.no_is_leaf[place] = self._add(no, tree)
        return place

    def _add(self, node: Leaf | Split, tree: int) -> tuple[int, int]:
        if isinstance(node, Split):
            return self._add_split(node, tree), 0
        self.table.append(node.values)
        self.leaf_tree.append(tree)
        return len(self.table) - 1, 1


def leaf_values(graph: Graph, x: str, trees: Sequence[Leaf | Split], scale: Sequence[Numbers] | None = None) -> str:
    """Return what the row's leaves hold, shape (trees, rows, values).

    Parameters
    ----------
    graph : Graph
        The graph.
    x : str
        Features, float64.
    trees : sequence of Leaf or Split
        The trees.
    scale : sequence of numpy.ndarray or None
        For each tree the factors of what its leaves hold.
    """
    nodes = _Nodes()
    for tree in trees:
        nodes.add_tree(tree)
    table = np.array(nodes.table, np.float64)
    if scale is not None:
        table = table * np.array(scale, np.float64)[nodes.leaf_tree]
    places = graph.node(
        "TreeEnsemble",
        _whole_categories(graph, x, nodes),
        domain="ai.onnx.ml",
        aggregate_function=_SUM,
        post_transform=_NO_TRANSFORM,
        n_targets=len(trees),
        nodes_featureids=nodes.column,
        nodes_modes=np.array(nodes.mode, np.uint8),
        nodes_splits=np.array(nodes.threshold, np.float64),
        nodes_truenodeids=nodes.yes,
        nodes_trueleafs=nodes.yes_is_leaf,
        nodes_falsenodeids=nodes.no,
        nodes_falseleafs=nodes.no_is_leaf,
        tree_roots=nodes.roots,
        membership_values=np.array(nodes.members, np.float64) if nodes.members else None,
        leaf_targetids=nodes.leaf_tree,
        leaf_weights=np.arange(len(nodes.table), dtype=np.float64),
    )
    by_tree = graph.node("Cast", graph.node("Transpose", places, perm=[1, 0]), to=7)
    return graph.node("Gather", graph.constant(table), by_tree, axis=0)


def _whole_categories(graph: Graph, x: str, nodes: _Nodes) -> str:
    """Return features with -1, which is in no set, for fractions in columns of categories.

    onnxruntime looks sets up by whole numbers: it would take 2.5 for 2.
    """
    columns = {column for column, mode in zip(nodes.column, nodes.mode, strict=True) if mode == _MEMBER}
    if not columns:
        return x
    size = max(nodes.column) + 1
    others = np.array([column not in columns for column in range(size)])
    head = slice_columns(graph, x, 0, size)
    kept = graph.node("Or", graph.node("Equal", head, graph.node("Floor", head)), graph.constant(others))
    return graph.node("Where", kept, head, graph.constant(-1.0))


def add_trees(graph: Graph, values: str, trees: int) -> str:
    """Return the sum over the trees, from the first to the last, shape (rows, values)."""
    first = graph.constant(np.int64(0))
    sums = graph.node("CumSum", values, first) if trees > 1 else values
    return graph.node("Gather", sums, graph.constant(np.int64(trees - 1)), axis=0)
