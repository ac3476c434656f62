from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sparkwater.gpu.rows.plan import EpochPlan, plan_epoch

ROWS = st.one_of(
    st.lists(st.integers(0, 200), min_size=1, max_size=8),
    st.integers(1, 60).map(lambda tenth: [tenth, 9 * tenth]),
    st.tuples(st.integers(1, 8), st.integers(1, 50)).map(lambda pair: [pair[1]] * pair[0]),
).filter(any)
BATCH = st.one_of(st.integers(1, 64), st.integers(65, 5000))
SEED = st.integers(0, 2**63 - 1)
EPOCH = st.integers(0, 1000)

quick = settings(max_examples=150, deadline=None, database=None, derandomize=True)


@quick
@given(ROWS, BATCH, SEED, EPOCH)
def test_every_row_is_visited_exactly_once(rows: list[int], batch_size: int, seed: int, epoch: int) -> None:
    plan = plan_epoch(rows, batch_size, seed, epoch)
    for rank, count in enumerate(rows):
        order, bounds = plan.order(rank), plan.bounds(rank)
        visited = np.concatenate([order[start:stop] for start, stop in pairwise(bounds)])
        assert sorted(visited.tolist()) == list(range(count))


@quick
@given(ROWS, BATCH, SEED, EPOCH)
def test_all_ranks_take_the_steps_that_the_batch_size_asks_for(
    rows: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    plan = plan_epoch(rows, batch_size, seed, epoch)
    assert plan.steps == math.ceil(sum(rows) / batch_size)
    for rank, count in enumerate(rows):
        bounds = plan.bounds(rank)
        assert len(bounds) == plan.steps + 1
        assert (bounds[0], bounds[-1]) == (0, count)
        assert (np.diff(bounds) >= 0).all()


@quick
@given(ROWS, BATCH, SEED, EPOCH)
def test_a_rank_spreads_its_rows_evenly_over_the_steps(rows: list[int], batch_size: int, seed: int, epoch: int) -> None:
    plan = plan_epoch(rows, batch_size, seed, epoch)
    for rank, count in enumerate(rows):
        sizes = np.diff(plan.bounds(rank))
        assert {int(size) for size in sizes} <= {count // plan.steps, -(-count // plan.steps)}


@quick
@given(ROWS, BATCH)
def test_global_batches_hold_what_the_ranks_bring(rows: list[int], batch_size: int) -> None:
    plan = plan_epoch(rows, batch_size, 1, 0)
    batches, visited = plan.global_batches(), plan.visited()
    assert visited.shape == (len(rows), plan.steps + 1)
    assert visited[:, -1].tolist() == rows
    assert np.array_equal(np.diff(visited).sum(axis=0), batches)
    assert len(batches) == plan.steps
    assert batches.sum() == sum(rows)
    assert batches.tolist() == sum(np.diff(plan.bounds(rank)) for rank in range(len(rows))).tolist()


@quick
@given(ROWS.filter(lambda rows: len(rows) > 1), BATCH)
@example([1, 1], 1)
@example([5, 5], 4)
def test_global_batches_differ_by_less_than_the_number_of_ranks(rows: list[int], batch_size: int) -> None:
    batches = plan_epoch(rows, batch_size, 1, 0).global_batches()
    assert batches.max() - batches.min() < len(rows)


@quick
@given(st.integers(1, 2000), BATCH)
def test_the_batches_of_a_single_rank_differ_by_one_row_at_most(rows: int, batch_size: int) -> None:
    batches = plan_epoch([rows], batch_size, 1, 0).global_batches()
    assert batches.max() - batches.min() <= 1
    assert batches.max() <= batch_size


@quick
@given(ROWS, BATCH)
@example([1, 1], 1)
@example([1] * 8, 4)
def test_no_step_is_without_rows(rows: list[int], batch_size: int) -> None:
    assert plan_epoch(rows, batch_size, 1, 0).global_batches().min() > 0


@quick
@given(ROWS, BATCH, SEED, EPOCH)
def test_the_same_arguments_give_the_same_plan(rows: list[int], batch_size: int, seed: int, epoch: int) -> None:
    one, other = plan_epoch(rows, batch_size, seed, epoch), plan_epoch(tuple(rows), batch_size, seed, epoch)
    assert one == other
    for rank in range(len(rows)):
        assert one.order(rank).tolist() == other.order(rank).tolist() == one.order(rank).tolist()
        assert one.bounds(rank).tolist() == other.bounds(rank).tolist()


@quick
@given(st.integers(20, 300), SEED, SEED, EPOCH, EPOCH)
def test_another_epoch_seed_or_rank_gives_another_order(
    rows: int, seed: int, other_seed: int, epoch: int, other_epoch: int
) -> None:
    assume(seed != other_seed)
    assume(epoch != other_epoch)
    order = EpochPlan((rows, rows), 3, seed, epoch).order(0).tolist()
    assert EpochPlan((rows, rows), 3, other_seed, epoch).order(0).tolist() != order
    assert EpochPlan((rows, rows), 3, seed, other_epoch).order(0).tolist() != order
    assert EpochPlan((rows, rows), 3, seed, epoch).order(1).tolist() != order


def test_a_rank_with_a_tenth_of_the_rows_brings_a_tenth_of_each_batch() -> None:
    plan = plan_epoch([100, 900], 50, 42, 0)
    assert np.diff(plan.bounds(0)).tolist() == [5] * 20
    assert np.diff(plan.bounds(1)).tolist() == [45] * 20


def test_a_rank_without_rows_takes_every_step_with_none() -> None:
    plan = plan_epoch([0, 30], 10, 42, 0)
    assert plan.bounds(0).tolist() == [0, 0, 0, 0]
    assert plan.order(0).tolist() == []


@pytest.mark.parametrize(("batch_size", "steps"), [(100, 1), (101, 1), (99, 2), (50, 2), (1, 100)])
def test_a_batch_of_all_rows_or_more_is_one_step(batch_size: int, steps: int) -> None:
    assert plan_epoch([30, 70], batch_size, 0, 0).steps == steps
