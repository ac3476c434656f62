"""Panels that use a model: its mistakes, nearest pictures, scores, saving and export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.elements import show_matrix, show_pictures
from sparkwater.flow.pages.texts import code_block, heading, remark
from sparkwater.flow.pages.waiting import Spot
from sparkwater.flow.views.galleries import (
    PictureView,
    nearest,
    picture_columns,
    scored_by,
    vector_columns,
    wrong_pictures,
)
from sparkwater.flow.views.models import ModelView, matrix_of
from sparkwater.flow.views.numbers import counted
from sparkwater.flow.views.suggestions import identifier_columns, plain_columns
from sparkwater.flow.workbook.actions.keeping import ExportBundle, SaveModel
from sparkwater.flow.workbook.actions.scoring import CONFUSION, MEASURES, Evaluate, ExtractFeatures, NearestRows, Score


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
        self._button = ui.button(name, on_click=self._click)
        self._spot = Spot()

    async def _click(self) -> None:
        self._button.disable()
        try:
            await self._spot.fill("Spark is at work", self._work, lambda shown: shown())
        finally:
            self._button.enable()


def _select(label: str, names: list[str], value: str | None = None) -> ui.select:
    made = ui.select(names, label=label, value=value if value in names else next(iter(names), None))
    return made.classes("flow-grow")


def _columns_follow(desk: Desk, frame: ui.select, column: ui.select, find: Callable[[Any], list[str]]) -> None:
    """Let the choices of a column be those of the chosen frame."""

    def take() -> None:
        names = find(desk.workspace.value(frame.value).schema) if frame.value else []
        column.set_options(names, value=column.value if column.value in names else next(iter(names), None))

    frame.on_value_change(take)
    take()


def mistakes(desk: Desk, model: Any) -> None:
    """Build the panel of pictures that a classifier took for another class."""
    frames = [name for name in desk.workspace.frames() if picture_columns(desk.workspace.value(name).schema)]
    heading("Pictures it got wrong")
    if not frames:
        ui.label("No data here has a column of pictures.")
        return
    with ui.row().classes("w-full flow-wrap"):
        frame = _select("Data", frames, frames[-1])
        picture = _select("Pictures", [])
        label = _select("Labels", [])
    _columns_follow(desk, frame, picture, picture_columns)
    _columns_follow(desk, frame, label, lambda schema: _label_first(schema.names, model))

    def work() -> Callable[[], None]:
        scored = scored_by(model, desk.workspace.value(frame.value))
        found = wrong_pictures(scored, model, picture.value, label.value)
        return lambda: _show_wrong(found)

    SlowButton("Show the worst", work)


def _label_first(names: list[str], model: Any) -> list[str]:
    own = model.getOrDefault("labelCol")
    return sorted(names, key=lambda name: name != own)


def _show_wrong(found: list[PictureView]) -> None:
    if not found:
        ui.label("It got none of these rows wrong.")
        return
    remark(f"{counted(len(found), 'picture')}, the most mistaken first: by the probability of their own class.")
    show_pictures(found)


def neighbours(desk: Desk, view: ModelView) -> None:
    """Build the panel of deep features and nearest pictures."""
    heading("Deep features")
    remark(
        "What a layer inside the network gives for each row, as a column of vectors. Other estimators learn from it, "
        "and rows whose vectors are near are alike to the network."
    )
    layers = ["penultimate", *(layer.name for layer in view.network.layers)]
    with ui.row().classes("w-full flow-wrap"):
        frame = _select("Data", desk.workspace.frames())
        layer = _select("Layer", layers)
        result = ui.input("Name of the new data").classes("flow-grow")
    result.value = desk.workspace.fresh("features")
    place = ui.column().classes("w-full gap-4")

    def work() -> Callable[[], None]:
        made = result.value.strip()
        desk.jobs.complete(ExtractFeatures(made, view.name, frame.value, layer.value))
        return lambda: told(made)

    def told(made: str) -> None:
        ui.label(f"{made} is made: the same rows, with the column deepFeatures.")
        refresh()

    def refresh() -> None:
        result.value = desk.workspace.fresh("features")
        place.clear()
        with place:
            _nearest(desk)

    SlowButton("Add deep features", work)
    place.move()
    refresh()


def _nearest(desk: Desk) -> None:
    frames = [name for name in desk.workspace.frames() if vector_columns(desk.workspace.value(name).schema)]
    heading("Nearest pictures")
    if not frames:
        remark("No data has vectors yet: add deep features first.")
        return
    with ui.row().classes("w-full flow-wrap"):
        queries, references = (
            _select("Pictures to start from", frames),
            _select("Pictures to search in", frames, frames[-1]),
        )
        features, identifier = _select("Vectors", []), _select("Ids", [])
        picture, said = _select("Pictures", []), _select("Words below each", [])
        k = ui.number("Nearest of each", value=6, min=1, max=8, step=1, precision=0).classes("flow-grow")
    _columns_follow(desk, references, features, vector_columns)
    _columns_follow(desk, references, identifier, identifier_columns)
    _columns_follow(desk, references, picture, picture_columns)
    _columns_follow(desk, references, said, lambda schema: plain_columns(schema, ("label",)))

    def work() -> Callable[[], None]:
        result = desk.workspace.fresh("nearest")
        asked = NearestRows(
            result, queries.value, references.value, features.value, identifier.value, k=int(k.value or 0)
        )
        desk.jobs.complete(asked)
        pairs, asked_for, found_in = (desk.workspace.value(name) for name in (result, queries.value, references.value))
        found = nearest(pairs, asked_for, found_in, picture.value, identifier.value, said.value)
        return lambda: _show_nearest(found)

    SlowButton("Find the nearest", work)


def _show_nearest(found: list[tuple[PictureView, list[PictureView]]]) -> None:
    remark("Framed: a picture to start from. Beside it the nearest, with their similarity.")
    for query, others in found:
        show_pictures([query, *others], first_framed=True)


def score(desk: Desk, name: str, model: Any) -> None:
    """Build the panel of scores of a frame, and of their comparison with labels."""
    heading("Score data")
    with ui.row().classes("w-full flow-wrap"):
        frame = _select("Data to score", desk.workspace.frames())
        result = ui.input("Name of the scored data").classes("flow-grow")
    result.value = desk.workspace.fresh("scored")
    place = ui.column().classes("w-full gap-4")

    def work() -> Callable[[], None]:
        made = result.value.strip()
        action = Score(made, name, frame.value)
        desk.jobs.complete(action)
        return lambda: told(made, action)

    def told(made: str, action: Score) -> None:
        result.value = desk.workspace.fresh("scored")
        code_block(action.code().text.strip(), f"Python: {action.title}")
        ui.label(f"{made} is made; the page Data shows its rows.")
        place.clear()
        with place:
            _evaluate(desk, model, made)

    SlowButton("Score", work)
    place.move()
    scored = [one for one in desk.workspace.frames() if _own_column(model) in desk.workspace.value(one).columns]
    with place:
        _evaluate(desk, model, scored[-1] if scored else None)


def _own_column(model: Any) -> str:
    return str(model.getOrDefault("predictionCol")) if model.hasParam("predictionCol") else ""


def _evaluate(desk: Desk, model: Any, made: str | None) -> None:
    own = _own_column(model)
    scored = [one for one in desk.workspace.frames() if own in desk.workspace.value(one).columns]
    if not scored:
        return
    heading("Compare scores with labels")
    with ui.row().classes("w-full flow-wrap"):
        frame = _select("Scored data", scored, made)
        label, prediction = _select("Labels", []), _select("Predictions", [])
        usual = CONFUSION if getattr(model, "classes", None) else "rmse"
        measure = ui.select(MEASURES, label="Measure", value=usual).classes("flow-grow")
    _columns_follow(desk, frame, label, lambda schema: _label_first(plain_columns(schema), model))
    _columns_follow(desk, frame, prediction, lambda schema: plain_columns(schema, ("predictedLabel", own)))

    def work() -> Callable[[], None]:
        result = desk.workspace.fresh("measured")
        desk.jobs.complete(Evaluate(result, frame.value, label.value, prediction.value, measure.value))
        value = desk.workspace.value(result)
        matrix = matrix_of(value, f"rows of {frame.value}")
        return lambda: _show_number(MEASURES[measure.value], value) if matrix is None else show_matrix(matrix)

    SlowButton("Compare", work)


def _show_number(name: str, value: float) -> None:
    ui.label(f"{name}: {value:.6g}").classes("text-h6")


def keep(desk: Desk, name: str) -> None:
    """Build the panel of saving and export."""
    roots = [str(root) for root in desk.workspace.folders.roots]
    heading("Where")
    with ui.row().classes("w-full flow-wrap"):
        root = _select("Folder", roots)
        folder = ui.input("Name of the new folder", value=f"models/{name}").classes("flow-grow")
        over = ui.checkbox("Replace what is there")
    heading("Save the model")
    remark("As every stage of Spark ML is saved; its class's load reads it again.")

    def place(suffix: str) -> str:
        if not folder.value.strip():
            raise ConfigurationError("name a folder")
        return str(Path(root.value) / f"{folder.value.strip()}{suffix}")

    def save() -> Callable[[], None]:
        return _kept(desk, SaveModel(name, place(""), bool(over.value)))

    SlowButton("Save", save)
    heading("Export a bundle")
    remark(
        "A folder that is scored without Spark and torch. Up to 100 rows of the sample go along, readable, with the "
        "outputs that are expected."
    )
    sample = _select("Sample of real input", desk.workspace.frames())
    SlowButton("Export", lambda: _kept(desk, ExportBundle(name, sample.value, place("_bundle"), bool(over.value))))


def _kept(desk: Desk, action: SaveModel | ExportBundle) -> Callable[[], None]:
    desk.jobs.complete(action)

    def tell() -> None:
        ui.label(f"Written to {action.folder}.")
        code_block(action.code().text.strip(), f"Python: {action.title}")

    return tell
