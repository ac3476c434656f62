"""Parts of graphs on plain data, against numpy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import onnxruntime
import pytest
from scipy.special import expit, log_softmax, ndtr

from sparkwater.bundle.graph import arithmetic, combining, features, learners, links
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column, number, vector
from sparkwater.bundle.graph.trees import Leaf, Split, add_trees, leaf_values

HARD = np.array([-np.inf, -1e300, -40.0, -3.0, -1e-9, -0.0, 0.0, 1e-9, 0.7, 3.0, 40.0, 1e300, np.inf, np.nan])


def scored(rows: np.ndarray, build: Callable[[Graph, str], str], width: int | None = None) -> np.ndarray:
    """Return what a part gives for rows, shape (rows,) or (rows, columns)."""
    graph = Graph({"x": number("x") if rows.ndim == 1 else vector("x", rows.shape[1])})
    output = build(graph, "x")
    model = graph.build({"y": number(output) if width is None else vector(output, width)})
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": rows})[0]


def walk(node: Leaf | Split, row: np.ndarray) -> tuple[float, ...]:
    while isinstance(node, Split):
        value = row[node.column]
        left = value <= node.threshold if node.threshold is not None else (value in node.categories) == node.listed_left
        node = node.left if left else node.right
    return node.values


TREES = [
    Leaf((5.0, 1.0)),
    Split(
        0,
        Leaf((1.0, 2.0)),
        Split(
            1,
            Split(0, Leaf((3.0, 4.0)), Leaf((9.0, 0.1)), threshold=0.2),
            Split(1, Leaf((5.0, 6.0)), Leaf((7.0, 0.3)), categories=(0.0, 2.0, 70.0), listed_left=False),
            categories=(3.0, 1.0, 0.0, 200.0),
        ),
        threshold=0.1,
    ),
]


def test_trees_take_thresholds_and_categories_exactly():
    beside = [value for one in (0.1, 0.2) for value in (one, np.nextafter(one, 1), np.nextafter(one, 0))]
    categories = [0, 1, 2, 3, 4, 2.5, 0.5, 63, 64, 65, 70, 200, 201, -1, -0.0, 2.0**40, 1e300, np.inf, np.nan]
    rows = np.array(list(product([*beside, *HARD], categories)), np.float64)
    found = scored(rows, lambda graph, x: add_trees(graph, leaf_values(graph, x, TREES), 2), 2)
    np.testing.assert_array_equal(found, [np.add(walk(TREES[0], row), walk(TREES[1], row)) for row in rows])


def test_trees_are_added_from_the_first_to_the_last():
    leaves = [Leaf((value,)) for value in (1e16, 1.0, -1e16, 0.1, 0.2, 0.3)]
    weights = [np.array([value]) for value in (1.0, 1.0, 1.0, 0.7, 0.9, 1.1)]
    build = lambda graph, x: add_trees(graph, leaf_values(graph, x, leaves, weights), 6)  # noqa: E731
    expected = 0.0
    for leaf, weight in zip(leaves, weights, strict=True):
        expected += leaf.values[0] * weight[0]
    np.testing.assert_array_equal(scored(np.zeros((2, 1)), build, 1), [[expected]] * 2)


def test_means_of_all_links():
    expected = {
        ("identity", None): lambda eta: eta,
        ("log", None): np.exp,
        ("inverse", None): lambda eta: 1.0 / eta,
        ("logit", None): expit,
        ("probit", None): ndtr,
        ("cloglog", None): lambda eta: 1.0 - np.exp(-np.exp(eta)),
        ("sqrt", None): np.square,
        ("power", 0.0): np.exp,
        ("power", 0.5): np.square,
        ("power", -1.0): lambda eta: 1.0 / eta,
        ("power", 0.3): lambda eta: eta ** (1 / 0.3),
    }
    rows = np.concatenate([HARD, np.linspace(-9, 9, 181)])[:, None]
    for (link, power), mean in expected.items():
        build = lambda graph, x, link=link, power=power: links.mean_of(graph, x, link, power)  # noqa: E731
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(scored(rows, build, 1), mean(rows), rtol=1e-13, atol=1e-14, err_msg=link)


@pytest.mark.parametrize(("family", "low"), [("binomial", 1e-16), ("poisson", 1e-16), ("gaussian", -1.79e308)])
def test_means_stay_in_the_range_of_their_family(family: str, low: float):
    found = scored(HARD[:, None], lambda graph, x: links.within_family(graph, x, family), 1).ravel()
    assert low * 1.01 <= found[0] <= low * 0.99 if low < 0 else found[0] == low
    assert (found[-2] < 1.0 + 1e-9) if family == "binomial" else found[-2] == np.finfo(np.float64).max
    assert np.isnan(found[-1])


def test_buckets_hold_their_lower_ends_and_the_last_its_upper():
    splits = np.array([-3.0, 0.0, 0.7, 3.0])
    graph = Graph({"x": number("x")})
    found = features.buckets(graph, "x", splits)
    masks = {name: Column(getattr(found, name), "number", "bool") for name in ("missing", "outside")}
    model = graph.build({"place": number(found.place), **masks})
    rows = np.array([-3.0, -1e-9, -0.0, 0.0, 5e-324, -5e-324, np.nextafter(0.7, 0.0), 0.7, 3.0, np.nan, -3.1, 3.1])
    place, missing, outside = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": rows})
    # As for Spark, whose search is Java's, -0.0 is below 0.0.
    assert place[:10].tolist() == [0, 0, 0, 1, 1, 0, 1, 2, 2, 3]
    assert missing.tolist() == [False] * 9 + [True] + [False] * 2
    assert outside.tolist() == [False] * 10 + [True] * 2


def test_rising_lines_are_constant_outside_of_their_points():
    points = ((0.1, 0.2), (0.4, 0.3), (0.5, 0.9))
    rows = np.linspace(0, 1, 41)[:, None]
    found = scored(rows, lambda graph, x: combining.rising_line(graph, x, points), 1)
    np.testing.assert_allclose(found, np.interp(rows, *zip(*points, strict=True)), atol=1e-15)
    single = scored(rows, lambda graph, x: combining.rising_line(graph, x, points[:1]), 1)
    np.testing.assert_array_equal(single, np.full((41, 1), 0.2))


def test_softmax_of_large_numbers_and_its_logarithm():
    rows = np.array([[1000.0, 999.0, -1000.0], [-1e308, 0.0, 1.0], [0.0, 0.0, 0.0]])
    expected = log_softmax(rows, axis=1)
    np.testing.assert_allclose(scored(rows, arithmetic.log_softmax, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(scored(rows, arithmetic.softmax, 3), np.exp(expected), rtol=1e-12)


@pytest.mark.parametrize(
    ("thresholds", "expected"), [(None, [1, 0, 0]), ([0.2, 0.7, 0.1], [0, 0, 2]), ([0.0, 0.5, 0.5], [0, 0, 1])]
)
def test_thresholds_decide_by_the_largest_ratio(thresholds: list[float] | None, expected: list[int]):
    rows = np.array([[0.4, 0.5, 0.1], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    rows = rows if thresholds else np.array([[0.4, 0.5, 0.1], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    found = scored(rows, lambda graph, x: arithmetic.choose_class(graph, x, x, thresholds))
    assert found.tolist() == expected


def test_nearest_centers_by_both_distances():
    centers = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    rows = np.array([[0.9, 0.1], [0.1, 0.2], [2.9, 3.0], [2.0, 1.5], [0.5, 0.0]])
    away = ((rows[:, None] - centers) ** 2).sum(axis=2)
    assert scored(rows, lambda graph, x: learners.nearest(graph, x, centers)).tolist() == away.argmin(axis=1).tolist()
    unit = rows @ (centers / np.linalg.norm(centers, axis=1, keepdims=True)).T
    found = scored(rows, lambda graph, x: learners.nearest(graph, x, centers, cosine=True))
    assert found.tolist() == unit.argmax(axis=1).tolist()
