"""Text tables and numbers for people."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        ).rstrip()
        for line in lines
    )


def as_html(text: str) -> str:
    """Return lines of text as a notebook shows them, each as it is."""
    return f"<pre>{escape(text)}</pre>"


def number(value: float) -> str:
    """Return a count, or a sum of weights, with its thousands apart."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
