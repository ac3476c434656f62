"""Panels that use a model: its mistakes, nearest pictures, scores of a frame, saving and export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.shown import code_block, heading, show_matrix, show_pictures
from sparkwater.flow.pages.waiting import Spot
from sparkwater.flow.views.galleries import Shown, nearest, picture_columns, scored_by, vector_columns, wrong_pictures
from sparkwater.flow.views.models import ModelView, matrix_of
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.actions.keeping import ExportBundle, SaveModel
from sparkwater.flow.workbook.actions.scoring import MEASURES, Evaluate, ExtractFeatures, NearestRows, Score


class Work:
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
            await self._spot.fill("Spark is at work.", self._work, lambda shown: shown())
        finally:
            self._button.enable()


def run_action(desk: Desk, action: Action) -> None:
    """Run an action as a job, and wait for its end; it becomes a cell of the flow.

    Raises
    ------
    ConfigurationError
        If it failed or was cancelled: with its own message.
    """
    action.code()
    ended = desk.jobs.wait(desk.jobs.start(action).id)
    if ended.state != "done":
        raise ConfigurationError(ended.error or f"{action.title}: {ended.state}")


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
        ui.label("No frame here has a column of pictures.")
        return
    with ui.row().classes("w-full flow-wrap"):
        frame = _select("Frame", frames, frames[-1])
        picture = _select("Pictures", [])
        label = _select("Labels", [])
    _columns_follow(desk, frame, picture, picture_columns)
    _columns_follow(desk, frame, label, lambda schema: _label_first(schema.names, model))

    def work() -> Callable[[], None]:
        scored = scored_by(model, desk.workspace.value(frame.value))
        found = wrong_pictures(scored, model, picture.value, label.value)
        return lambda: _show_wrong(found)

    Work("Show the worst", work)


def _label_first(names: list[str], model: Any) -> list[str]:
    own = model.getOrDefault("labelCol")
    return sorted(names, key=lambda name: name != own)


def _show_wrong(found: list[Shown]) -> None:
    if not found:
        ui.label("It got none of these rows wrong.")
        return
    ui.label(f"{len(found)} pictures, those first whose own class it held least probable.").classes("flow-soft")
    show_pictures(found)


def neighbours(desk: Desk, view: ModelView) -> None:
    """Build the panel of deep features and nearest pictures."""
    heading("Deep features")
    ui.label(
        "What a layer inside the network gives for each row, as a column of vectors. Other estimators learn from it, "
        "and rows whose vectors are near are alike to the network."
    ).classes("flow-soft")
    layers = ["penultimate", *(layer.name for layer in view.network.layers)]
    with ui.row().classes("w-full flow-wrap"):
        frame = _select("Frame", desk.workspace.frames())
        layer = _select("Layer", layers)
        result = ui.input("Name of the new frame").classes("flow-grow")
    result.value = desk.workspace.fresh("features")
    place = ui.column().classes("w-full gap-4")

    def work() -> Callable[[], None]:
        made = result.value.strip()
        run_action(desk, ExtractFeatures(made, view.name, frame.value, layer.value))
        return lambda: told(made)

    def told(made: str) -> None:
        ui.label(f"{made} is a frame now, with the column deepFeatures.")
        refresh()

    def refresh() -> None:
        result.value = desk.workspace.fresh("features")
        place.clear()
        with place:
            _nearest(desk)

    Work("Add deep features", work)
    place.move()
    refresh()


def _nearest(desk: Desk) -> None:
    frames = [name for name in desk.workspace.frames() if vector_columns(desk.workspace.value(name).schema)]
    heading("Nearest pictures")
    if not frames:
        ui.label("No frame has vectors yet: add deep features first.").classes("flow-soft")
        return
    with ui.row().classes("w-full flow-wrap"):
        queries, references = _select("Pictures to ask for", frames), _select("Pictures to find", frames, frames[-1])
        features, identifier = _select("Vectors", []), _select("Ids", [])
        picture, said = _select("Pictures", []), _select("Words below", [])
        k = ui.number("Nearest of each", value=6, min=1, max=8, step=1, precision=0).classes("flow-grow")
    _columns_follow(desk, references, features, vector_columns)
    _columns_follow(desk, references, identifier, _identifiers)
    _columns_follow(desk, references, picture, picture_columns)
    _columns_follow(desk, references, said, lambda schema: _plain_columns(schema, ("label",)))

    def work() -> Callable[[], None]:
        result = desk.workspace.fresh("nearest")
        asked = NearestRows(
            result, queries.value, references.value, features.value, identifier.value, k=int(k.value or 0)
        )
        run_action(desk, asked)
        pairs, asked_for, found_in = (desk.workspace.value(name) for name in (result, queries.value, references.value))
        found = nearest(pairs, asked_for, found_in, picture.value, identifier.value, said.value)
        return lambda: _show_nearest(found)

    Work("Find the nearest", work)


def _plain_columns(schema: Any, first: tuple[str, ...]) -> list[str]:
    """Return the columns of words and numbers, those with some names first."""
    plain = [f.name for f in schema.fields if f.dataType.simpleString() in ("string", "int", "bigint", "double")]
    return sorted(plain, key=lambda name: first.index(name) if name in first else len(first))


def _identifiers(schema: Any) -> list[str]:
    return _plain_columns(schema, ("id", "path", "uri", "name"))


def _show_nearest(found: list[tuple[Shown, list[Shown]]]) -> None:
    ui.label("Framed: the picture asked for. Beside it the nearest, with their similarity.").classes("flow-soft")
    for query, others in found:
        show_pictures([query, *others], first_framed=True)


def score(desk: Desk, name: str, model: Any) -> None:
    """Build the panel of scores of a frame, and of their comparison with labels."""
    heading("Score a frame")
    with ui.row().classes("w-full flow-wrap"):
        frame = _select("Frame to score", desk.workspace.frames())
        result = ui.input("Name of the scored frame").classes("flow-grow")
    result.value = desk.workspace.fresh("scored")
    place = ui.column().classes("w-full gap-4")

    def work() -> Callable[[], None]:
        made = result.value.strip()
        action = Score(made, name, frame.value)
        run_action(desk, action)
        return lambda: told(made, action)

    def told(made: str, action: Score) -> None:
        result.value = desk.workspace.fresh("scored")
        code_block(action.code().text.strip())
        ui.label(f"{made} is a frame now; the Data page shows its rows.")
        place.clear()
        with place:
            _evaluate(desk, model, made)

    Work("Score", work)
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
        frame = _select("Scored frame", scored, made)
        label, prediction = _select("Labels", []), _select("Predictions", [])
        measure = _select("Measure", list(MEASURES), MEASURES[0] if getattr(model, "classes", None) else MEASURES[1])
    _columns_follow(desk, frame, label, lambda schema: _label_first(_plain_columns(schema, ()), model))
    _columns_follow(desk, frame, prediction, lambda schema: _plain_columns(schema, ("predictedLabel", own)))

    def work() -> Callable[[], None]:
        result = desk.workspace.fresh("measured")
        run_action(desk, Evaluate(result, frame.value, label.value, prediction.value, measure.value))
        value = desk.workspace.value(result)
        matrix = matrix_of(value, f"rows of {frame.value}")
        return lambda: _show_number(measure.value, value) if matrix is None else show_matrix(matrix)

    Work("Compare", work)


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
    ui.label("As every stage of Spark ML is saved; its class's load reads it again.").classes("flow-soft")

    def place(suffix: str) -> str:
        if not folder.value.strip():
            raise ConfigurationError("name a folder")
        return str(Path(root.value) / f"{folder.value.strip()}{suffix}")

    def save() -> Callable[[], None]:
        return _kept(desk, SaveModel(name, place(""), bool(over.value)))

    Work("Save", save)
    heading("Export a bundle")
    ui.label(
        "A folder that is scored without Spark and torch. Up to 100 rows of the sample go along, readable, with the "
        "outputs that are expected."
    ).classes("flow-soft")
    sample = _select("Sample of real input", desk.workspace.frames())
    Work("Export", lambda: _kept(desk, ExportBundle(name, sample.value, place("_bundle"), bool(over.value))))


def _kept(desk: Desk, action: SaveModel | ExportBundle) -> Callable[[], None]:
    run_action(desk, action)

    def tell() -> None:
        ui.label(f"Written to {action.folder}.")
        code_block(action.code().text.strip())

    return tell
