"""Bins of histograms hold each number once, and are named as people name them."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkwater.flow.views.data.bins import calendar_bins, number_bins, time_text, zeros_of

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def seconds(*date: int) -> float:
    return datetime.datetime(*date, tzinfo=datetime.timezone.utc).timestamp()


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=2, max_size=60), st.booleans())
def test_each_number_is_in_one_bin(values, whole):
    numbers = np.array([float(int(value)) if whole else value for value in values])
    low, high = numbers.min() + 0.0, numbers.max() + 0.0
    if low == high:
        return
    bins = number_bins(low, high, whole=whole)
    spread = bins.spread(low, high).plus(numbers)
    bars = bins.bars(spread)
    assert sum(bar.rows for bar in bars) == len(numbers)
    assert len(bars) <= 20
    starts = np.array(bins.starts)
    expected = np.bincount(np.searchsorted(starts, numbers, side="right") - 1, minlength=len(starts))
    assert [bar.rows for bar in bars] == expected.tolist()
    assert zeros_of(spread) == (numbers == 0).sum()


def test_whole_numbers_have_bins_of_whole_numbers():
    assert number_bins(0, 9, whole=True).labels == tuple(map(str, range(10)))
    assert number_bins(1, 100, whole=True).labels[:2] == ("1 to 5", "6 to 10")
    assert number_bins(1, 101, whole=True).labels[-1] == "97 to 101"


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        ((2024, 1, 30), (2024, 2, 2), ("2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02")),
        ((2024, 1, 30), (2024, 5, 2), ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05")),
        ((1999, 5, 1), (2003, 1, 1), ("1999", "2000", "2001", "2002", "2003")),
        ((1955, 5, 1), (2003, 1, 1), ("1950 to 1959", "1960 to 1969")),
        ((2024, 1, 1, 9, 30), (2024, 1, 1, 11), ("2024-01-01 09:00", "2024-01-01 10:00", "2024-01-01 11:00")),
    ],
)
def test_times_have_bins_of_the_calendar(low, high, labels):
    bins = calendar_bins(seconds(*low), seconds(*high))
    assert bins.labels[: len(labels)] == labels
    assert bins.starts[0] <= seconds(*low) < bins.starts[1]


def test_dates_beyond_pythons_have_bins():
    low, high = -62_167_219_200.0 - 86_400 * 366, 253_402_300_800.0 + 86_400  # years -1 and 10000
    bins = calendar_bins(low, high)
    assert len(bins.labels) <= 40
    assert bins.starts[0] <= low
    assert time_text(seconds(2024, 2, 29), clock=False) == "2024-02-29"
    assert time_text(seconds(2024, 2, 29, 12, 30), clock=True) == "2024-02-29 12:30:00"
