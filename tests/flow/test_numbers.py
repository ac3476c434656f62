"""Numbers as people read them."""

from __future__ import annotations

import pytest

from sparkwater.flow.views.numbers import cell_text, counted, duration, number_text, share, shown_value, size_text


def test_values_have_few_digits():
    assert [number_text(value) for value in (3.0, 1234567.0, 0.5, -1e-7, 1e300)] == [
        "3", "1,234,567", "0.5", "-1e-07", "1e+300"
    ]  # fmt: skip
    assert [cell_text(value) for value in (None, 1234, 0.123456, "x", 2.0)] == ["", "1,234", "0.1235", "x", "2"]


def test_large_numbers_lose_no_digits_before_the_point():
    assert [cell_text(value) for value in (123_456.78, -1_234.5, 999.96)] == ["123,456.8", "-1,234.5", "1000"]
    assert [shown_value(value) for value in (123_456.78, 0.123456, 2.0, 7, "x", None)] == [
        123_456.8, 0.1235, 2.0, 7, "x", None
    ]  # fmt: skip


def test_things_are_counted():
    assert [counted(number, "row") for number in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [share(1, 8), share(0, 0)] == ["12.5%", "none"]


def test_sizes_have_units():
    assert [size_text(size) for size in (0, 999, 1_500, 234_567, 5e9)] == [
        "0 bytes", "999 bytes", "1.5 kB", "235 kB", "5 GB"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_times_are_words(seconds, words):
    assert duration(seconds) == words
