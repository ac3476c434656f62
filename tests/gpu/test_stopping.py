from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparkwater.gpu.training.stopping import Best, has_converged


def test_moving_averages_decide_not_single_epochs() -> None:
    falling = [1.0, 0.8, 0.6, 0.4, 0.2]
    assert not has_converged(falling, 2, 0.0, larger=False)
    assert has_converged(falling, 2, 0.0, larger=True)
    # Averages of 2: 0.5, 0.5, 0.5. One good epoch between bad ones is no progress.
    assert has_converged([1.0, 0.2, 0.8, 0.2, 0.8], 2, 0.0, larger=False)
    assert not has_converged([0.5, 0.5, 0.5], 2, 0.0, larger=False), "too few epochs to tell"
    assert has_converged([0.5, 0.5], 1, 0.0, larger=False)
    assert has_converged([0.0, 0.0], 1, 0.0, larger=False), "nothing is better than no error"


def test_a_tolerance_asks_for_more_than_any_improvement() -> None:
    values = [1.0, 0.97]
    assert not has_converged(values, 1, 0.02, larger=False)
    assert has_converged(values, 1, 0.04, larger=False)
    assert has_converged([0.90, 0.91], 1, 0.02, larger=True)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.lists(st.floats(0.01, 10), max_size=12), st.integers(0, 4), st.floats(0, 0.5))
def test_stopping_looks_at_the_last_epochs_only_and_mirrors(values, rounds, tolerance) -> None:
    decided = has_converged(values, rounds, tolerance, larger=False)
    assert decided == has_converged([3.0, *values], rounds, tolerance, larger=False) or len(values) < 2 * rounds
    assert decided == has_converged([-value for value in values], rounds, tolerance, larger=True)
    assert not has_converged(values, 0, tolerance, larger=False)


def test_the_best_network_comes_back_with_its_buffers() -> None:
    network = nn.BatchNorm1d(3)
    weights = torch.arange(3.0)
    best = Best.of(network, weights, 4, 0.5)
    weights += 1
    network.running_mean.fill_(7)
    assert best.beaten_by(0.4, larger=False)
    assert not best.beaten_by(0.5, larger=False)
    assert best.beaten_by(0.6, larger=True)
    best.restore(network, weights)
    assert weights.tolist() == [0, 1, 2]
    assert network.running_mean.tolist() == [0, 0, 0]


def test_of_equal_values_the_earlier_epoch_stays_the_best() -> None:
    best = Best.of(nn.BatchNorm1d(3), torch.zeros(3), 4, 0.5)
    assert not best.beaten_by(0.5, larger=True)
    assert not best.beaten_by(0.5, larger=False)
    assert best.beaten_by(0.5 + 1e-12, larger=True)
    assert best.beaten_by(0.5 - 1e-12, larger=False)
