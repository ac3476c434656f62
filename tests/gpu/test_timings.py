from __future__ import annotations

import time
from dataclasses import asdict

import pytest

from sparkwater.gpu.training.timings import Stopwatch, Timings, mean_timings, timings_of_ranks


def test_each_moment_belongs_to_one_part() -> None:
    began = time.perf_counter()
    clock = Stopwatch("connect")
    with clock.part("compute"):
        for _ in clock.each("data", (time.sleep(0.02) for _ in range(3))):
            with clock.part("validation"), clock.part("communication"):
                time.sleep(0.01)
    with pytest.raises(ZeroDivisionError), clock.part("checkpoints"):
        raise ZeroDivisionError
    timings = clock.timings()
    seconds = time.perf_counter() - began
    assert timings.total == pytest.approx(seconds, abs=0.005)
    assert timings.data >= 0.06
    assert timings.communication >= 0.03
    assert timings.validation < 0.01
    assert timings.compute < 0.02
    assert (timings.read, timings.wait) == (0, 0)
    time.sleep(0.01)
    assert clock.timings().connect >= timings.connect + 0.01  # the part before an exception runs on after it


def test_a_stopwatch_costs_little_beside_a_step() -> None:
    clock = Stopwatch("compute")
    began = time.perf_counter()
    for _ in range(1000):
        with clock.part("data"):
            pass
    assert time.perf_counter() - began < 0.02  # 20 microseconds each, where a step of LeNet takes 10,000


def test_what_a_rank_waits_for_slower_ones_is_told_from_communication() -> None:
    fast, slow = Timings(compute=2, communication=3), Timings(compute=4, communication=1)
    both = timings_of_ranks([fast, slow], 10.0)
    assert both == (
        Timings(start=5, compute=2, communication=1, wait=2),
        Timings(start=5, compute=4, communication=1, wait=0),
    )
    assert mean_timings(both) == Timings(start=5, compute=3, communication=1, wait=1)
    assert [timings.total for timings in both] == [10, 10]


def test_the_time_around_a_rank_is_never_negative_whatever_its_clock_says() -> None:
    measured = Timings(compute=2, finish=0.5)
    assert measured.launched(100.0, 101.0, 104.0) == Timings(prepare=1, compute=2, finish=1)
    for began in (90.0, 110.0):
        launched = measured.launched(100.0, began, 104.0)
        assert min(asdict(launched).values()) >= 0
        assert launched.compute == 2
