"""Fitted models: what their summaries say, what they got wrong, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.models import keeping, pictures, scores
from sparkwater.flow.pages.parts.elements import (
    add_style,
    show_curves,
    show_drawing,
    show_facts,
    show_matrix,
    show_table,
)
from sparkwater.flow.pages.parts.tabs import add_tabs
from sparkwater.flow.pages.parts.texts import heading, page_title, remark
from sparkwater.flow.pages.parts.waiting import Spot
from sparkwater.flow.views.models import ModelView, comparison, model_view
from sparkwater.flow.views.networks import drawing_of

#: Models in the first comparison.
_COMPARED = 20


def show(desk: Desk) -> None:
    """Build the page's content."""
    add_style()
    names = desk.workspace.models()
    page_title("Models")
    if not names:
        with ui.row().classes("items-center"):
            ui.label("No model is fitted yet.")
            ui.link("Build one", "/build").classes("flow-inline-link")
        return
    if len(names) > 1:
        _compare(desk, names)
    chosen = ui.select(names, value=names[-1], label="Model").classes("flow-chosen")
    spot = Spot()

    async def tell() -> None:
        name: str = chosen.value
        model = desk.workspace.value(name)
        await spot.fill(f"Reading {name}", lambda: model_view(name, model), lambda view: _tabs(desk, view, model))

    chosen.on_value_change(tell)
    ui.timer(0, tell, once=True)


def _compare(desk: Desk, names: list[str]) -> None:
    with ui.expansion("Compare", value=True).classes("w-full flow-panel"):
        chosen = ui.select(names, value=names[-_COMPARED:], label="Models to compare", multiple=True).props("use-chips")
        place = ui.column().classes("w-full")

        def tell() -> None:
            place.clear()
            with place:
                show_table(comparison([(name, desk.workspace.value(name)) for name in chosen.value]))

        chosen.classes("w-full").on_value_change(tell)
        tell()


def _tabs(desk: Desk, view: ModelView, model: Any) -> None:
    """Build the tabs of a model."""
    built: dict[str, Callable[[], None]] = {"Overview": lambda: _overview(view)}
    if getattr(model, "classes", None) and model.hasParam("probabilityCol"):
        built["Mistakes"] = lambda: pictures.mistakes(desk, model)
    if view.network is not None:
        built["Network"] = lambda: show_drawing(drawing_of(view.network))
        built["Nearest"] = lambda: pictures.neighbours(desk, view)
    built["Score"] = lambda: scores.score(desk, view.name, model)
    built["Save and export"] = lambda: keeping.keep(desk, view.name)
    add_tabs(built)


def _overview(view: ModelView) -> None:
    heading(f"{view.name}, {view.kind}")
    show_facts(view.facts)
    for note in view.notes:
        remark(note)
    if view.curves:
        heading("Learning curves")
        with ui.element("div").classes("flow-curves"):
            for curves in view.curves:
                show_curves(curves)
    if view.matrix is not None:
        show_matrix(view.matrix)
    for table in view.tables:
        show_table(table)
