"""Names of what will be made."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui


class NewName:
    """An input of a new name: the one that is typed, or else the suggestion that the empty field shows.

    The page never sets its value: that would take away what is being typed.

    Parameters
    ----------
    label : str
        The input's words.
    suggest : callable
        Gives a name that is free.
    changed : callable, optional
        Called after each change.
    """

    def __init__(self, label: str, suggest: Callable[[], str], changed: Callable[[], None] | None = None) -> None:
        self._suggest = suggest
        self._input = ui.input(label, on_change=changed).props("stack-label").classes("flow-grow")
        self._suggestion = ""
        self.follow()

    def follow(self) -> None:
        """Suggest what is free now."""
        self._suggestion = self._suggest()
        self._input.props["placeholder"] = self._suggestion

    @property
    def text(self) -> str:
        """The name."""
        return (self._input.value or "").strip() or self._suggest()
