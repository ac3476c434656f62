"""Measures and the search block by block, without Spark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkwater.errors import ConfigurationError
from sparkwater.ml.similarity.measures import MEASURES, Block, check_measure, paired_values, value_matrix
from sparkwater.ml.similarity.nearest import add_references, no_candidates


def plain(x, y, measure):
    """Return what the measure is, written down as plainly as NumPy lets one."""
    x, y = x.astype(np.float64)[:, None], y.astype(np.float64)[None]
    if measure == "l1":
        return np.abs(x - y).sum(axis=2)
    if measure == "l2":
        return np.sqrt(((x - y) ** 2).sum(axis=2))
    inner = (x * y).sum(axis=2)
    if measure == "inner":
        return inner
    lengths = np.linalg.norm(x, axis=2) * np.linalg.norm(y, axis=2)
    cosine = np.where(lengths == 0, 0, inner / np.where(lengths == 0, 1, lengths))
    return cosine if measure == "cosine" else cosine**2


def vectors(rows, length, seed, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((rows, length)).astype(dtype)


def block(values, ids=None):
    return Block(pa.array(np.arange(len(values)) if ids is None else ids), values)


def all_pairs(one, other, measure):
    rows, others = (index.ravel() for index in np.indices((len(one.values), len(other.values))))
    return paired_values(one, rows, other, others, measure).reshape(len(one.values), len(other.values))


def search(queries, references, measure, k):
    """Return ids and values of the neighbours found, one list a query."""
    found = no_candidates(references[0].ids.type)
    for some in references:
        found = add_references(found, queries, some, measure, k)
    ids, keys = found.ids.to_pylist(), found.keys
    values = -keys if MEASURES[measure] else keys
    per_query = [np.flatnonzero(found.rows == row) for row in range(len(queries.values))]
    return [[ids[at] for at in places] for places in per_query], [values[places].tolist() for places in per_query]


def expected(queries, references, measure, k):
    """Return what `search` must find: every exact value sorted, ties by id."""
    ids = [one for some in references for one in some.ids.to_pylist()]
    values = np.concatenate([all_pairs(queries, some, measure) for some in references], axis=1)
    keys = -values if MEASURES[measure] else values
    orders = [sorted(range(len(ids)), key=lambda at, row=row: (row[at], ids[at]))[:k] for row in keys]
    return (
        [[ids[at] for at in order] for order in orders],
        [(row[order] + 0.0).tolist() for row, order in zip(values, orders, strict=True)],
    )


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_those_of_plain_numpy(measure, dtype):
    x, y = block(vectors(30, 65, 0, dtype)), block(vectors(20, 65, 1, dtype))
    for values in (all_pairs(x, y, measure), value_matrix(x, y, measure)):
        np.testing.assert_allclose(values, plain(x.values, y.values, measure), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_pairs_value_does_not_depend_on_the_other_pairs(measure):
    x, y = block(vectors(40, 1001, 0)), block(vectors(30, 1001, 1))
    together = all_pairs(x, y, measure)
    alone = [[paired_values(x, np.array([i]), y, np.array([j]), measure)[0] for j in range(30)] for i in range(40)]
    assert together.tolist() == alone


def test_near_vectors_far_from_the_origin_keep_their_distance():
    x = 1e6 + vectors(5, 64, 0)
    y = x + 1e-3
    distances = value_matrix(block(x), block(y), "l2")
    np.testing.assert_allclose(distances, plain(x, y, "l2"), rtol=1e-12)
    assert value_matrix(block(x), block(x), "l2").diagonal().tolist() == [0.0] * 5


@pytest.mark.parametrize("measure", ["cosine", "cosine_sq"])
def test_cosine_with_a_zero_vector_is_zero(measure):
    x, zero = block(vectors(3, 4, 0)), block(np.zeros((1, 4)))
    assert value_matrix(x, zero, measure).ravel().tolist() == [0.0] * 3
    assert value_matrix(zero, zero, measure).tolist() == [[0.0]]
    assert all_pairs(zero, x, measure).ravel().tolist() == [0.0] * 3


def test_cosine_stays_between_minus_one_and_one():
    x = vectors(300, 7, 0)
    values = value_matrix(block(np.concatenate([x, -x])), block(x), "cosine")
    assert values.min() >= -1
    assert values.max() <= 1


@settings(max_examples=60, deadline=None)
@given(
    measure=st.sampled_from(sorted(MEASURES)),
    dtype=st.sampled_from([np.float32, np.float64]),
    k=st.integers(1, 12),
    blocks=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    length=st.integers(1, 5),
    levels=st.sampled_from([2, 5, 1000]),
    seed=st.integers(0, 1000),
)
def test_search_finds_what_sorting_every_value_finds(measure, dtype, k, blocks, length, levels, seed):
    random = np.random.default_rng(seed)  # few levels: many ties

    def some(rows):
        return (random.integers(-levels, levels, (rows, length)) / 8).astype(dtype)

    ids = random.permutation(sum(blocks))
    ends = np.cumsum(blocks)
    references = [block(some(rows), ids[end - rows : end]) for rows, end in zip(blocks, ends, strict=True)]
    queries = block(some(4))
    assert search(queries, references, measure, k) == expected(queries, references, measure, k)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e18, 1e30])
def test_float32_screening_loses_no_neighbour(measure, scale):
    x, y = (vectors(rows, 48, seed, np.float32) * np.float32(scale) for rows, seed in ((6, 0), (200, 1)))
    y[50:100] = y[0] * (1 + np.arange(50, dtype=np.float32)[:, None] * np.float32(1e-7))
    assert search(block(x), [block(y[:90]), block(y[90:], np.arange(90, 200))], measure, 7) == expected(
        block(x), [block(y)], measure, 7
    )


def near_ties(rows, length, dtype, seed):
    """Return vectors that differ by the last digit of their numbers: less than a matrix product's rounding."""
    random = np.random.default_rng(seed)
    digits = 1 + np.finfo(dtype).eps * random.integers(-1, 2, (rows, length))
    return ((3 + random.standard_normal(length)) * digits).astype(dtype)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_nearest_of_near_ties_are_those_of_float64(measure, dtype):
    x, y = 3 + vectors(40, 64, 9, dtype), near_ties(200, 64, dtype, 0)
    assert search(block(x), [block(y[:90]), block(y[90:], np.arange(90, 200))], measure, 10) == expected(
        block(x), [block(y)], measure, 10
    )


def test_equal_vectors_tie_and_the_smaller_id_is_nearer():
    one = vectors(1, 129, 0)
    references = [block(np.repeat(one, 3, axis=0), ids) for ids in (["d", "f", "b"], ["a", "e", "c"])]
    for measure in MEASURES:
        ids, values = search(block(one), references, measure, 4)
        assert ids == [["a", "b", "c", "d"]]
        assert len(set(values[0])) == 1


def test_rows_without_a_vector_have_no_neighbours_and_are_nobodys():
    x, y = vectors(3, 4, 0), vectors(5, 4, 1)
    x[1], y[2] = np.nan, np.nan
    ids, _ = search(block(x), [block(y)], "l2", 10)
    assert [sorted(some) for some in ids] == [[0, 1, 3, 4], [], [0, 1, 3, 4]]


def test_unknown_measure_is_refused():
    with pytest.raises(ConfigurationError, match="measure='euclid'; accepted: l1, l2, cosine, cosine_sq, inner"):
        check_measure("euclid")
