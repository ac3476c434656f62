"""Scores of a model, and their comparison with labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.choosing import choice, chosen, columns_follow, frames_with, living_choice
from sparkwater.flow.pages.parts.elements import show_matrix
from sparkwater.flow.pages.parts.naming import NewName
from sparkwater.flow.pages.parts.texts import code_block, heading
from sparkwater.flow.pages.parts.waiting import SlowButton
from sparkwater.flow.views.models import matrix_of
from sparkwater.flow.views.suggestions import is_no_double, label_first, plain_columns
from sparkwater.flow.workbook.actions.scoring import CONFUSION, MEASURES, Evaluate, Score


def score(desk: Desk, name: str, model: Any) -> None:
    """Build the panel of scores of a frame, and of their comparison with labels."""
    heading("Score data")
    with ui.row().classes("w-full flow-wrap"):
        frame = living_choice(desk, "Data to score", desk.workspace.frames)
        result = NewName("Name of the scored data", lambda: desk.workspace.fresh("scored"))
    place = ui.column().classes("w-full gap-4")

    def work() -> Callable[[], None]:
        made = result.text
        action = Score(made, name, chosen(frame))
        desk.jobs.complete(action)
        return lambda: told(made, action)

    def told(made: str, action: Score) -> None:
        result.follow()
        code_block(action.code().shown, f"Python: {action.title}")
        ui.label(f"{made} is made; the page Data shows its rows.")
        place.clear()
        with place:
            _evaluate(desk, model, made)

    SlowButton("Score", work)
    place.move()
    with place:
        _evaluate(desk, model)


def _evaluate(desk: Desk, model: Any, made: str | None = None) -> None:
    """Build the comparison of what was made with labels; of the last scored data where nothing was made just now."""
    if not model.hasParam("labelCol"):  # autoencoders have no labels to compare with
        return
    own = str(model.getOrDefault("predictionCol")) if model.hasParam("predictionCol") else ""

    def scored() -> list[str]:
        return frames_with(desk, lambda schema: [name for name in schema.names if name == own])

    found = scored()
    heading("Compare scores with labels")
    with ui.row().classes("w-full flow-wrap"):
        frame = living_choice(desk, "Scored data", scored, made or next(reversed(found), None))
        label, prediction = choice("Labels"), choice("Predictions")
        usual = CONFUSION if getattr(model, "classes", None) else "rmse"
        measure = ui.select(MEASURES, label="Measure", value=usual).classes("flow-grow")
    columns_follow(desk, frame, label, lambda schema: label_first(plain_columns(schema), model))
    columns_follow(desk, frame, prediction, lambda schema: plain_columns(schema, ("predictedLabel", own)))

    def work() -> Callable[[], None]:
        result, rows, actual = desk.workspace.fresh("measured"), chosen(frame), chosen(label)
        as_doubles = is_no_double(desk.workspace.value(rows).schema, actual)
        desk.jobs.complete(Evaluate(result, rows, actual, chosen(prediction), measure.value, as_doubles))
        value = desk.workspace.value(result)
        matrix = matrix_of(value, f"rows of {frame.value}")
        return lambda: _show_number(MEASURES[measure.value], value) if matrix is None else show_matrix(matrix)

    SlowButton("Compare", work)


def _show_number(name: str, value: float) -> None:
    ui.label(f"{name}: {value:.6g}").classes("text-h6")
