"""Titles, headings, remarks, alerts and Python: the same on all pages."""

from __future__ import annotations

from nicegui import ui


def page_title(text: str) -> None:
    """Add the title of a page."""
    ui.label(text).classes("text-h5").props("role=heading aria-level=1")


def heading(text: str, level: int = 2) -> ui.label:
    """Add a heading below the page's title."""
    return ui.label(text).classes("text-subtitle1 font-semibold flow-path").props(f"role=heading aria-level={level}")


def remark(text: str) -> ui.label:
    """Add words that explain what is beside them."""
    return ui.label(text).classes("flow-soft")


def alert(text: str = "") -> ui.label:
    """Add words on what went wrong, which screen readers say at once."""
    return ui.label(text).classes("flow-bad").props("role=alert")


def code_block(text: str, name: str = "Python") -> ui.label:
    """Add Python; its text can be set.

    Parameters
    ----------
    text : str
        The lines.
    name : str
        Name for screen readers, of its own where a page has several.
    """
    shown = ui.label(text).classes("flow-code").props("tabindex=0 role=region")
    shown.props["aria-label"] = name
    return shown
