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
    show_plot,
    show_table,
)
from sparkwater.flow.pages.parts.following import follow, with_chosen
from sparkwater.flow.pages.parts.tabs import add_tabs
from sparkwater.flow.pages.parts.texts import code_block, heading, page_title, remark
from sparkwater.flow.pages.parts.waiting import Spot
from sparkwater.flow.views.models import ModelView, alike, comparison, model_view, paragraphs
from sparkwater.flow.views.networks import drawing_of
from sparkwater.flow.workbook.actions.training import Fit

#: Models in the first comparison.
_COMPARED = 20


def show(desk: Desk) -> None:
    """Build the page's content."""
    add_style()
    page_title("Models")
    _ModelsPage(desk)


class _ModelsPage:
    """The comparison, and the model that was chosen; both follow the jobs that end and the other windows."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: Any = None
        with ui.row().classes("items-center") as self._none:
            ui.label("No model is fitted yet.")
            ui.link("Build one", "/build").classes("flow-inline-link")
        self._comparison = _Comparison(desk)
        self._chosen = ui.select([], label="Model").classes("flow-chosen")
        self._spot = Spot()
        self._look()
        self._chosen.on_value_change(self._tell)
        ui.timer(0, self._tell, once=True)
        follow(desk, self._look)

    def _look(self) -> None:
        names = self._desk.workspace.models()
        chosen = self._chosen.value or next(reversed(names), None)
        self._comparison.look(names, chosen)
        self._none.set_visibility(chosen is None)
        self._chosen.set_visibility(chosen is not None)
        self._chosen.set_options(with_chosen(names, chosen), value=chosen)
        if self._shown is not None and self._model() not in (None, self._shown):
            ui.timer(0, self._tell, once=True)  # a flow that ran again has made it anew

    def _model(self) -> Any:
        return self._desk.workspace.variables().get(self._chosen.value)

    async def _tell(self) -> None:
        name, model = self._chosen.value, self._model()
        if model is not None:
            self._shown = model
            self._comparison.look(self._desk.workspace.models(), name)
            await self._spot.fill(
                f"Reading {name}", lambda: model_view(name, model), lambda view: _tabs(self._desk, view, model)
            )


class _Comparison:
    """A table of several models: at first those of the same data as the one in view, and new ones of it join them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._taken_in: list[str] = []
        self._compared: list[tuple[str, Any]] = []
        with ui.expansion("Compare", value=True).classes("w-full flow-panel") as self._panel:
            self._chosen = ui.select([], label="Models to compare", value=[], multiple=True).props("use-chips")
            self._place = ui.column().classes("w-full")
        self._chosen.classes("w-full").on_value_change(self._tell)

    def look(self, names: list[str], viewed: str | None) -> None:
        """Let the choices be these models, of which one is in view."""
        before, kept = self._taken_in, self._chosen.value
        self._taken_in = alike(names, viewed, self._fits())
        if viewed not in before:  # other data: what was chosen for the one before says nothing of it
            before, kept = [], []
        chosen = [name for name in names if name in kept or (name in self._taken_in and name not in before)]
        self._panel.set_visibility(len(names) > 1)
        self._chosen.set_options(names, value=chosen[-_COMPARED:])
        self._tell()

    def _tell(self) -> None:
        variables = self._desk.workspace.variables()
        compared = [(name, variables[name]) for name in self._chosen.value if name in variables]
        if compared == self._compared:
            return
        self._compared = compared
        self._place.clear()
        with self._place:
            show_table(comparison(compared, self._fits()))

    def _fits(self) -> dict[str, Fit]:
        """Return the trainings by their models; of a flow that ran again the last ones."""
        actions = (job.action for job in self._desk.jobs.all())
        return {action.result: action for action in actions if isinstance(action, Fit)}


def _tabs(desk: Desk, view: ModelView, model: Any) -> None:
    """Build the tabs of a model."""
    built: dict[str, Callable[[], None]] = {"Overview": lambda: _overview(view)}
    if getattr(model, "classes", None) and model.hasParam("probabilityCol"):
        built["Mistakes"] = lambda: pictures.mistakes(desk, view.name, model)
    if view.network is not None:
        built["Network"] = lambda: show_drawing(drawing_of(view.network))
        built["Nearest"] = lambda: pictures.neighbours(desk, view)
    built["Score"] = lambda: scores.score(desk, view.name, model)
    built["Save and export"] = lambda: keeping.keep(desk, view.name)
    add_tabs(built)


def _overview(view: ModelView) -> None:
    heading(f"{view.name}, {view.kind}")
    show_facts(view.facts)
    for is_table, words in paragraphs(view.notes):
        if is_table:
            code_block(words, "Columns")
        else:
            remark(words)
    if view.curves:
        heading("Learning curves")
        with ui.element("div").classes("flow-curves"):
            for curves in view.curves:
                show_curves(curves)
    for plot in view.plots:
        show_plot(plot)
    if view.matrix is not None:
        show_matrix(view.matrix)
    for table in view.tables:
        show_table(table)
