"""The columns of a DataFrame with their facts and small histograms, and a closer look at one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nicegui import ui

from sparkwater.flow.pages.parts.paging import ColumnPages
from sparkwater.flow.pages.parts.texts import heading, remark
from sparkwater.flow.pages.parts.waiting import Spot
from sparkwater.flow.views.charts import histogram_chart
from sparkwater.flow.views.data.columns import ColumnView, FrameView
from sparkwater.flow.views.data.facts import KnownFacts
from sparkwater.flow.views.markup import bars_table, heads, histogram, missing_lines, plain, type_lines
from sparkwater.flow.views.numbers import counted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_WORDS = ("Column", "Type", "Histogram")
_NUMBERS = ("Missing", "Distinct", "Zeros", "Minimum", "Maximum", "Mean", "Deviation")


class _Place(NamedTuple):
    """A column that may not be measured yet: its name and its position."""

    name: str
    place: int


def show_columns(frame: DataFrame, facts: KnownFacts) -> None:
    """Add the table of all columns; those of a page are measured when it is opened first."""
    columns = [_Place(name, place) for place, name in enumerate(frame.columns)]

    def show(some: Sequence[_Place]) -> None:
        spot, places = Spot(), [column.place for column in some]

        def tell(view: FrameView) -> None:
            ui.label(f"{counted(view.rows, 'row')}, {counted(len(columns), 'column')}")
            _table(view.columns)

        async def measure() -> None:
            await spot.fill("Measuring all rows", lambda: facts.measured(frame, places), tell)

        known = facts.known(frame, places)
        if known is None:
            ui.timer(0, measure, once=True)
            return
        with spot.column:
            tell(known)

    ColumnPages(columns, show)


def _table(columns: Sequence[ColumnView]) -> None:
    with ui.element("div").classes("data-scroll"), ui.element("table").classes("data-table"):
        with ui.element("thead"):
            ui.html(heads(_WORDS, _NUMBERS), sanitize=False, tag="tr")
        with ui.element("tbody"):
            for column in columns:
                with ui.element("tr"):
                    _cells(column)


def _cells(column: ColumnView) -> None:
    with ui.element("th").props("scope=row"):
        button = ui.button(column.name, on_click=partial(look_closer, column)).props("flat dense no-caps")
        button.classes("data-column")
    ui.html(type_lines(column), sanitize=False, tag="td").classes("data-type")
    ui.html(histogram(column), sanitize=False, tag="td")
    ui.html(missing_lines(column), sanitize=False, tag="td").classes("data-number")
    zeros = "" if column.zeros is None else f"{column.zeros:,}"
    for text in (column.distinct_text, zeros, column.minimum, column.maximum, column.mean, column.deviation):
        ui.html(plain(text), sanitize=False, tag="td").classes("data-number")


def look_closer(column: ColumnView) -> None:
    """Open a dialog with a column's histogram in full, as a plot and as a table."""
    with ui.dialog(value=True) as dialog, ui.card().classes("w-full max-w-3xl"):
        dialog.props["aria-label"] = f"Column {column.name}"
        heading(column.name).classes("data-name")
        remark(column.type)
        if column.bars:
            ui.echart(histogram_chart(column)).classes("w-full h-72").props.update(
                {"role": "img", "aria-label": column.alt}
            )
            if column.others:
                remark(f"{column.others:,} rows have other levels.")
            with ui.expansion("As a table").classes("w-full"):
                ui.html(bars_table(column), sanitize=False, tag="table").classes("data-table")
        else:
            remark("Nothing to plot.")
        ui.button("Close", on_click=dialog.close).props("flat no-caps")
    dialog.on("hide", dialog.delete)
