"""The list of files: folders are opened by a click, and a file is given on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from nicegui import ui

from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.paging import turner
from sparkwater.flow.pages.parts.texts import remark
from sparkwater.flow.pages.parts.waiting import Spot
from sparkwater.flow.views.data.listing import Listing, file_reads, list_folder
from sparkwater.flow.views.numbers import counted, size_text
from sparkwater.flow.work.folders import Entry

#: Words for the ways to read a whole folder.
_FOLDER_WORDS = {
    "pictures": "Read pictures here",
    "csv": "Read all text files (CSV) as one table",
    "parquet": "Read all Parquet files as one table",
    "json": "Read all JSON files as one table",
}

_NOT_FOUND = "No names with this text."

#: Takes a path and a way to read it.
Opener = Callable[[str, str], Awaitable[None]]


class FileList:
    """The folders given at start, one level at a time.

    Parameters
    ----------
    desk : Desk
        The flow.
    on_read : callable
        Called with a path and one of `sparkwater.flow.views.data.listing.WAYS`.
    """

    def __init__(self, desk: Desk, on_read: Opener) -> None:
        self._folders, self._on_read = desk.workspace.folders, on_read
        roots = self._folders.roots
        self._folder: Path | None = roots[0] if len(roots) == 1 else None
        self._page, self._text = 0, ""
        self._crumbs = ui.row().classes("data-crumbs").props('role=navigation aria-label="Folders"')
        self._input = ui.input("Search files and folders", on_change=lambda change: self._search(change.value))
        self._input.props("dense clearable").classes("w-full")
        self._spot = Spot()
        ui.timer(0, self.show, once=True)

    async def show(self) -> None:
        """List the folder."""
        self._show_crumbs()
        if self._folder is None:
            self._spot.clear()
            with self._spot.column:
                self._show_roots()
            return
        look = partial(list_folder, self._folders, str(self._folder), self._page, self._text)
        await self._spot.fill("Looking into the folder", look, self._show_page)

    async def _open(self, folder: Path | None) -> None:
        self._folder, self._page, self._text = folder, 0, ""
        self._input.value = ""  # what was found by it is open now
        await self.show()

    async def _search(self, text: str | None) -> None:
        if (text or "") == self._text:  # emptied here
            return
        self._text, self._page = text or "", 0
        await self.show()

    async def _turn(self, page: int) -> None:
        self._page = page
        await self.show()

    def _show_crumbs(self) -> None:
        self._crumbs.clear()
        with self._crumbs:
            if len(self._folders.roots) > 1:
                _crumb("Folders", partial(self._open, None), is_last=self._folder is None)
            if self._folder is None:
                return
            root = next(root for root in self._folders.roots if root == self._folder or root in self._folder.parents)
            steps = [root, *(root / part for part in _steps(self._folder.relative_to(root)))]
            for step in steps:
                _crumb(step.name or str(step), partial(self._open, step), is_last=step == self._folder)

    def _show_roots(self) -> None:
        found = [root for root in self._folders.roots if self._text.lower() in str(root).lower()]
        if not found:
            remark(_NOT_FOUND)
            return
        with file_list():
            for root in found:
                _item("folder", str(root), "", partial(self._open, root))

    def _show_page(self, listing: Listing) -> None:
        self._page = listing.page
        for way in listing.reads:
            ui.button(_FOLDER_WORDS[way], on_click=partial(self._on_read, str(self._folder), way)).props(
                "outline no-caps dense"
            ).classes("px-2")
        words = ("" if listing.entries else _NOT_FOUND) if self._text else listing.remark
        if words:
            remark(words)
        if not listing.entries:
            return
        with file_list():
            for entry in listing.entries:
                self._show_entry(entry)
        parts = ((listing.folders, "folder"), (listing.files, "file"))
        words = ", ".join(counted(number, name) for number, name in parts if number)
        turner(listing.page, listing.pages, words, self._turn)

    def _show_entry(self, entry: Entry) -> None:
        way = file_reads(entry.name)
        if entry.is_folder:
            _item("folder", entry.name, "", partial(self._open, Path(entry.path)))
        elif way == "pictures":
            _item("image", entry.name, size_text(entry.bytes), partial(self._on_read, str(self._folder), way))
        elif way:
            _item("table_rows", entry.name, size_text(entry.bytes), partial(self._on_read, entry.path, way))
        else:
            _item("draft", entry.name, size_text(entry.bytes), None)


def file_list() -> ui.list:
    """Add a list whose lines are buttons."""
    return ui.list().classes("data-files").props('role=group aria-label="Folders and files"')


def _steps(inner: Path) -> list[Path]:
    return [] if inner == Path() else [*reversed([each for each in inner.parents if each != Path()]), inner]


def _crumb(name: str, opens: Callable[[], Awaitable[None]], is_last: bool = False) -> None:
    button = ui.button(name, on_click=opens).props("flat dense no-caps").classes("px-1")
    if is_last:
        button.props("aria-current=location")
    else:
        remark("/").props("aria-hidden=true")


def _item(icon: str, name: str, size: str, opens: Callable[[], Awaitable[None]] | None) -> None:
    item = ui.item(on_click=opens) if opens else ui.item()
    item.props["aria-label"] = name
    with item.props("role=button" if opens else "disable"):
        with ui.item_section().props("avatar").classes("min-w-0 pr-2"):
            ui.icon(icon, size="xs").props("aria-hidden=true")
        with ui.item_section():
            ui.label(name).classes("data-name")
        if size:
            with ui.item_section().props("side"):
                ui.label(size).classes("text-xs")
