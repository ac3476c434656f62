"""Parts of a page that follow the flow: other windows, and jobs that end, make and forget its variables too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nicegui import ui

from sparkwater.flow.pages.desk import Desk

_SECONDS_BETWEEN_LOOKS = 1.0


def follow(desk: Desk, take: Callable[[], None]) -> None:
    """Call a function after each change of the flow's variables, as long as this part of the page is there."""
    seen = desk.workspace.changes

    def look() -> None:
        nonlocal seen
        now = desk.workspace.changes
        if now != seen:
            seen = now
            take()

    ui.timer(_SECONDS_BETWEEN_LOOKS, look)


def with_chosen(names: Sequence[str], *chosen: str | None) -> list[str]:
    """Return names with those that were chosen, which stay even where they are gone.

    A flow that runs again forgets its variables, and makes those of the same names soon; until then errors say that
    they aren't there.
    """
    return [*names, *(one for one in chosen if one and one not in names)]
