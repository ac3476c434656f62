"""The flow itself: every action with its Python; files to keep, to open, and to take home."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import events, ui

from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.messages import tell, telling
from sparkwater.flow.views.jobs import duration
from sparkwater.flow.workbook.files import notebook, script
from sparkwater.flow.workbook.workbook import MOST_BYTES, Cell, cells_of

#: Cells in a page of the list.
_LISTED = 20
_TOO_LARGE = "The file is too large for a flow."
_EMPTY = "There are no cells yet. What you do on the other pages is written down here, with the Python that repeats it."


def show(desk: Desk) -> None:
    """Build the page's content."""
    ui.label("Flow").classes("text-h5").props("role=heading aria-level=1")
    _files(desk)
    pages = ui.pagination(1, 1, direction_links=True).props('aria-label="Pages of cells" max-pages=5')
    place = ui.column().classes("w-full gap-4")
    shown: list[tuple[Cell, ...]] = []

    def refresh(always: bool = False) -> None:
        cells = desk.workbook.cells
        if shown and shown[0] == cells and not always:
            return
        shown[:] = [cells]
        pages.max = max(1, -(-len(cells) // _LISTED))
        pages.set_visibility(len(cells) > _LISTED)
        first = (min(pages.value or 1, pages.max) - 1) * _LISTED
        place.clear()
        with place:
            if not cells:
                ui.label(_EMPTY).classes("flow-soft")
            for number, cell in enumerate(cells[first : first + _LISTED], first + 1):
                _cell(number, cell)

    pages.on_value_change(lambda: refresh(always=True))
    ui.timer(1.0, refresh)
    refresh()


def _cell(number: int, cell: Cell) -> None:
    with ui.column().classes(f"flow-cell flow-cell-{cell.state}").props(f'role=group aria-label="Cell {number}"'):
        took = f", {duration(cell.seconds)}" if cell.seconds is not None else ""
        words = {"new": "has not run", "done": "done"}.get(cell.state, f"{cell.state}; not in scripts")
        ui.label(f"{number}. {cell.action.title}").classes("text-subtitle1").props("role=heading aria-level=2")
        ui.label(f"{words}{took}").classes("flow-soft")
        with ui.element("pre").classes("flow-code").props("tabindex=0"):
            ui.label(cell.action.code().text.rstrip()).classes("flow-code-text")
        if cell.error:
            ui.label(cell.error).classes("flow-bad")


def _files(desk: Desk) -> None:
    """Buttons for the whole flow."""

    def run_again() -> None:
        confirmed.close()
        with telling():
            desk.jobs.start_again(desk.workbook.cells)
            ui.navigate.to("/jobs")

    with ui.dialog() as confirmed, ui.card():
        ui.label("Run all cells again?").classes("text-h6")
        ui.label(
            "All data and models of this flow are forgotten first, and made anew. Trainings take their time again."
        )
        with ui.row():
            ui.button("Run all cells", on_click=run_again)
            ui.button("Keep them", on_click=confirmed.close).props("flat")

    def ask() -> None:
        if desk.workspace.variables():
            confirmed.open()
        else:
            run_again()

    with ui.row().classes("items-center"):
        ui.button("Run again", icon="replay", on_click=ask)
        _download("Save", "save", "flow.json", lambda: desk.workbook.to_json())
        ui.button("Open", icon="folder_open", on_click=_opening(desk).open).props("outline")
        _download("Download script", "code", "flow.py", lambda: script(desk.workbook.cells))
        _download("Download notebook", "menu_book", "flow.ipynb", lambda: notebook(desk.workbook.cells))


def _download(words: str, icon: str, name: str, text: Callable[[], str]) -> None:
    def give() -> None:
        with telling():
            ui.download(text().encode(), name)

    ui.button(words, icon=icon, on_click=give).props("outline")


def _opening(desk: Desk) -> ui.dialog:
    """Return the dialog that opens a saved flow; nothing runs by that."""

    async def opened(event: events.UploadEventArguments) -> None:
        if event.file.size() > MOST_BYTES:  # from a page that doesn't count
            tell(_TOO_LARGE)
            return
        with telling():
            cells = cells_of(await event.file.read())
            desk.jobs.open(cells)
            dialog.close()
            ui.notify(f"Opened {event.file.name}: {len(cells)} cells. Run them with 'Run again'.", type="positive")
        uploaded.reset()

    with ui.dialog() as dialog, ui.card():
        ui.label("Open a flow").classes("text-h6")
        ui.label("A file that was saved here. It takes the place of the cells and variables; nothing runs yet.")
        uploaded = ui.upload(
            label="Choose a saved flow",
            auto_upload=True,
            max_file_size=MOST_BYTES,
            on_upload=opened,
            on_rejected=lambda: tell(_TOO_LARGE),
        ).props('accept=".json"')
        ui.button("Close", on_click=dialog.close).props("flat")
    return dialog
