"""Forms that read what was chosen: how, with a look at the first rows, and under which name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nicegui import ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.data.type_list import Column, TypeList
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.texts import heading
from sparkwater.flow.pages.parts.waiting import Spot, busy_button
from sparkwater.flow.views.data.checks import bad_values, check_objects, checked_types
from sparkwater.flow.views.data.preview import Preview, preview_csv, read_texts
from sparkwater.flow.views.data.rows import RowsView, first_rows
from sparkwater.flow.views.data.sniffing import DELIMITERS, TextGuess, check_parquet, look_at_text
from sparkwater.flow.views.markup import gallery, rows_table
from sparkwater.flow.views.suggestions import suggested_name
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.actions.reading import LABELS, ReadPictures
from sparkwater.flow.workbook.actions.tables import ReadCsv, ReadJson, ReadParquet
from sparkwater.flow.workbook.code import variable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows and pictures of a look.
_LOOK, _PICTURES = 6, 12

#: Takes the name of a DataFrame that was made, and remarks on it.
Done = Callable[[str, list[str]], Awaitable[None]]


class Reader:
    """The form for one file or folder.

    Parameters
    ----------
    desk : Desk
        The flow.
    on_done : callable
        Called with the name of the DataFrame, and remarks on it.
    """

    def __init__(self, desk: Desk, on_done: Done) -> None:
        self._desk, self._on_done = desk, on_done
        self._form = Spot()

    async def open(self, path: str, way: str) -> None:
        """Show the form for a file or folder, and a way to read it."""
        if way == "csv":
            folders = self._desk.workspace.folders
            await self._form.fill(
                "Looking at the file", lambda: look_at_text(folders.check_links(path)), partial(self._show_csv, path)
            )
            return
        self._form.clear()
        with self._form.column:
            if way == "pictures":
                _PicturesForm(self._desk, path, self._finish)
            else:
                _WholeForm(self._desk, path, way, self._finish)

    def _show_csv(self, path: str, guess: TextGuess) -> None:
        _CsvForm(self._desk, path, guess, self._finish)

    async def _finish(self, name: str, remarks: list[str]) -> None:
        self._form.clear()
        await self._on_done(name, remarks)


class _Form:
    """The parts of all forms: a heading, a name for the DataFrame, a look at the rows, and a button."""

    def __init__(self, desk: Desk, path: str, words: str, on_done: Done) -> None:
        self.desk, self.path, self._on_done = desk, path, on_done
        heading(f"{words} {PurePath(path).name}")
        with ui.row().classes("data-form"):
            self.build()
            self._name = ui.input("Name of the data", value=desk.workspace.fresh(suggested_name(PurePath(path).name)))
            busy_button("Read", self._read)
        self._state, self._view = Spot(), Spot()
        ui.timer(0, self.look, once=True)

    def build(self) -> None:
        """Add the inputs."""

    def action(self, name: str) -> Action:
        """Return the action that the inputs say."""
        raise NotImplementedError

    async def look(self) -> None:
        """Show the first rows."""
        raise NotImplementedError

    def checked(self, action: Action) -> list[str]:
        """Return remarks on an action that is about to run; raises what forbids it."""
        del action
        return []

    async def _read(self) -> None:
        def work() -> tuple[str, list[str]]:
            name = variable(self._name.value)
            action = self.action(name)
            remarks = self.checked(action)
            if not self.desk.workspace.folders.within(self.path).exists():
                raise ConfigurationError(f"{PurePath(self.path).name!r} is gone; look at its folder again")
            self.desk.jobs.complete(action)
            return name, remarks

        found: list[tuple[str, list[str]]] = []
        await self._state.fill("Reading", work, found.append)
        for name, remarks in found:
            await self._on_done(name, remarks)


class _PicturesForm(_Form):
    """Pictures with labels."""

    def __init__(self, desk: Desk, path: str, on_done: Done) -> None:
        super().__init__(desk, path, "Pictures in", on_done)

    def build(self) -> None:
        """Add the inputs."""
        self._labels = ui.select(dict(LABELS), label="Label", value="folder", on_change=self.look).classes("min-w-44")
        self._pattern = ui.input("Pattern of the path; the label in brackets", value="/([^/]+)/[^/]+$")
        self._pattern.on("change", self.look).classes("min-w-72")
        self._pattern.bind_visibility_from(self._labels, "value", value="pattern")

    def action(self, name: str) -> Action:
        """Return the action that the inputs say."""
        pattern = self._pattern.value if self._labels.value == "pattern" else ""
        return ReadPictures(name, self.path, self._labels.value, pattern)

    async def look(self) -> None:
        """Show the first pictures."""
        await self._view.fill("Looking at the pictures", self._first, self._show)

    def _first(self) -> RowsView:
        frame = scratch(self.desk, self.action("look"))
        return first_rows(frame.drop("path"), _PICTURES)

    def _show(self, view: RowsView) -> None:
        ui.html(gallery(view, view.pictures.index(True)), sanitize=False).classes("w-full")


class _WholeForm(_Form):
    """Parquet and JSON, which know their types."""

    def __init__(self, desk: Desk, path: str, way: str, on_done: Done) -> None:
        self._way = way
        super().__init__(desk, path, "Table", on_done)

    def build(self) -> None:
        """Add the inputs."""
        self._whole = ui.switch("Each file is one document", value=False, on_change=self.look)
        self._whole.set_visibility(self._way == "json")

    def action(self, name: str) -> Action:
        """Return the action that the inputs say."""
        if self._way == "json":
            return ReadJson(name, self.path, self._whole.value)
        check_parquet(self.desk.workspace.folders.within(self.path))
        return ReadParquet(name, self.path)

    async def look(self) -> None:
        """Show the first rows."""
        await self._view.fill("Looking at the table", lambda: first_rows(self._table(), _LOOK), self._show)

    def checked(self, action: Action) -> list[str]:
        """Refuse JSON without objects."""
        if isinstance(action, ReadJson):
            self._table()
        return []

    def _table(self) -> DataFrame:
        found: DataFrame = scratch(self.desk, self.action("look"))
        if self._way == "json":
            check_objects(found)
        return found

    def _show(self, view: RowsView) -> None:
        with ui.element("div").classes("data-scroll").props('tabindex=0 role=region aria-label="First rows"'):
            ui.html(rows_table(view, "First rows"), sanitize=False)


class _CsvForm(_Form):
    """Texts with a delimiter, whose types are guessed and can be changed."""

    def __init__(self, desk: Desk, path: str, guess: TextGuess, on_done: Done) -> None:
        self._guess = guess
        self._types: TypeList | None = None
        super().__init__(desk, path, "Table", on_done)

    def build(self) -> None:
        """Add the inputs."""
        self._delimiter = ui.select(DELIMITERS, label="Between values", value=self._guess.delimiter)
        self._delimiter.on_value_change(self.look).classes("min-w-40")
        self._null = ui.input("Text for a missing value", value=self._guess.null_text).classes("min-w-52")
        self._null.on("change", self.look)
        self._header = ui.switch("First line has the names", value=self._guess.header, on_change=self.look)

    def action(self, name: str) -> ReadCsv:
        """Return the action that the inputs say."""
        if self._types is None:
            raise ConfigurationError("the columns aren't known yet; wait until they are shown")
        return replace(self._plain(name), types=self._types.changes)

    def checked(self, action: Action) -> list[str]:
        """Return the values that become missing; refuses a type that no value has."""
        assert isinstance(action, ReadCsv)  # of this form
        return checked_types(bad_values(read_texts(self.desk.workspace.spark, action), action.types))

    async def look(self) -> None:
        """Show the columns with their types."""
        self._types = None
        action = self._plain("look")
        await self._view.fill(
            "Looking at the table", lambda: preview_csv(self.desk.workspace.spark, action), self._show
        )

    def _plain(self, name: str) -> ReadCsv:
        self.desk.workspace.folders.within(self.path)
        null = (self._null.value or "").strip()
        return ReadCsv(name, self.path, self._delimiter.value, bool(self._header.value), null)

    def _show(self, preview: Preview) -> None:
        columns = [
            Column(name, preview.types[place], [row[place] for row in preview.rows[:_LOOK]])
            for place, name in enumerate(preview.names)
        ]
        self._types = TypeList(columns)


def scratch(desk: Desk, action: Action) -> Any:
    """Return the value of an action that leaves no trace in the flow."""
    return Workspace(desk.workspace.spark, desk.workspace.folders).run(action)
