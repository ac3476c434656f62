"""Elements for plain values: Python, tables, curves, confusion matrices, pictures, drawings, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nicegui import ui

from sparkwater.flow.pages.parts.texts import heading, remark
from sparkwater.flow.views.charts import curves_chart, matrix_chart
from sparkwater.flow.views.curves import Curves
from sparkwater.flow.views.galleries import PictureView
from sparkwater.flow.views.markup import facts_list, matrix_table
from sparkwater.flow.views.networks import Drawing
from sparkwater.flow.views.numbers import shown_value
from sparkwater.flow.views.plots import PlotView
from sparkwater.flow.views.tables import Matrix, Table, without_empty_columns

_STYLE = (Path(__file__).parent / "elements.css").read_text(encoding="utf-8")

#: More classes than this are drawn as a picture, not as a table.
_CELLS = 30
_PAGE = 15


def add_style() -> None:
    """Give a page the style of these elements."""
    ui.add_css(_STYLE)


def show_table(table: Table) -> None:
    """Show a table with its title; long ones in pages, and nothing of columns without any value."""
    table = without_empty_columns(table)
    columns = [
        {
            "name": str(place),
            "label": name,
            "field": str(place),
            "align": "right" if _is_number(table, place) else "left",
            "sortable": True,
        }
        for place, name in enumerate(table.columns)
    ]
    rows = [
        {"id": number, **{str(place): shown_value(value) for place, value in enumerate(row)}}
        for number, row in enumerate(table.rows)
    ]
    pages = {"rowsPerPage": _PAGE if len(rows) > _PAGE else 0}
    # Its frame scrolls in place of Quasar's, which keys don't reach.
    with ui.element("div").classes("flow-table-scroll").props("tabindex=0 role=region") as frame:
        frame.props["aria-label"] = table.title
        made = ui.table(columns=columns, rows=rows, row_key="id", title=table.title, pagination=pages)
    made.classes("flow-table").props("flat dense bordered wrap-cells")
    if len(rows) <= _PAGE:
        made.props("hide-bottom")


def _is_number(table: Table, place: int) -> bool:
    values = [row[place] for row in table.rows if row[place] is not None]
    return bool(values) and all(isinstance(value, (int, float)) for value in values)


def show_curves(curves: Curves) -> Callable[[Curves], None]:
    """Show curves as a plot with a text alternative; return a function that puts others of their measure there."""
    with ui.column().classes("flow-curve gap-0"):
        ui.label(curves.title).classes("flow-curve-title")
        with ui.element("div").classes("w-full") as frame:
            frame.props["role"], frame.props["aria-label"] = "img", curves.alt
            chart = ui.echart(curves_chart(curves)).classes("flow-curve-chart")

    def change(others: Curves) -> None:
        frame.props["aria-label"] = others.alt
        chart.options.clear()
        chart.options.update(curves_chart(others))
        frame.update()
        chart.update()

    return change


def show_matrix(matrix: Matrix) -> None:
    """Show a confusion matrix as a heat map, with what is mistaken most in words."""
    heading("Confusion matrix")
    remark(matrix.alt)
    if len(matrix.labels) <= _CELLS:
        table = ui.html(matrix_table(matrix), sanitize=False).classes("flow-matrix-scroll")
        table.props('tabindex=0 role=region aria-label="Confusion matrix"')
        return
    with ui.element("div").classes("w-full") as frame:
        frame.props["role"], frame.props["aria-label"] = "img", matrix.alt
        ui.echart(matrix_chart(matrix)).classes("flow-matrix-chart")


def show_plot(plot: PlotView) -> None:
    """Show a plot under its title."""
    heading(plot.title)
    image = ui.element("img").classes("flow-plot")
    image.props["src"], image.props["alt"] = plot.url, plot.alt


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Show facts with their names."""
    ui.html(facts_list(facts), sanitize=False).classes("w-full")


def show_pictures(pictures: Sequence[PictureView], first_framed: bool = False) -> None:
    """Show pictures with their words, in lines."""
    with ui.element("div").classes("flow-pictures").props("role=list"):
        for place, picture in enumerate(pictures):
            framed = " flow-framed" if first_framed and place == 0 else ""
            with ui.element("figure").classes(f"flow-picture{framed}").props("role=listitem"):
                image = ui.element("img")
                image.props["src"], image.props["alt"] = picture.url, picture.alt
                for line in picture.words:
                    ui.label(line)


def show_drawing(drawing: Drawing) -> None:
    """Show a network: its drawing, and its layers as a table."""
    ui.label(drawing.title).classes("text-weight-medium")
    remark(drawing.words)
    with ui.element("div").classes("flow-drawing").props('tabindex=0 role=region aria-label="Drawing"'):
        image = ui.element("img")
        image.props["src"], image.props["alt"] = drawing.url, f"Drawing of {drawing.title}: {drawing.words}"
    with ui.expansion("Layers").classes("w-full flow-panel"):
        show_table(drawing.layers)
