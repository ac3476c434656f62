"""HTML from values: text stays text."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace

import pytest
from conftest import ROOT

from sparkwater.flow.views import markup
from sparkwater.flow.views.charts import curves_chart, histogram_chart, matrix_chart
from sparkwater.flow.views.curves import Curves
from sparkwater.flow.views.data.bins import Bar
from sparkwater.flow.views.data.columns import ColumnView
from sparkwater.flow.views.data.rows import Cell, RowsView
from sparkwater.flow.views.markup import gallery, histogram, rows_table
from sparkwater.flow.views.tables import Matrix

EVIL = "<img src=x onerror=alert(1)>\"'&"
NUMBER = ColumnView("n", "number", "number", bars=(Bar("0 to 1", 3), Bar("1 to 2", 0), Bar("2 to 3", 1000)))


def made_of(evil):
    """Return the HTML of each function of the module, of values that are all the same text."""
    cells = (Cell(evil), Cell(evil, problem=evil), Cell(evil, picture=evil), Cell(missing=True))
    view = RowsView((evil,) * 4, (False, True, True, False), (cells,))
    number, category = (
        ColumnView(evil, evil, kind, measured=evil, infinite=1, bars=(Bar(evil, 1),)) for kind in ("number", "category")
    )
    return {
        "histogram": histogram(number) + histogram(category),
        "heads": markup.heads([evil], [evil]),
        "plain": markup.plain(evil),
        "type_lines": markup.type_lines(number),
        "missing_lines": markup.missing_lines(number),
        "bars_table": markup.bars_table(number),
        "rows_table": rows_table(view, evil),
        "gallery": gallery(view, 2),
        "matrix_table": markup.matrix_table(Matrix((evil,), ((1.0,),), evil)),
        "facts_list": markup.facts_list([(evil, evil)]),
    }


def test_values_names_and_problems_are_text():
    made = made_of(EVIL)
    functions = {name for name, one in vars(markup).items() if getattr(one, "__module__", "") == markup.__name__}
    assert {name for name in functions if not name.startswith("_")} == made.keys()
    for name, text in made.items():
        assert "<img src=x" not in text, name
        assert "&lt;img" in text or name == "missing_lines"
        assert text.count("<img") <= 1  # the picture's own
        # All else is markup of the same kind as for harmless text.
        tags = [re.findall(r"</?([a-z]+)", each) for each in (text, made_of("harmless")[name])]
        assert tags[0] == tags[1], name
    assert "missing" in made["rows_table"]


def keys_of(value):
    """Return the keys of mappings within one another."""
    if isinstance(value, dict):
        return [*value, *(key for each in value.values() for key in keys_of(each))]
    return [key for each in value for key in keys_of(each)] if isinstance(value, (list, tuple)) else []


@pytest.mark.parametrize("evil", [EVIL, ":formatter"])
def test_plots_show_names_as_text_and_hold_no_code(evil):
    for options in (
        histogram_chart(ColumnView(evil, evil, "category", bars=(Bar(evil, 1),))),
        matrix_chart(Matrix((evil, "b"), ((1.0, 0.0), (2.0, 3.0)), evil)),
        curves_chart(Curves(evil, {evil: (1.0, 2.0)}, best=1)),
    ):
        assert options["tooltip"]["renderMode"] == "richText"  # else a tooltip is HTML
        assert not [key for key in keys_of(options) if key.startswith(":")]  # NiceGUI runs what such keys hold
        assert evil not in keys_of(options)


def test_pages_take_html_from_one_module_alone():
    found = 0
    for path in (ROOT / "sparkwater" / "flow").rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == markup.__name__
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("ui.html", "ui.markdown", "ui.add_body_html"):
                (content, *_) = node.args
                assert isinstance(content, ast.Call), f"{path}:{node.lineno}"
                assert ast.unparse(content.func) in imported, f"{path}:{node.lineno}"
                found += 1
    assert found >= 10


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


def test_the_styles_of_pages_are_packaged():
    listed = re.search(r"package-data\]\nsparkwater = (\[.*\])", (ROOT / "pyproject.toml").read_text())
    package = ROOT / "sparkwater"
    packaged = {path for pattern in json.loads(listed[1]) for path in package.glob(pattern)}
    styles = {*package.rglob("*.css")}
    assert styles
    assert styles <= packaged
