"""The cells with their Python, and their files."""

from __future__ import annotations

from nicegui import ui

from sparkwater.flow.pages.desk import Desk


def show(desk: Desk) -> None:
    """Build the page's content."""
    ui.label("Flow").classes("text-h5")
    ui.label(f"{len(desk.workbook.cells)} cells")
