"""Plot and table of the scores of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkwater.plots.drawing.palette import INK, SKY, listed, short
from sparkwater.stacking.report import svg, tables

if TYPE_CHECKING:
    from sparkwater.ml.reports.confusion import ClassScores

_WIDTH = 760.0


def class_scores(scores: Sequence[ClassScores]) -> str:
    """Return F1 of each class as a bar, and on it a square for precision and a dot for recall."""
    if not scores:
        return ""
    left = svg.width_of([short(one.label) for one in scores]) + 20
    scale = svg.Scale(0.0, 1.0, left, _WIDTH - 80)
    bottom = svg.LINE * 1.3 * len(scores)
    parts = [svg.bottom_axis(scale, bottom, 0, "score: bars are F1, squares precision, dots recall")]
    for place, one in enumerate(scores):
        y = svg.LINE * 1.3 * (place + 0.5)
        parts += [
            svg.text(left - svg.GAP, y, short(one.label), "end"),
            svg.text(_WIDTH - 80 + svg.GAP + 6, y, _number(one.f1)),
        ]
        parts += [] if one.f1 is None else [svg.box(left, y - 8, scale(one.f1) - left, 16, SKY)]
        parts += [] if one.precision is None else [svg.square(scale(one.precision), y)]
        parts += [] if one.recall is None else [svg.dot(scale(one.recall), y, INK)]
    worst = sorted(scores, key=lambda one: -1.0 if one.f1 is None else one.f1)
    label = f"F1 of {len(scores)} classes, lowest first: {listed([f'{one.label} {_number(one.f1)}' for one in worst])}"
    return svg.drawing(_WIDTH, bottom + 46, label, *parts)


def table(scores: Sequence[ClassScores]) -> str:
    """Return the scores of each class."""
    rows = [
        [one.label, f"{one.rows:,.0f}", _number(one.precision), _number(one.recall), _number(one.f1)] for one in scores
    ]
    return tables.table(["", "rows", "precision", "recall", "F1"], rows)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
