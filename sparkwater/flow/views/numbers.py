"""Numbers as people read them: values, counts, shares, sizes, times."""

from __future__ import annotations

import math


def number_text(value: float) -> str:
    """Return a number as text: whole ones whole, others to six digits."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.6g}" if 1e-4 <= abs(value) < 1e9 else f"{value:.6g}"


def count_text(count: float) -> str:
    """Return a number of rows, which may be a sum of weights: whole ones whole, others to two places."""
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.2f}"


def cell_text(value: str | float | int | None) -> str:
    """Return a value of a table as text: fractions to four digits, large ones to one place; an empty text for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return count_text(value)
        return f"{value:,.1f}" if 1_000 <= abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def shown_value(value: str | float | int | None) -> str | float | int | None:
    """Return a value of a table with as few digits as `cell_text` shows; numbers stay numbers, for a table to sort."""
    if not isinstance(value, float) or value.is_integer():
        return value
    return round(value, 1) if abs(value) >= 1_000 else float(f"{value:.4g}")


def counted(number: float, name: str) -> str:
    """Return a number of things with their name, which gets an s where they aren't one: ``1 row``, ``2,000 rows``."""
    return f"{count_text(number)} {name}{'' if number == 1 else 's'}"


def share(part: float, whole: float) -> str:
    """Return a part as a percentage; "none" of nothing."""
    return f"{part / whole:.1%}" if whole else "none"


def size_text(size: float) -> str:
    """Return a number of bytes with its unit."""
    unit = "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.3g} {unit}"


def duration(seconds: float | None) -> str:
    """Return a time in words: ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
