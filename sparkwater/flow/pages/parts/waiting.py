"""Places of a page whose content takes a while: words meanwhile, an error in words, or the content."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nicegui import run, ui

from sparkwater.flow.pages.parts.texts import alert
from sparkwater.flow.work.error_text import in_words

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Spot:
    """A place for content; of what is asked for while a thread works for it, only the last is worked on and shown."""

    def __init__(self) -> None:
        self.column = ui.column().classes("flow-content")
        self._asked = 0
        self._turn = asyncio.Lock()  # typing asks for more than threads can give

    def clear(self) -> None:
        """Show nothing."""
        self._asked += 1
        self.column.clear()

    async def fill(self, words: str, work: Callable[[], _T], show: Callable[[_T], None]) -> None:
        """Show the result of work in a thread.

        Parameters
        ----------
        words : str
            Words in the meantime.
        work : callable
            The work; an error is shown in its own words.
        show : callable
            Builds the content from the result.
        """
        self.clear()
        asked = self._asked
        with self.column, ui.row().classes("items-center").props("role=status"):
            ui.spinner()
            ui.label(words)
        async with self._turn:
            if self._is_current(asked):
                await self._fill(asked, words, work, show)

    async def _fill(self, asked: int, words: str, work: Callable[[], _T], show: Callable[[_T], None]) -> None:
        try:
            found: Any = await run.io_bound(work)  # None only where the server ends
        except Exception as error:
            logger.info("%s: %s", words, error, exc_info=True)
            if self._is_current(asked):
                self.clear()
                with self.column:
                    alert(in_words(error))
            return
        if self._is_current(asked):
            self.column.clear()
            with self.column:
                show(found)

    def _is_current(self, asked: int) -> bool:
        return asked == self._asked and not self.column.is_deleted


def busy_button(name: str, work: Callable[[], Awaitable[None]]) -> ui.button:
    """Add a button whose work takes a while: it shows so until the end, and takes no other press meanwhile.

    Parameters
    ----------
    name : str
        The button's words.
    work : callable
        The work of a press.
    """
    busy = False

    async def press() -> None:
        nonlocal busy
        if busy:  # pressed twice, before the browser knew
            return
        busy = True
        button.props("loading")
        try:
            await work()
        finally:
            busy = False
            if not button.is_deleted:  # by what came of it
                button.props(remove="loading")

    button = ui.button(name, on_click=press)
    return button


class SlowButton:
    """A button that does slow work, with a spinner, words, and a place for what comes of it.

    Parameters
    ----------
    name : str
        The button's words.
    work : callable
        The work, in a thread; it gives a function that shows what came of it.
    """

    def __init__(self, name: str, work: Callable[[], Callable[[], None]]) -> None:
        self._work = work
        busy_button(name, self._press)
        self._spot = Spot()

    async def _press(self) -> None:
        await self._spot.fill("Spark is at work", self._work, lambda shown: shown())
