"""Elements for plain values: Python, tables, curves, confusion matrices, pictures, drawings, refusals."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nicegui import ui

from sparkwater.flow.views.charts import curves_chart, matrix_chart
from sparkwater.flow.views.galleries import Shown
from sparkwater.flow.views.networks import Drawing
from sparkwater.flow.views.tables import Curves, Matrix, Table, cell, share

_STYLE = (Path(__file__).parent / "shown.css").read_text(encoding="utf-8")

#: More classes than this are drawn as a picture, not as a table.
_CELLS = 30
_PAGE = 15


def add_style() -> None:
    """Give a page the style of these elements."""
    ui.add_css(_STYLE)


def code_block(text: str) -> ui.label:
    """Show Python; its text can be set."""
    return ui.label(text).classes("flow-code").props('tabindex=0 role=region aria-label="Python"')


def heading(text: str, level: int = 2) -> None:
    """Show a heading."""
    ui.label(text).classes("text-subtitle1").props(f"role=heading aria-level={level}")


def show_table(table: Table) -> None:
    """Show a table with its title; long ones in pages."""
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
    made = ui.table(columns=columns, rows=rows, row_key="id", title=table.title, pagination=pages)
    made.classes("w-full flow-table").props("flat dense bordered wrap-cells")
    if len(rows) <= _PAGE:
        made.props("hide-bottom")


def _is_number(table: Table, place: int) -> bool:
    values = [row[place] for row in table.rows if row[place] is not None]
    return bool(values) and all(isinstance(value, (int, float)) for value in values)


def shown_value(value: Any) -> Any:
    """Return a value of a table as Quasar sorts it: numbers stay numbers."""
    if not isinstance(value, float) or value.is_integer():
        return value
    return round(value, 1) if abs(value) >= 1_000 else float(f"{value:.4g}")


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
    ui.label(matrix.alt).classes("flow-soft")
    if len(matrix.labels) <= _CELLS:
        ui.html(matrix_html(matrix), sanitize=False).classes("flow-matrix-scroll").props("tabindex=0")
        return
    with ui.element("div").classes("w-full") as frame:
        frame.props["role"], frame.props["aria-label"] = "img", matrix.alt
        ui.echart(matrix_chart(matrix)).classes("flow-matrix-chart")


def matrix_html(matrix: Matrix) -> str:
    """Return the matrix as a table whose cells are the darker the larger their share of the class is."""
    head = "".join(f'<th scope="col">{html.escape(label)}</th>' for label in matrix.labels)
    lines = []
    for place, (label, row) in enumerate(zip(matrix.labels, matrix.counts, strict=True)):
        total = sum(row)
        cells = "".join(_matrix_cell(count, total, place == column) for column, count in enumerate(row))
        lines.append(
            f'<tr><th scope="row">{html.escape(label)}</th>{cells}<td class="flow-sum">{cell(total)}</td>'
            f'<td class="flow-sum">{share(total - row[place], total)}</td></tr>'
        )
    return (
        '<table class="flow-matrix"><caption>Rows: actual class. Columns: predicted class.</caption>'
        f'<thead><tr><td></td>{head}<th scope="col">rows</th><th scope="col">wrong</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _matrix_cell(count: float, total: float, right: bool) -> str:
    part = count / total if total else 0.0
    dark = (
        " flow-dark" if part > (0.9 if right else 0.97) else ""
    )  # where white words can be read, and black ones can't
    kind = "flow-right" if right else "flow-wrong"
    words = cell(count) if count else "·"
    return f'<td class="{kind}{dark}" style="--share:{part:.3f}">{words}</td>'


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Show facts with their names."""
    lines = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(said)}</dd>" for name, said in facts)
    ui.html(f'<dl class="flow-facts">{lines}</dl>', sanitize=False).classes("w-full")


def show_pictures(pictures: Sequence[Shown], first_framed: bool = False) -> None:
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
    ui.label(drawing.words).classes("flow-soft")
    with ui.element("div").classes("flow-drawing").props("tabindex=0"):
        image = ui.element("img")
        image.props["src"], image.props["alt"] = drawing.url, f"Drawing of {drawing.title}: {drawing.words}"
    with ui.expansion("Layers").classes("w-full flow-panel"):
        show_table(drawing.layers)
