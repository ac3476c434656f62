"""Colours, and words of numbers, for plots of all kinds; free of matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Colours of Okabe and Ito, which colour-blind readers tell apart (jfly.uni-koeln.de/color, 2008). Lines differ in
#: their dashes and points in their shapes as well, for print in grey.
BLUE, VERMILION, GREEN, AMBER, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"
INK, FAINT, GREY = "#222222", "#c8c8c8", "#8a8a8a"

#: Names are cut to this many characters in plots.
LONGEST = 28


def short(name: str) -> str:
    """Return a name that fits into a plot."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def number(value: float) -> str:
    """Return a number for readers: four digits that count."""
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def listed(parts: Sequence[str], most: int = 10) -> str:
    """Return parts of a sentence one after the other; of many, the first ones and how many more there are."""
    more = [f"and {len(parts) - most:,} more"] if len(parts) > most else []
    return "; ".join([*parts[:most], *more])
