"""The columns of a DataFrame with their facts and small histograms, and a closer look at one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from nicegui import ui

from sparkwater.flow.pages.paging import ColumnPages
from sparkwater.flow.pages.texts import heading, remark
from sparkwater.flow.pages.waiting import Spot
from sparkwater.flow.views.charts import histogram_chart
from sparkwater.flow.views.data.columns import ColumnView, FrameView
from sparkwater.flow.views.data.facts import KnownFacts
from sparkwater.flow.views.markup import histogram
from sparkwater.flow.views.numbers import counted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_HEADS = ("Column", "Type", "Histogram", "Missing", "Distinct", "Zeros", "Minimum", "Maximum", "Mean", "Deviation")


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
            heads = "".join(f'<th scope="col"{_align(head)}>{head}</th>' for head in _HEADS)
            ui.html(heads, sanitize=False, tag="tr")
        with ui.element("tbody"):
            for column in columns:
                with ui.element("tr"):
                    _cells(column)


def _cells(column: ColumnView) -> None:
    with ui.element("th").props("scope=row"):
        button = ui.button(column.name, on_click=partial(look_closer, column)).props("flat dense no-caps")
        button.classes("data-column")
    of = f"<br><span class='flow-soft'>{escape(column.measured)}</span>" if column.measured else ""
    ui.html(f"{escape(column.type)}{of}", sanitize=False, tag="td").classes("data-type")
    ui.html(histogram(column), sanitize=False, tag="td")
    missing = f"{column.missing:,}" + (f"<br>{column.infinite:,} infinite" if column.infinite else "")
    ui.html(missing, sanitize=False, tag="td").classes("data-number")
    zeros = "" if column.zeros is None else f"{column.zeros:,}"
    for text in (column.distinct_text, zeros, column.minimum, column.maximum, column.mean, column.deviation):
        ui.html(escape(text or ""), sanitize=False, tag="td").classes("data-number")


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
                rows = "".join(
                    f'<tr><td>{escape(bar.label)}</td><td class="data-number">{bar.rows:,}</td></tr>'
                    for bar in column.bars
                )
                heads = '<thead><tr><th scope="col">Value</th><th scope="col">Rows</th></tr></thead>'
                ui.html(f"{heads}<tbody>{rows}</tbody>", sanitize=False, tag="table").classes("data-table")
        else:
            remark("Nothing to plot.")
        ui.button("Close", on_click=dialog.close).props("flat no-caps")
    dialog.on("hide", dialog.delete)


def _align(head: str) -> str:
    return "" if head in _HEADS[:3] else ' class="data-number"'
