"""Files, columns and rows."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui

from sparkwater.flow.pages.data.files import FileList
from sparkwater.flow.pages.data.frames import FramePanel
from sparkwater.flow.pages.data.reading import Reader
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.texts import heading, page_title

_STYLE = (Path(__file__).parent / "data.css").read_text(encoding="utf-8")


def show(desk: Desk) -> None:
    """Build the page's content: files on the one side; on the other the chosen one, and what was read already."""
    ui.add_css(_STYLE)
    page_title("Data")
    with ui.element("div").classes("data-two"):
        files = ui.column().classes("data-part")
        with ui.column().classes("gap-6"):
            chosen = ui.column().classes("data-part")
            with ui.column().classes("data-part"):
                frames = FramePanel(desk)
        with chosen:
            reader = Reader(desk, frames.choose)
        with files:
            heading("Files")
            FileList(desk, reader.open)
