"""Confidence intervals of what plots show; free of matplotlib."""

from __future__ import annotations

import math


def wilson(rate: float, rows: float) -> tuple[float, float]:
    """Return the 95 % interval of a rate (Wilson, JASA 22, 1927); it isn't empty where the rate is 0 or 1."""
    z = 1.959964
    middle = (rate + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(rate * (1 - rate) / rows + z * z / (4 * rows * rows))
    return max(0.0, middle - reach), min(1.0, middle + reach)
