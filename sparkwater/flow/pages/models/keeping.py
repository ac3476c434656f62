"""Saving and export of a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nicegui import ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.choosing import choice, chosen, living_choice
from sparkwater.flow.pages.parts.texts import code_block, heading, remark
from sparkwater.flow.pages.parts.waiting import SlowButton
from sparkwater.flow.workbook.actions.keeping import ExportBundle, SaveModel


def keep(desk: Desk, name: str) -> None:
    """Build the panel of saving and export."""
    roots = [str(root) for root in desk.workspace.folders.roots]
    heading("Where")
    with ui.row().classes("w-full flow-wrap"):
        root = choice("Folder", roots, roots[-1])  # the first ones are mostly of data
        folder = ui.input("Name of the new folder", value=f"models/{name}").classes("flow-grow")
        over = ui.checkbox("Replace what is there")
    heading("Save the model")
    remark("As every stage of Spark ML is saved; its class's load reads it again.")

    def place(suffix: str) -> str:
        name = (folder.value or "").strip()
        if not name:
            raise ConfigurationError("name a new folder, such as models/digits")
        return str(Path(chosen(root)) / f"{name}{suffix}")

    def save() -> Callable[[], None]:
        return _kept(desk, SaveModel(name, place(""), bool(over.value)))

    SlowButton("Save", save)
    heading("Export a bundle")
    remark(
        "A folder that is scored without Spark and torch. Up to 100 rows of the sample go along, readable, with the "
        "outputs that are expected."
    )
    with ui.row().classes("w-full flow-wrap"):
        sample = living_choice(desk, "Sample of real input", desk.workspace.frames)
    SlowButton("Export", lambda: _kept(desk, ExportBundle(name, chosen(sample), place("_bundle"), bool(over.value))))


def _kept(desk: Desk, action: SaveModel | ExportBundle) -> Callable[[], None]:
    desk.jobs.complete(action)

    def tell() -> None:
        ui.label(f"Written to {action.folder}.")
        code_block(action.code().shown, f"Python: {action.title}")

    return tell
