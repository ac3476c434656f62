"""Plots of scores: leaderboard, weights, learning curves and reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkwater.plots.drawing.intervals import wilson
from sparkwater.plots.drawing.palette import BLUE, INK, VERMILION, number, short
from sparkwater.stacking.report import svg

if TYPE_CHECKING:
    from sparkwater.stacking.diagnostics import ReliabilityBin
    from sparkwater.stacking.scores import Curve, Score

#: More learners than this are in the table only.
MOST_LINES = 40

_WIDTH, _SIDE, _PANEL = 760.0, 300.0, 340.0


def leaderboard(scores: Sequence[Score], metric: str, ensemble: str) -> str:
    """Return the scores with their intervals, best first; the ensemble is a diamond with a line through all."""
    shown = [one for one in scores if math.isfinite(one.value)][:MOST_LINES]
    if not shown:
        return ""
    left = svg.width_of([short(one.learner) for one in shown]) + 30
    ends = [end for one in shown for end in (one.low, one.high, one.value) if math.isfinite(end) and end > 0]
    scale = svg.Scale.over(ends or [0.0, 1.0], left, _WIDTH - 30)
    bottom = svg.LINE * len(shown) * 1.3 + 10
    parts = [svg.bottom_axis(scale, bottom, 0, f"{metric} out of fold, with its 95 % interval (lower is better)")]
    for place, one in enumerate(shown):
        y, whole = svg.LINE * 1.3 * (place + 0.5) + 5, one.learner == ensemble
        color = VERMILION if whole else BLUE
        if whole:
            parts.append(svg.line(scale(one.value), 0, scale(one.value), bottom, color, dash="5 4"))
        parts.append(svg.line(scale(one.low), y, scale(one.high), y, color, 2.5))
        parts += [svg.line(scale(end), y - 5, scale(end), y + 5, color, 2.5) for end in (one.low, one.high)]
        parts.append((svg.diamond if whole else svg.dot)(scale(one.value), y, color))
        parts.append(svg.text(left - svg.GAP - 10, y, short(one.learner), "end", whole))
    best = f"{shown[0].learner} {number(shown[0].value)}"
    return svg.drawing(_WIDTH, bottom + 46, f"{metric} of {len(shown)} models, best first: {best}", *parts)


def weights(scores: Sequence[Score]) -> str:
    """Return the learners' shares of the weights as bars, largest first."""
    shown = sorted((one for one in scores if one.weight is not None), key=lambda one: -(one.weight or 0.0))[:MOST_LINES]
    if not shown:
        return ""
    left = svg.width_of([short(one.learner) for one in shown]) + 20
    scale = svg.Scale(0.0, 1.0, left, _WIDTH - 80)
    parts = []
    for place, one in enumerate(shown):
        y, share = svg.LINE * 1.3 * (place + 0.5), one.weight or 0.0
        parts += [
            svg.box(left, y - 8, scale(share) - left, 16, BLUE),
            svg.text(left - svg.GAP, y, short(one.learner), "end"),
            svg.text(scale(share) + svg.GAP, y, f"{share:.3f}"),
        ]
    parts.append(svg.line(left, 0, left, svg.LINE * 1.3 * len(shown)))
    label = "share of each learner in the weights: " + ", ".join(f"{one.learner} {one.weight:.3f}" for one in shown)
    return svg.drawing(_WIDTH, svg.LINE * 1.3 * len(shown) + 6, label, *parts)


def learning_curve(curve: Curve) -> str:
    """Return the training loss by epoch, and beside it the metric of the validation rows where there are any."""
    panels: list[tuple[str, Sequence[float | None], str, str]] = [("training loss", curve.loss, BLUE, "")]
    if curve.metric:
        panels.append((f"{curve.metric} of the validation rows", curve.validation, VERMILION, "6 4"))
    parts = [_panel(place * (_PANEL + 60) + 70, *panel) for place, panel in enumerate(panels)]
    last = "; ".join(f"{name} {_last(values)}" for name, values, *_ in panels)
    return svg.drawing(_WIDTH + 20, 250, f"learning curve of {curve.learner}, at its end: {last}", *parts)


def _last(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return number(known[-1]) if known else "undefined"


def _panel(left: float, name: str, values: Sequence[float | None], color: str, dash: str) -> str:
    known = [(epoch, value) for epoch, value in enumerate(values, 1) if value is not None and math.isfinite(value)]
    if not known:
        return svg.text(left, 100, f"{name}: undefined")
    right, bottom = left + _PANEL - 60, 200.0
    across = svg.Scale(1.0, max(2.0, float(len(values))), left, right)
    up = svg.Scale.over([value for _, value in known], bottom, 30.0, 100.0)
    points = [(across(epoch), up(value)) for epoch, value in known]
    dots = [svg.dot(x, y, color) for x, y in points] if len(points) <= 30 else []
    epochs = [tick for tick in across.ticks() if tick == int(tick)]
    axis = [svg.text(across(tick), bottom + 14, f"{tick:.0f}", "middle") for tick in epochs]
    base = [svg.line(left, bottom, right, bottom), svg.text((left + right) / 2, bottom + 34, "epoch", "middle")]
    return "".join([svg.left_axis(up, left, right, name), *axis, *base, svg.path(points, color, dash), *dots])


def reliability(before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin], what: str) -> str:
    """Return observed rates over predicted probabilities, and beneath them the share of the rows in each bin."""
    if not before:
        return ""
    left, right = 60.0, 60.0 + _SIDE
    across, up = svg.Scale(0.0, 1.0, left, right), svg.Scale(0.0, 1.0, 30.0 + _SIDE, 30.0)
    parts = [
        svg.bottom_axis(across, up.start, up.end, f"predicted {what}"),
        svg.left_axis(up, left, right, "observed rate"),
        svg.line(left, up.start, right, up.end, INK, 1.5, "2 4"),
    ]
    for bins, color, dash, mark in (
        (before, VERMILION, "6 4" if after else "", svg.square),
        (after, BLUE, "", svg.dot),
    ):
        points = [(across(one.predicted), up(one.observed)) for one in bins]
        parts += [svg.path(points, color, dash), *(mark(x, y, color) for x, y in points)] if points else []
    for one in after or before:
        low, high = wilson(one.observed, one.rows)
        parts.append(svg.line(across(one.predicted), up(low), across(one.predicted), up(high), INK))
    parts += [_legend(right + 40, bool(after)), _counts(before, right + 40)]
    gap = sum(one.rows * abs(one.predicted - one.observed) for one in before) / sum(one.rows for one in before)
    label = f"reliability diagram: predicted and observed differ by {gap:.3f} in the mean over rows"
    return svg.drawing(_WIDTH, _SIDE + 80, label, *parts)


def _legend(left: float, both: bool) -> str:
    parts = [
        svg.square(left + 10, 40),
        svg.text(left + 26, 40, "the ensemble" + (" before calibration" if both else "")),
    ]
    if both:
        parts += [svg.dot(left + 10, 62), svg.text(left + 26, 62, "after calibration, cross-validated")]
    y = 84.0 if both else 62.0
    parts += [svg.line(left, y, left + 20, y, INK, 1.5, "2 4"), svg.text(left + 26, y, "perfect calibration")]
    bar = svg.line(left + 10, y + 13, left + 10, y + 31, INK)
    return "".join([*parts, bar, svg.text(left + 26, y + 22, "95 % interval of the observed rate")])


def _counts(bins: Sequence[ReliabilityBin], left: float) -> str:
    """Return the number of rows in each bin as bars."""
    most, bottom, height = max(one.rows for one in bins), 30.0 + _SIDE, 140.0
    across = svg.Scale(0.0, 1.0, left, left + _SIDE)
    parts = [svg.text(left, bottom - height - 30, f"rows in each bin (the highest bar: {most:,})")]
    for one in bins:
        tall = height * one.rows / most
        x, wide = across(one.low) + 1.5, across(one.high) - across(one.low) - 3
        parts.append(svg.box(x, bottom - tall, wide, tall, "#8a8a8a"))
    return "".join([*parts, svg.line(left, bottom, left + _SIDE, bottom)])
