"""Errors as messages on the page, which stays as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from sparkwater.flow.work.error_text import expected_errors, in_words

#: A timer's error comes each second; the same words aren't shown again within so many seconds.
_QUIET_SECONDS = 30.0


def tell_errors() -> None:
    """Let this page show errors of its buttons and timers that nothing else shows."""
    told: dict[str, float] = {}

    def show(error: Exception) -> None:
        if isinstance(error, RuntimeError) and "has been deleted" in str(error):
            return  # NiceGUI's, where a part of the page went away before its content came
        words, now = in_words(error), time.monotonic()
        if now - told.get(words, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            told[words] = now
            tell(words)

    ui.on_exception(show)


@contextmanager
def telling() -> Iterator[None]:
    """Show errors of sparkwater and of Spark that the block raises, and end the block."""
    try:
        yield
    except expected_errors() as error:
        tell(in_words(error))


def tell(words: str) -> None:
    """Show words of an error until they are closed."""
    ui.notify(words, type="negative", multi_line=True, timeout=0, close_button="Close", classes="flow-message")
