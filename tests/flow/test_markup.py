"""HTML from values: text stays text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkwater.flow.views.charts import histogram_chart
from sparkwater.flow.views.data.bins import Bar
from sparkwater.flow.views.data.columns import ColumnView
from sparkwater.flow.views.data.rows import Cell, RowsView
from sparkwater.flow.views.markup import gallery, histogram, rows_table

EVIL = "<img src=x onerror=alert(1)>\"'&"
NUMBER = ColumnView("n", "number", "number", bars=(Bar("0 to 1", 3), Bar("1 to 2", 0), Bar("2 to 3", 1000)))


def test_values_names_and_problems_are_text():
    cells = (Cell(EVIL), Cell(EVIL, problem=EVIL), Cell(EVIL, picture=EVIL), Cell(missing=True))
    view = RowsView((EVIL,) * 4, (False, True, True, False), (cells,))
    columns = [ColumnView(EVIL, EVIL, kind, bars=(Bar(EVIL, 1),)) for kind in ("number", "category")]
    made = [
        rows_table(view, EVIL),
        gallery(view, 2),
        *map(histogram, columns),
    ]
    for text in made:
        assert "<img src=x" not in text
        assert "&lt;img" in text
        assert text.count("<img") <= 1  # the picture's own
    assert "missing" in made[0]


def test_a_bin_with_few_rows_is_seen_and_an_empty_one_is_not():
    svg = histogram(NUMBER)
    assert svg.count("<rect") == 3
    assert 'height="1.5"><title>0 to 1: 3 rows' in svg
    assert 'height="0.0"><title>1 to 2: 0 rows' in svg
    assert 'aria-label="n: 3 bins; most rows, 1,000, at 2 to 3"' in svg


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_column_without_rows_has_no_histogram(kind):
    assert "none" in histogram(replace(NUMBER, kind=kind, bars=()))


def test_levels_show_the_first_four_and_count_the_others():
    bars = tuple(Bar(f"level {place}", 9 - place) for place in range(6))
    column = ColumnView("c", "text", "category", distinct=1000, bars=bars)
    made = histogram(column)
    assert made.count("<meter") == 4
    assert "and 996 more" in made
    assert "all different" in histogram(replace(column, bars=tuple(Bar(str(place), 1) for place in range(6))))


def test_a_larger_histogram_has_the_rows_and_lies_for_levels():
    assert histogram_chart(NUMBER)["series"][0]["data"] == [3, 0, 1000]
    assert histogram_chart(NUMBER)["xAxis"]["data"] == ["0 to 1", "1 to 2", "2 to 3"]
    lying = histogram_chart(replace(NUMBER, kind="category"))
    assert lying["yAxis"]["data"] == ["0 to 1", "1 to 2", "2 to 3"]
    assert lying["yAxis"]["inverse"]  # the most frequent one is on top
