"""Trees: leaves by ``TreeEnsemble`` of ai.onnx.ml 5, whose thresholds are doubles.

The operator's leaves hold one number. So each tree is a target of its own, which gives the place of the row's leaf in
a table of all leaves; what leaves hold is then gathered, and added tree by tree, in the order of the trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sparkwater.bundle.graph.arithmetic import Numbers

if TYPE_CHECKING:
    from sparkwater.bundle.graph.builder import Graph

#: Comparisons of ``TreeEnsemble``: at most the threshold, and equal to it.
_AT_MOST, _EQUAL = 0, 4

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
        Place in the vector of features.
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
    leaf_tree: list[int] = field(default_factory=list)
    table: list[tuple[float, ...]] = field(default_factory=list)

    def add_tree(self, tree: Leaf | Split) -> None:
        place = len(self.roots)
        if isinstance(tree, Leaf):  # The operator has no tree without a split.
            tree = Split(0, tree, tree, threshold=0.0)
        self.roots.append(self._add_split(tree, place))

    def _add_split(self, split: Split, tree: int) -> int:
        if split.threshold is not None:
            place = self._reserve(split.column, _AT_MOST, [split.threshold])
            self._link([place], self._add(split.left, tree), self._add(split.right, tree))
            return place
        place = self._reserve(split.column, _EQUAL, split.categories)
        listed, others = (split.left, split.right) if split.listed_left else (split.right, split.left)
        chain = list(range(place, place + len(split.categories)))
        self._link(chain, self._add(listed, tree), self._add(others, tree))
        return place

    def _reserve(self, column: int, mode: int, values: Sequence[float]) -> int:
        place = len(self.column)
        for value in values:
            self.column.append(column)
            self.mode.append(mode)
            self.threshold.append(value)
        for branch in (self.yes, self.yes_is_leaf, self.no, self.no_is_leaf):
            branch.extend([0] * len(values))
        return place

    def _link(self, chain: Sequence[int], yes: tuple[int, int], no: tuple[int, int]) -> None:
        """Join comparisons: each yes leads to one branch, the no of the last one to the other."""
        for place, following in zip(chain, [*chain[1:], None], strict=True):
            self.yes[place], self.yes_is_leaf[place] = yes
            self.no[place], self.no_is_leaf[place] = no if following is None else (following, 0)

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
        x,
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
        leaf_targetids=nodes.leaf_tree,
        leaf_weights=np.arange(len(nodes.table), dtype=np.float64),
    )
    by_tree = graph.node("Cast", graph.node("Transpose", places, perm=[1, 0]), to=7)
    return graph.node("Gather", graph.constant(table), by_tree, axis=0)


def add_trees(graph: Graph, values: str, trees: int) -> str:
    """Return the sum over the trees, from the first to the last, shape (rows, values)."""
    first = graph.constant(np.int64(0))
    sums = graph.node("CumSum", values, first) if trees > 1 else values
    return graph.node("Gather", sums, graph.constant(np.int64(trees - 1)), axis=0)
