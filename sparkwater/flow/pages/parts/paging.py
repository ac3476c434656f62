"""Long lists a page at a time: words for what is shown, buttons to the other pages, a search by names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from nicegui import ui

from sparkwater.flow.pages.parts.texts import remark
from sparkwater.flow.views.numbers import counted

#: Columns of a page.
COLUMNS = 20


class Named(Protocol):
    """A thing with a name."""

    @property
    def name(self) -> str:
        """Its name."""


_N = TypeVar("_N", bound=Named)


class ColumnPages(Generic[_N]):
    """Columns, a page at a time; those with some letters in their names, where there are several pages.

    Parameters
    ----------
    columns : sequence
        Things with names.
    show : callable
        Adds those of a page.
    """

    def __init__(self, columns: Sequence[_N], show: Callable[[Sequence[_N]], None]) -> None:
        self._columns, self._show = columns, show
        self._page, self._text = 0, ""
        if len(columns) > COLUMNS:
            search = ui.input("Search columns", on_change=lambda change: self._search(change.value))
            search.props("dense clearable")
        self._place = ui.column().classes("flow-content")
        self._fill()

    def _fill(self) -> None:
        self._place.clear()
        found = [column for column in self._columns if self._text.lower() in column.name.lower()]
        pages = max(1, -(-len(found) // COLUMNS))
        self._page = min(max(self._page, 0), pages - 1)
        with self._place:
            self._show(found[self._page * COLUMNS : (self._page + 1) * COLUMNS])
            if len(self._columns) > COLUMNS:
                turner(self._page, pages, counted(len(found), "column"), self._turn)

    def _turn(self, page: int) -> None:
        self._page = page
        self._fill()

    def _search(self, text: str | None) -> None:
        self._text, self._page = text or "", 0
        self._fill()


def turner(page: int, pages: int, words: str, turn: Callable[[int], Awaitable[None] | None]) -> None:
    """Add words for what there is, and where there are several pages their number, and buttons to the next ones.

    Parameters
    ----------
    page, pages : int
        The page that is shown, from 0, and their number.
    words : str
        What there is on all pages.
    turn : callable
        Called with the number of a page that is asked for.
    """
    with ui.row().classes("items-center gap-1 w-full"):
        remark(f"{words}; page {page + 1} of {pages:,}" if pages > 1 else words).classes("text-sm")
        if pages > 1:
            before = ui.button(icon="chevron_left", on_click=partial(turn, page - 1)).props("flat dense round")
            after = ui.button(icon="chevron_right", on_click=partial(turn, page + 1)).props("flat dense round")
            before.props('aria-label="page before"').set_enabled(page > 0)
            after.props('aria-label="next page"').set_enabled(page < pages - 1)


def page_numbers(name: str, turn: Callable[[], None]) -> ui.pagination:
    """Add the numbers of a list's pages; `shown_part` says how many there are.

    Parameters
    ----------
    name : str
        Name for screen readers.
    turn : callable
        Called when another page is chosen.
    """
    numbers = ui.pagination(1, 1, direction_links=True, on_change=turn).props("max-pages=5")
    numbers.props["aria-label"] = name
    return numbers


def shown_part(numbers: ui.pagination, count: int, size: int) -> slice:
    """Let the numbers be those of the pages of so many things, and return the part on the chosen page."""
    numbers.max = max(1, -(-count // size))
    numbers.set_visibility(count > size)
    first = (min(numbers.value or 1, numbers.max) - 1) * size
    return slice(first, first + size)
