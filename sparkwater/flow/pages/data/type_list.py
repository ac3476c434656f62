"""Columns with a choice of their types, a page of them at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui

from sparkwater.flow.pages.parts.paging import ColumnPages
from sparkwater.flow.pages.parts.texts import remark
from sparkwater.flow.workbook.column_types import TYPES, TypeChange

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
        self._plain = "" if keep else "text"
        self._heads = ("Column", "New type", "Type now") if keep else ("Column", "Type", "First values")
        self._options = {"": "as it is", **TYPES} if keep else dict(TYPES)
        self._types = {column.name: column.type for column in columns}
        self._formats: dict[str, str] = {}
        ColumnPages(columns, self._table)

    @property
    def changes(self) -> tuple[TypeChange, ...]:
        """The chosen types that are others than the plain one."""
        return tuple(
            (name, kind, self._formats.get(name, "").strip() if kind in _FORMATS else "")
            for name, kind in self._types.items()
            if kind != self._plain
        )

    def _table(self, columns: Sequence[Column]) -> None:
        with ui.element("div").classes("data-scroll"), ui.element("table").classes("data-table"):
            with ui.element("thead"), ui.element("tr"):
                for words in self._heads:
                    with ui.element("th").props("scope=col"):
                        ui.label(words)
            with ui.element("tbody"):
                for column in columns:
                    self._show_column(column)

    def _show_column(self, column: Column) -> None:
        with ui.element("tr"):
            with ui.element("th").props("scope=row"):
                ui.label(column.name)
            with ui.element("td"), ui.row().classes("items-center gap-2 no-wrap"):
                chosen = ui.select(self._options, value=self._types[column.name]).props("dense options-dense")
                chosen.on_value_change(partial(self._choose, column.name)).classes("min-w-44")
                chosen.props["aria-label"] = f"Type of {column.name}"
                date_format = ui.input("Format", value=self._formats.get(column.name, ""), placeholder="yyyy-MM-dd")
                date_format.props["aria-label"] = f"Format of {column.name}"
                date_format.props("dense").on_value_change(partial(self._format, column.name)).classes("w-36")
                date_format.bind_visibility_from(chosen, "value", backward=lambda kind: kind in _FORMATS)
            with ui.element("td"):
                given = ["missing" if value is None else value for value in column.examples]
                remark(" · ".join(given))

    def _choose(self, name: str, change: object) -> None:
        self._types[name] = str(change.value)  # type: ignore[attr-defined]

    def _format(self, name: str, change: object) -> None:
        self._formats[name] = str(change.value or "")  # type: ignore[attr-defined]
