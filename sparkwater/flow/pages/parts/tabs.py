"""Tabs whose content is built when they are opened first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nicegui import ui


def add_tabs(contents: Mapping[str, Callable[[], None]]) -> None:
    """Add tabs, and open the first of them.

    Parameters
    ----------
    contents : mapping of str to callable
        For each tab's name a function that builds its content.
    """
    first = next(iter(contents))
    with ui.tabs().props("align=left no-caps outside-arrows mobile-arrows").classes("w-full") as tabs:
        for name in contents:
            ui.tab(name)
    with ui.tab_panels(tabs, value=first, animated=False).classes("w-full flow-tabs"):
        panels = {name: ui.tab_panel(name) for name in contents}

    def build(name: str) -> None:
        if not panels[name].default_slot.children:
            with panels[name], ui.column().classes("w-full gap-4"):
                contents[name]()

    tabs.on_value_change(lambda event: build(event.value))
    build(first)
