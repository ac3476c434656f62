"""HTML of values: histograms, tables, pictures; all text in it is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sparkwater.flow.views.data.bins import Bar
from sparkwater.flow.views.data.columns import ColumnView
from sparkwater.flow.views.data.rows import Cell, RowsView
from sparkwater.flow.views.numbers import cell_text, counted, share
from sparkwater.flow.views.tables import Matrix

#: Width and height of a small histogram.
_WIDTH, _HEIGHT = 132, 34


def histogram(column: ColumnView) -> str:
    """Return a small histogram as SVG, with a text alternative; each bar says its rows."""
    if not column.bars:
        return '<span class="flow-soft">none</span>'
    if column.kind == "category":
        return _levels(column)
    most = max(1, *(bar.rows for bar in column.bars))
    step = _WIDTH / len(column.bars)
    bars = "".join(
        f'<rect x="{at * step:.1f}" y="{_HEIGHT - _height(bar, most):.1f}" width="{max(step - 1, 0.8):.1f}" '
        f'height="{_height(bar, most):.1f}"><title>{_says(bar)}</title></rect>'
        for at, bar in enumerate(column.bars)
    )
    return (
        f'<svg class="data-bars" role="img" aria-label="{escape(column.alt)}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{bars}</svg>'
    )


def heads(words: Sequence[str], numbers: Sequence[str]) -> str:
    """Return the heads of a table's columns: those of words, then those of numbers."""
    made = [f'<th scope="col">{escape(name)}</th>' for name in words]
    return "".join([*made, *(f'<th scope="col" class="data-number">{escape(name)}</th>' for name in numbers)])


def plain(text: str | None) -> str:
    """Return text as HTML; nothing for None."""
    return escape(text or "")


def type_lines(column: ColumnView) -> str:
    """Return a column's type, and the number that its facts are of."""
    of = f'<br><span class="flow-soft">{escape(column.measured)}</span>' if column.measured else ""
    return f"{escape(column.type)}{of}"


def missing_lines(column: ColumnView) -> str:
    """Return the rows without a value, and those with an infinite one."""
    return f"{column.missing:,}" + (f"<br>{column.infinite:,} infinite" if column.infinite else "")


def bars_table(column: ColumnView) -> str:
    """Return a histogram as the content of a table."""
    rows = "".join(
        f'<tr><td>{escape(bar.label)}</td><td class="data-number">{bar.rows:,}</td></tr>' for bar in column.bars
    )
    return f'<thead><tr><th scope="col">Value</th><th scope="col">Rows</th></tr></thead><tbody>{rows}</tbody>'


def rows_table(view: RowsView, words: str) -> str:
    """Return rows as a table; ``words`` is its caption, for those who hear it."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in view.names)
    rows = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in view.rows)
    return (
        f'<table class="data-table"><caption class="data-hidden">{escape(words)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def gallery(view: RowsView, place: int) -> str:
    """Return the pictures of a column, with the short texts of the other columns below each."""
    figures = []
    for number, row in enumerate(view.rows, 1):
        words = [cell.text for at, cell in enumerate(row) if not view.pictures[at] and 0 < len(cell.text) <= 24]
        shown = _picture(row[place], f"picture {number}{': ' if words else ''}{', '.join(words)}")
        figures.append(f"<figure>{shown}<figcaption>{escape(', '.join(words))}</figcaption></figure>")
    return f'<div class="data-gallery">{"".join(figures)}</div>'


def matrix_table(matrix: Matrix) -> str:
    """Return the matrix as a table whose cells are the darker the larger their share of the class is."""
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in matrix.labels)
    lines = []
    for place, (label, row) in enumerate(zip(matrix.labels, matrix.counts, strict=True)):
        total = sum(row)
        cells = "".join(_matrix_cell(count, total, place == column) for column, count in enumerate(row))
        lines.append(
            f'<tr><th scope="row">{escape(label)}</th>{cells}<td class="flow-sum">{cell_text(total)}</td>'
            f'<td class="flow-sum">{share(total - row[place], total)}</td></tr>'
        )
    return (
        '<table class="flow-matrix"><caption>Rows: actual class. Columns: predicted class.</caption>'
        f'<thead><tr><td></td>{head}<th scope="col">rows</th><th scope="col">wrong</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def facts_list(facts: Sequence[tuple[str, str]]) -> str:
    """Return facts with their names, as a list of definitions."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in facts)
    return f'<dl class="flow-facts">{lines}</dl>'


def _levels(column: ColumnView) -> str:
    """Return the most frequent levels as lying bars, the first four of them."""
    shown = column.bars[:4]
    most = max(bar.rows for bar in shown)
    if most == 1 and len(column.bars) > 1:
        return '<span class="flow-soft">all different</span>'
    rows = "".join(
        f'<span class="data-level"><meter min="0" max="{most}" value="{bar.rows}" title="{_says(bar)}">'
        f"{bar.rows}</meter><span>{escape(bar.label)}</span></span>"
        for bar in shown
    )
    more = (column.distinct or 0) - len(shown)
    if more > 0:
        rows += f'<span class="flow-soft">and {more:,} more</span>'
    return f'<span class="data-levels" role="img" aria-label="{escape(column.alt)}">{rows}</span>'


def _height(bar: Bar, most: int) -> float:
    # A bin with a row is seen, however few they are.
    return max(1.5, bar.rows / most * (_HEIGHT - 1)) if bar.rows else 0.0


def _says(bar: Bar) -> str:
    return f"{escape(bar.label)}: {counted(bar.rows, 'row')}"


def _cell(cell: Cell) -> str:
    if cell.missing:
        return '<span class="flow-soft">missing</span>'
    if cell.picture or cell.problem:
        return _picture(cell, cell.text)
    return escape(cell.text)


def _picture(cell: Cell, alt: str) -> str:
    if cell.picture:
        return f'<img src="{escape(cell.picture)}" alt="{escape(alt)}" title="{escape(cell.text)}">'
    return f'<span class="data-broken">{escape(cell.problem or "no picture")}</span>'


def _matrix_cell(count: float, total: float, right: bool) -> str:
    part = count / total if total else 0.0
    # White words are read on darker cells, black ones on lighter; the bounds follow from the two colours.
    dark = " flow-dark" if part > (0.9 if right else 0.97) else ""
    kind = "flow-right" if right else "flow-wrong"
    words = cell_text(count) if count else "·"
    return f'<td class="{kind}{dark}" style="--share:{part:.3f}">{words}</td>'
