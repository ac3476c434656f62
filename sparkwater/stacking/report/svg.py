"""Drawings as inline SVG: shapes, scales and axes. Values in, text out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from sparkwater.plots.drawing.palette import BLUE, FAINT, INK, VERMILION, number

#: Pixels of a character, of a line of text, and the distance of text from what it names.
CHARACTER, LINE, GAP = 7.2, 20.0, 8.0


@dataclass(frozen=True)
class Scale:
    """A scale from values to pixels.

    Attributes
    ----------
    low, high : float
        The values at its ends.
    start, end : float
        Pixels of these.
    logarithmic : bool
        Whether equal ratios have equal distances.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; one beyond an end is put there."""
        bend: Callable[[float], float] = math.log if self.logarithmic else float
        value = min(max(value, self.low), self.high)
        share = (bend(value) - bend(self.low)) / (bend(self.high) - bend(self.low))
        return self.start + share * (self.end - self.start)

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, spread: float = 50.0) -> Scale:
        """Return a scale that holds some values with a margin; logarithmic where they spread further."""
        low, high = min(values), max(values)
        if low > 0 and high / low > spread:
            return cls(low / 1.15, high * 1.15, start, end, True)
        margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
        bottom = max(0.0, low - margin) if low >= 0 else low - margin
        return cls(bottom, high + margin, start, end)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values within the scale."""
        if self.logarithmic:
            return _powers(self.low, self.high, most)
        raw = (self.high - self.low) / most
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _powers(low: float, high: float, most: int) -> list[float]:
    places = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    step = max(1, math.ceil(len(places) / most))
    found = [10.0**place * factor for place in places[::step] for factor in ((1, 3) if step == 1 else (1,))]
    return [value for value in found if low <= value <= high]


def drawing(width: float, height: float, label: str, *parts: str) -> str:
    """Return an SVG picture with its text alternative."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", bold: bool = False, fill: str = INK) -> str:
    """Return text whose middle is at a height."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central" fill="{fill}"{weight}>'
        f"{escape(words)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = INK, width: float = 1.0, dash: str = "") -> str:
    """Return a straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{stroke}" stroke-width="{width}"{dashes}/>'


def path(points: Sequence[tuple[float, float]], stroke: str, dash: str = "") -> str:
    """Return a line through several points."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{stroke}" stroke-width="2"{dashes}/>'


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none") -> str:
    """Return a rectangle."""
    sides = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect {sides} fill="{fill}" stroke="{stroke}"/>'


def dot(x: float, y: float, fill: str = BLUE) -> str:
    """Return a round point."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}"/>'


def square(x: float, y: float, stroke: str = VERMILION) -> str:
    """Return a square, empty point."""
    place = f'x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"'
    return f'<rect {place} fill="white" stroke="{stroke}" stroke-width="2"/>'


def diamond(x: float, y: float, fill: str = VERMILION) -> str:
    """Return a point that stands on its corner."""
    return f'<path d="M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7-7z" fill="{fill}"/>'


def bottom_axis(scale: Scale, y: float, top: float, name: str) -> str:
    """Return a horizontal axis with its name, and faint lines up from its ticks."""
    parts = [line(scale.start, y, scale.end, y)]
    for tick in scale.ticks():
        parts += [line(scale(tick), top, scale(tick), y, FAINT), text(scale(tick), y + 14, number(tick), "middle")]
    return "".join([*parts, text((scale.start + scale.end) / 2, y + 34, name, "middle")])


def left_axis(scale: Scale, x: float, right: float, name: str) -> str:
    """Return a vertical axis, with its name above it, and faint lines from its ticks."""
    parts = [line(x, scale.start, x, scale.end)]
    for tick in scale.ticks(5):
        parts += [line(x, scale(tick), right, scale(tick), FAINT), text(x - GAP, scale(tick), number(tick), "end")]
    return "".join([*parts, text(x, scale.end - 16, name)])


def width_of(words: Sequence[str]) -> float:
    """Return the pixels of the longest of some words, about."""
    return max(map(len, words), default=0) * CHARACTER
