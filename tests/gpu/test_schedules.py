"""Rates as pure functions of the step, against torch's schedulers where torch has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from gpu.ranks import train_config
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from sparkwater.gpu.training.schedules import SCHEDULES, Length, learning_rate, momentum, weight_decay

LENGTH = Length(rows=70, steps_an_epoch=7, steps=42)
STEPS = range(LENGTH.steps)

Scheduler = lr_scheduler.LRScheduler


def torchs(make: Callable[[torch.optim.Optimizer], Scheduler]) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler, rates = make(optimizer), []
    for _ in STEPS:
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        ("constant", lambda o: lr_scheduler.ConstantLR(o, 1.0)),
        ("step", lambda o: lr_scheduler.StepLR(o, step_size=14, gamma=0.5)),
        ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=42)),
        ("oneCycle", lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.4, total_steps=42, cycle_momentum=False)),
    ],
)
def test_a_schedule_is_torchs(schedule: str, make: Callable[[torch.optim.Optimizer], Scheduler]) -> None:
    config = train_config(schedule=schedule, learning_rate=0.4, decay_epochs=2.0, decay_factor=0.5)
    assert [learning_rate(config, LENGTH, step) for step in STEPS] == pytest.approx(torchs(make), abs=1e-9)


def test_the_schedule_begins_after_a_linear_warmup() -> None:
    config = train_config(schedule="cosine", learning_rate=0.4, warmup_epochs=1.0)

    def make(optimizer: torch.optim.Optimizer) -> Scheduler:
        rising = lr_scheduler.LinearLR(optimizer, start_factor=1 / 7, total_iters=6)
        return lr_scheduler.SequentialLR(optimizer, [rising, lr_scheduler.CosineAnnealingLR(optimizer, 35)], [7])

    assert [learning_rate(config, LENGTH, step) for step in STEPS] == pytest.approx(torchs(make), abs=1e-9)


def test_annealing_and_the_ramp_of_momentum_are_h2os() -> None:
    config = train_config(
        schedule="annealing", learning_rate=0.4, annealing=0.01, momentum=0.9, momentum_start=0.5, momentum_ramp=200.0
    )
    assert learning_rate(config, LENGTH, 0) == 0.4
    assert learning_rate(config, LENGTH, 14) == pytest.approx(0.4 / (1 + 0.01 * 140))
    assert [momentum(config, LENGTH, step) for step in (0, 10, 20, 30)] == pytest.approx([0.5, 0.7, 0.9, 0.9])
    assert momentum(train_config(momentum=0.9, momentum_start=0.5), LENGTH, 0) == 0.9


@examples(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    schedule=st.sampled_from(SCHEDULES),
    rows=st.integers(1, 50),
    batch=st.integers(1, 50),
    epochs=st.integers(1, 4),
    warmup=st.floats(0, 6),
    decay=st.floats(0.01, 5),
)
def test_a_rate_is_never_negative_nor_above_the_learning_rate(schedule, rows, batch, epochs, warmup, decay) -> None:
    config = train_config(schedule=schedule, learning_rate=0.3, warmup_epochs=warmup, decay_epochs=decay)
    steps = -(-rows // batch)
    length = Length(rows, steps, steps * epochs)
    rates = [learning_rate(config, length, step) for step in range(length.steps)]
    assert all(0 <= rate <= 0.3 * (1 + 1e-12) for rate in rates)
    assert max(rates) > 0


def test_a_fraction_of_an_epoch_has_no_step_more_for_a_rounding_error() -> None:
    rounded_up = 0
    for hundredths in range(1, 300):
        for steps in (1, 7, 10, 30, 100, 125):
            exact = math.ceil(Fraction(hundredths, 100) * steps)
            assert Length.of(10 * steps, 10, hundredths / 100).steps == exact
            rounded_up += math.ceil(hundredths / 100 * steps) != exact
    assert rounded_up > 0, "without such cases nothing is tested"


def test_four_cycles_each_last_twice_as_long_as_the_one_before() -> None:
    config, long = train_config(schedule="fourCycles", learning_rate=0.4), Length(3000, 1500, 1500 * 10)
    rates = [learning_rate(config, long, step) for step in range(long.steps)]
    falls = [step for step in range(1, long.steps - 1) if rates[step - 1] > rates[step] < rates[step + 1]]
    tops = [step for step in range(1, long.steps - 1) if rates[step - 1] < rates[step] > rates[step + 1]]
    assert [(step + 0.5) / long.steps for step in falls] == pytest.approx([1 / 15, 3 / 15, 7 / 15], abs=1e-4)
    root = math.sqrt(2)
    assert [(step + 0.5) / long.steps for step in tops] == pytest.approx(
        [(root * start - 1) / 15 for start in (1, 2, 4, 8)], abs=1e-4
    )
    assert [rates[step] for step in tops] == pytest.approx([0.4] * 4, abs=1e-6)
    assert max(rates[0], rates[-1], *(rates[step] for step in falls)) < 1e-4


def test_decay_and_rate_are_flat_and_then_fall_along_a_cosine() -> None:
    config = train_config(
        schedule="flatCosine", learning_rate=0.4, weight_decay=0.1, weight_decay_schedule="flatCosine"
    )
    shares = [weight_decay(config, LENGTH, step) / 0.1 for step in STEPS]
    assert shares[:22] == [1.0] * 22
    assert shares[28] == pytest.approx((1 + math.cos(math.pi / 3)) / 2)
    assert shares[-1] == pytest.approx((1 + math.cos(math.pi * 20 / 21)) / 2)
    assert [learning_rate(config, LENGTH, step) / 0.4 for step in STEPS] == pytest.approx(shares)
    assert {weight_decay(train_config(weight_decay=0.1), LENGTH, step) for step in STEPS} == {0.1}
