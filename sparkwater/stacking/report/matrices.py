"""Plots of tables: confusion of classes, and correlation of errors."""

from __future__ import annotations

from collections.abc import Sequence

from sparkwater.plots.drawing.palette import BLUE, INK, VERMILION, short
from sparkwater.stacking.report import svg


def confusion(counts: Sequence[Sequence[float]], classes: Sequence[str]) -> str:
    """Return counts by label and predicted class; the shade is the share of the label's rows."""
    if not counts:
        return ""
    shares = [[value / (sum(row) or 1.0) for value in row] for row in counts]
    words = [[f"{value:,.0f}" if value else "" for value in row] for row in counts]
    right = sum(row[place] for place, row in enumerate(counts))
    total = sum(map(sum, counts))
    label = f"confusion matrix: {right:,.0f} of {total:,.0f} rows are right"
    return _grid(shares, words, classes, label, "rows: label; columns: predicted class")


def correlation(values: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Return correlations; blue is positive, orange negative."""
    if not values:
        return ""
    words = [[f"{value:.2f}" for value in row] for row in values]
    return _grid(values, words, names, "correlation of the errors of learners and ensemble", "")


def _grid(
    values: Sequence[Sequence[float]], words: Sequence[Sequence[str]], names: Sequence[str], label: str, below: str
) -> str:
    """Return a table of shaded squares; the numbers are left out where the squares are too small for them."""
    size = max(16.0, min(80.0, 640.0 / len(values)))
    fits = max(len(word) for row in words for word in row) * svg.CHARACTER <= size - 4
    longest = svg.width_of([short(name) for name in names])
    left, slanted = longest + 16, longest > size
    reach = 0.75 * longest if slanted else 0.0
    top = reach + 26
    parts = []
    for i, name in enumerate(names):
        middle = (i + 0.5) * size
        parts.append(svg.text(left - svg.GAP, top + middle, short(name), "end"))
        parts.append(_heading(left + middle, top - 12, short(name), slanted))
        for j, value in enumerate(values[i]):
            x, y = left + j * size, top + i * size
            parts.append(svg.box(x, y, size, size, _shade(value), "#e4e4e4"))
            if fits and words[i][j]:
                ink = "white" if abs(value) > 0.75 else INK
                parts.append(svg.text(x + size / 2, y + size / 2, words[i][j], "middle", fill=ink))
    height = top + len(values) * size
    if below:
        parts.append(svg.text(left, height + 16, below))
    return svg.drawing(max(left + len(values) * size + reach, 420.0), height + (30 if below else 6), label, *parts)


def _heading(x: float, y: float, name: str, slanted: bool) -> str:
    if not slanted:
        return svg.text(x, y, name, "middle")
    return f'<g transform="rotate(-45 {x:.1f} {y:.1f})">{svg.text(x, y, name)}</g>'


def _shade(value: float) -> str:
    """Return a colour between white, for 0, and blue or, below 0, orange."""
    full, share = (BLUE, min(value, 1.0)) if value >= 0 else (VERMILION, min(-value, 1.0))
    red, green, blue = (round(255 + share * (int(full[at : at + 2], 16) - 255)) for at in (1, 3, 5))
    return f"rgb({red},{green},{blue})"
