"""Columns with a choice of their types, a page of them at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui

from sparkwater.flow.pages.data_files import turned
from sparkwater.flow.pages.texts import remark
from sparkwater.flow.pages.waiting import Spot
from sparkwater.flow.views.numbers import counted
from sparkwater.flow.workbook.column_types import TYPES, TypeChange

#: Columns of a page.
PAGE = 20

_FORMATS = ("date", "timestamp")


@dataclass(frozen=True)
class Column:
    """A column whose type can be chosen.

    Attributes
    ----------
    name : str
        Its name.
    type : str
        The type at first, of `sparkwater.flow.workbook.column_types.TYPES`; an empty one for the type that it has.
    examples : sequence of (str or None)
        Some values.
    """

    name: str
    type: str
    examples: Sequence[str | None]


class TypeList:
    """A line a column: name, type, format of dates, first values.

    Parameters
    ----------
    columns : sequence of Column
        The columns.
    keep : bool
        Whether columns have types already, which are their examples, and may stay as they are; else they are text.
    """

    def __init__(self, columns: Sequence[Column], keep: bool = False) -> None:
        self._columns, self._plain = columns, "" if keep else "text"
        self._heads = ("Column", "New type", "Type now") if keep else ("Column", "Type", "First values")
        self._options = {"": "as it is", **TYPES} if keep else dict(TYPES)
        self._types = {column.name: column.type for column in columns}
        self._formats: dict[str, str] = {}
        self._page, self._text = 0, ""
        if len(columns) > PAGE:
            search = ui.input("Columns with", on_change=lambda change: self._search(change.value))
            search.props("dense clearable")
        self._spot = Spot()
        self._show()

    @property
    def changes(self) -> tuple[TypeChange, ...]:
        """The chosen types that are others than the plain one."""
        return tuple(
            (name, kind, self._formats.get(name, "").strip() if kind in _FORMATS else "")
            for name, kind in self._types.items()
            if kind != self._plain
        )

    def _show(self) -> None:
        self._spot.clear()
        found = [column for column in self._columns if self._text.lower() in column.name.lower()]
        pages = max(1, -(-len(found) // PAGE))
        self._page = min(max(self._page, 0), pages - 1)
        shown = found[self._page * PAGE : (self._page + 1) * PAGE]
        with self._spot.column:
            with ui.element("div").classes("data-scroll"), ui.element("table").classes("data-table"):
                with ui.element("thead"), ui.element("tr"):
                    for words in self._heads:
                        with ui.element("th").props("scope=col"):
                            ui.label(words)
                with ui.element("tbody"):
                    for column in shown:
                        self._show_column(column)
            words = counted(len(found), "column")
            words += f"; page {self._page + 1} of {pages:,}" if pages > 1 else ""
            turned(self._page, pages, words, self._turn)

    def _show_column(self, column: Column) -> None:
        with ui.element("tr"):
            with ui.element("th").props("scope=row"):
                ui.label(column.name)
            with ui.element("td"), ui.row().classes("items-center gap-2 no-wrap"):
                chosen = ui.select(self._options, value=self._types[column.name]).props("dense options-dense")
                chosen.on_value_change(partial(self._choose, column.name)).classes("min-w-44")
                chosen.props["aria-label"] = f"Type of {column.name}"
                date_format = ui.input("Format", value=self._formats.get(column.name, ""), placeholder="yyyy-MM-dd")
                date_format.props("dense").on_value_change(partial(self._format, column.name)).classes("w-36")
                date_format.bind_visibility_from(chosen, "value", backward=lambda kind: kind in _FORMATS)
            with ui.element("td"):
                given = ["missing" if value is None else value for value in column.examples]
                remark(" · ".join(given))

    def _choose(self, name: str, change: object) -> None:
        self._types[name] = str(change.value)  # type: ignore[attr-defined]

    def _format(self, name: str, change: object) -> None:
        self._formats[name] = str(change.value or "")  # type: ignore[attr-defined]

    async def _turn(self, page: int) -> None:
        self._page = page
        self._show()

    def _search(self, text: str | None) -> None:
        self._text, self._page = text or "", 0
        self._show()
