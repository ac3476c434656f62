"""Numbers to a few digits: sums differ in their last bits by partitioning, and what is learned must not."""

from __future__ import annotations

import math

#: Digits that sums keep.
DIGITS = 6


def rounded(value: float, digits: int = DIGITS) -> float:
    """Return a number with so many significant digits."""
    return float(f"{value:.{digits}g}")


def rounded_in(value: float, unit: float) -> float:
    """Return a number rounded in proportion to a unit: one far from 0 keeps the digits that the unit tells apart."""
    return round(value, DIGITS - 1 - math.floor(math.log10(unit)))
