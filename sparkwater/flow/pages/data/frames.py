"""The DataFrames of a flow: columns, pictures, first rows, types, parts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nicegui import ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.data.column_table import show_columns
from sparkwater.flow.pages.data.reading import Done
from sparkwater.flow.pages.data.type_list import Column, TypeList
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.tabs import add_tabs
from sparkwater.flow.pages.parts.texts import alert, heading, remark
from sparkwater.flow.pages.parts.waiting import Spot, busy_button
from sparkwater.flow.views.data.checks import bad_values, checked_types
from sparkwater.flow.views.data.facts import KnownFacts
from sparkwater.flow.views.data.rows import RowsView, first_rows
from sparkwater.flow.views.data.types import kind_of, type_words
from sparkwater.flow.views.markup import gallery, rows_table
from sparkwater.flow.workbook.actions.splitting import SplitFrame
from sparkwater.flow.workbook.actions.tables import ChangeTypes
from sparkwater.flow.workbook.code import variable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows of the table, and pictures of the gallery.
_ROWS, _PICTURES = 12, 24

#: What was measured of DataFrames that are in use: a page that is loaded again asks Spark for nothing.
_measured = KnownFacts()


class FramePanel:
    """The list of DataFrames, and a closer look at one of them.

    Parameters
    ----------
    desk : Desk
        The flow.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._buttons: dict[str, ui.button] = {}
        self._chosen = ""
        self._frame: DataFrame | None = None
        heading("Data in this flow")
        self._list = ui.row().classes("data-frames").props('role=group aria-label="Data in this flow"')
        self._remarks, self._spot = Spot(), Spot()
        self._look()
        ui.timer(2.0, self._follow)
        ui.timer(0, self._again, once=True)

    async def choose(self, name: str, remarks: list[str] | None = None) -> None:
        """Show a DataFrame, and remarks on it."""
        self._chosen, self._frame = name, self._desk.workspace.variables().get(name)
        self._look()
        self._remarks.clear()
        with self._remarks.column:
            for words in remarks or ():
                alert(words)
        self._spot.clear()
        with self._spot.column:
            FrameTabs(self._desk, name, self.choose)

    async def _again(self) -> None:
        """Show the last DataFrame that was looked at, as on the page before it was loaded again."""
        known = [name for name in self._buttons if self._desk.workspace.value(name) in _measured]
        if known and not self._chosen:
            await self.choose(known[-1])

    async def _follow(self) -> None:
        """Follow the workspace, in which other pages and windows make DataFrames too, or the same ones anew."""
        self._look()
        now = self._desk.workspace.variables().get(self._chosen)
        if now is not None and now is not self._frame:
            await self.choose(self._chosen)

    def _look(self) -> None:
        """Show the names of the DataFrames there are, and which one is chosen."""
        names = self._desk.workspace.frames()
        if names != list(self._buttons) or not self._list.default_slot.children:
            self._show_list(names)
        for name, button in self._buttons.items():
            here = name == self._chosen
            button.props(add="unelevated" if here else "outline", remove="outline" if here else "unelevated")
            button.props(f"aria-pressed={str(here).lower()}")

    def _show_list(self, names: list[str]) -> None:
        # Only where it changes: a button that is made anew loses the press that is on its way.
        self._list.clear()
        self._buttons = {}
        with self._list:
            if not names:
                remark("None yet: choose a file or a folder.")
            for name in names:
                button = ui.button(name, on_click=partial(self.choose, name)).props("no-caps dense").classes("px-3")
                self._buttons[name] = button


class FrameTabs:
    """Tabs on a DataFrame; each asks Spark when it is opened first.

    Parameters
    ----------
    desk : Desk
        The flow.
    name : str
        The DataFrame.
    on_made : callable
        Called with the name of a DataFrame that was made of it, and remarks.
    """

    def __init__(self, desk: Desk, name: str, on_made: Done) -> None:
        self._name = name
        self._frame: DataFrame = desk.workspace.value(name)
        add_tabs(
            {
                "Columns": lambda: show_columns(self._frame, _measured),
                "First rows": self._first_rows,
                "Split": lambda: SplitForm(desk, name, self._frame.columns, on_made).build(),
                "Change types": lambda: _TypesForm(desk, name, self._frame, on_made).build(),
            }
        )

    def _first_rows(self) -> None:
        spot = Spot()

        async def read() -> None:
            await spot.fill("Reading the first rows", self._read_rows, self._show_rows)

        ui.timer(0, read, once=True)

    def _read_rows(self) -> RowsView:
        return first_rows(self._frame, _PICTURES)

    def _show_rows(self, view: RowsView) -> None:
        if not view.rows:
            remark("There are no rows.")
            return
        for place, name in enumerate(view.names):
            if view.pictures[place] and any(row[place].picture for row in view.rows):
                heading(f"Pictures in {name}", 3)
                ui.html(gallery(view, place), sanitize=False).classes("w-full")
        heading("As a table", 3)
        with ui.element("div").classes("data-scroll").props('tabindex=0 role=region aria-label="First rows"'):
            few = RowsView(view.names, view.pictures, view.rows[:_ROWS])
            ui.html(rows_table(few, f"First rows of {self._name}"), sanitize=False)
        if view.left_out:
            remark(f"{view.left_out:,} more columns aren't shown.")


class SplitForm:
    """Names and shares of parts."""

    def __init__(self, desk: Desk, name: str, columns: list[str], on_made: Done) -> None:
        self._desk, self._name, self._columns, self._on_made = desk, name, columns, on_made

    def build(self) -> None:
        """Add the inputs."""
        remark("A row's part follows from its content and the seed: it is the same in any order, on any cluster.")
        self._parts = []
        for number, (words, share) in enumerate((("train", 80), ("test", 20), ("", 0)), 1):
            with ui.row().classes("data-form"):
                part = self._desk.workspace.fresh(f"{self._name}_{words}") if words else ""
                label = f"Name of part {number}" + ("" if words else ", if any")
                named = ui.input(label, value=part).classes("min-w-56")
                percent = ui.number("Percent", value=share, min=0, max=100, precision=0).classes("w-24")
                percent.props["aria-label"] = f"Percent of part {number}"
                self._parts.append((named, percent))
        with ui.row().classes("data-form"):
            self._seed = ui.number("Seed", value=42, precision=0).classes("w-24")
            options = {"": "nothing: each row by itself", **{one: one for one in self._columns}}
            self._together = ui.select(options, label="Rows stay together that share", value="", with_input=True)
            self._together.classes("min-w-64")
            busy_button("Split", self._run)
        self._state = Spot()

    def _action(self) -> SplitFrame:
        parts = []
        for named, percent in self._parts:
            text = (named.value or "").strip()
            if text or percent.value:
                parts.append((variable(text), int(percent.value or 0)))
        seed, (first, *others) = self._seed.value, parts or [(variable(""), 0)]
        if seed is None:
            raise ConfigurationError("give a seed: a whole number, such as 42")
        return SplitFrame(first[0], self._name, first[1], tuple(others), int(seed), self._together.value or "")

    def _work(self) -> str:
        action = self._action()
        self._desk.jobs.complete(action)
        return action.result

    async def _run(self) -> None:
        made: list[str] = []
        await self._state.fill("Splitting", self._work, made.append)
        for name in made:
            await self._on_made(name, [])


class _TypesForm:
    """Other types for columns."""

    def __init__(self, desk: Desk, name: str, frame: DataFrame, on_made: Done) -> None:
        self._desk, self._name, self._frame, self._on_made = desk, name, frame, on_made

    def build(self) -> None:
        """Add the inputs."""
        remark("Values that the new type has no place for are counted, and become missing.")
        with ui.row().classes("data-form"):
            self._result = ui.input("Name of the data", value=self._desk.workspace.fresh(f"{self._name}_typed"))
            busy_button("Change types", self._run)
        self._state = Spot()
        single = [field for field in self._frame.schema.fields if kind_of(field) in ("number", "category", "time")]
        self._list = TypeList([Column(field.name, "", [type_words(field)]) for field in single], keep=True)

    def _work(self) -> tuple[str, list[str]]:
        action = ChangeTypes(variable(self._result.value), self._name, self._list.changes)
        remarks = checked_types(bad_values(self._frame, action.types))
        self._desk.jobs.complete(action)
        return action.result, remarks

    async def _run(self) -> None:
        made: list[tuple[str, list[str]]] = []
        await self._state.fill("Changing types", self._work, made.append)
        for name, remarks in made:
            await self._on_made(name, remarks)
