"""The flow itself: every action with its Python; files to keep, to open, and to take home."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile

from nicegui import events, ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.messages import tell, telling
from sparkwater.flow.pages.parts.paging import page_numbers, shown_part
from sparkwater.flow.pages.parts.texts import code_block, heading, page_title, remark
from sparkwater.flow.views.numbers import duration
from sparkwater.flow.workbook.files import notebook, script
from sparkwater.flow.workbook.workbook import MOST_BYTES, Cell, cells_of

#: Cells in a page of the list.
_LISTED = 20
_TOO_LARGE = "The file is too large for a flow."
_EMPTY = "There are no cells yet. What you do on the other pages is written down here, with the Python that repeats it."


def show(desk: Desk) -> None:
    """Build the page's content."""
    page_title("Flow")
    _files(desk)
    _CellList(desk)


class _CellList:
    """A page of the cells. Those that stay keep their elements: one made anew loses the focus and what is selected."""

    def __init__(self, desk: Desk) -> None:
        self._workbook = desk.workbook
        self._shown: list[tuple[int, Cell]] = []
        self._none = remark(_EMPTY)
        self._pages = page_numbers("Pages of cells", self._refresh)
        self._place = ui.column().classes("w-full gap-4")
        ui.timer(1.0, self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        cells = self._workbook.cells
        self._none.set_visibility(not cells)
        part = shown_part(self._pages, len(cells), _LISTED)
        wanted = list(enumerate(cells[part], part.start + 1))
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._shown, wanted, strict=False)))
        for element in self._place.default_slot.children[same:]:
            element.delete()
        with self._place:
            for number, cell in wanted[same:]:
                _cell(number, cell)
        self._shown = wanted


def _cell(number: int, cell: Cell) -> None:
    with ui.column().classes(f"flow-cell flow-cell-{cell.state}").props(f'role=group aria-label="Cell {number}"'):
        took = f", {duration(cell.seconds)}" if cell.seconds is not None else ""
        words = {"new": "has not run", "done": "done"}.get(cell.state, f"{cell.state}; not in scripts")
        heading(f"{number}. {cell.action.title}")
        remark(f"{words}{took}")
        if cell.action.replaced and cell.repeats:
            ui.label(f"When it runs, it replaces what is at {', '.join(cell.action.replaced)}.").classes("flow-warning")
        code_block(cell.action.code().shown, f"Python of cell {number}")
        if cell.error:
            ui.label(cell.error).classes("flow-bad")


def _files(desk: Desk) -> None:
    """Buttons for the whole flow."""
    with ui.row().classes("items-center"):
        ui.button("Run again", icon="replay", on_click=_running_again(desk))
        _download("Save", "save", "flow.json", lambda: desk.workbook.to_json())
        ui.button("Open", icon="folder_open", on_click=_opening(desk).open).props("outline")
        _download("Download script", "code", "flow.py", lambda: script(desk.workbook.cells))
        _download("Download notebook", "menu_book", "flow.ipynb", lambda: notebook(desk.workbook.cells))


def _running_again(desk: Desk) -> Callable[[], None]:
    """Return the function that runs all cells again, and asks before where something would be lost."""

    def found() -> tuple[tuple[Cell, ...], list[str]]:
        """Return the cells, and the folders that they write and in which there is something."""
        cells = desk.workbook.cells
        return cells, list(dict.fromkeys([*desk.jobs.in_the_way(cells), *desk.jobs.lost_by(cells)]))

    def run_again(asked: tuple[tuple[Cell, ...], list[str]], replaces: bool = False) -> None:
        confirmed.close()
        with telling():
            if found() != asked:  # another window's doing, which the answer isn't about
                raise ConfigurationError(
                    "the flow, or what is in its folders, has changed since you were asked; press 'Run again' once more"
                )
            desk.jobs.start_again(asked[0], replaces=replaces)
            ui.navigate.to("/jobs")

    confirmed = ui.dialog().props('aria-label="Run again"')

    def ask() -> None:
        with telling():
            asked, forgets = found(), bool(desk.workspace.variables())
            saved = asked[1]
            if not saved and not forgets:
                run_again(asked)
                return
            confirmed.clear()
            with confirmed, ui.card():
                _question(saved, forgets, partial(run_again, asked), confirmed.close)
            confirmed.open()

    return ask


def _question(
    saved: Sequence[str], forgets: bool, run_again: Callable[[bool], None], leave: Callable[[], object]
) -> None:
    """Ask whether all cells are to run again, and whether what they save replaces what is there."""
    heading("Run all cells again?")
    if forgets:
        ui.label(
            "All data and models of this flow are forgotten first, and made anew. Trainings take their time again."
        )
    over = ui.checkbox("Replace what is there")
    over.set_visibility(bool(saved))
    if saved:
        words = f"Cells save into folders in which there is something already: {', '.join(saved)}."
        ui.label(words).classes("flow-path")
    with ui.row():
        ui.button("Run all cells", on_click=lambda: run_again(bool(over.value)))
        ui.button("Keep them" if forgets else "Leave it", on_click=leave).props("flat")


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

    with ui.dialog().props('aria-label="Open a flow"') as dialog, ui.card():
        heading("Open a flow")
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
