"""Errors as messages on the page, which stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from sparkwater.flow.work.error_text import expected_errors, in_words


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
