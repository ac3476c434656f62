"""Pictures by a model: those that it got wrong, and the nearest by its deep features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.choosing import choice, chosen, columns_follow, frames_with, living_choice
from sparkwater.flow.pages.parts.elements import show_pictures
from sparkwater.flow.pages.parts.naming import NewName
from sparkwater.flow.pages.parts.texts import code_block, heading, remark
from sparkwater.flow.pages.parts.waiting import SlowButton
from sparkwater.flow.views.galleries import (
    PictureView,
    has_labels,
    is_text,
    nearest,
    outdated_columns,
    picture_columns,
    vector_columns,
    worst_pictures,
)
from sparkwater.flow.views.models import ModelView
from sparkwater.flow.views.numbers import counted
from sparkwater.flow.views.suggestions import identifier_columns, label_first, plain_columns
from sparkwater.flow.workbook.actions.scoring import ExtractFeatures, NearestRows, WrongRows


def mistakes(desk: Desk, name: str, model: Any) -> None:
    """Build the panel of pictures that a classifier took for another class."""
    _Mistakes(desk, name, model)


class _Mistakes:
    """Data with labels, and the pictures in it that the model got wrong."""

    def __init__(self, desk: Desk, name: str, model: Any) -> None:
        self._desk, self._name, self._model = desk, name, model
        heading("Pictures it got wrong")
        with ui.row().classes("w-full flow-wrap"):
            first = next(filter(self._is_unscored, reversed(self._with_pictures())), None)
            self._frame = living_choice(desk, "Data", self._with_pictures, first)
            self._picture = choice("Pictures")
            self._label = choice("Labels")
            self._result = NewName("Name of the rows it got wrong", lambda: desk.workspace.fresh("mistakes"))
        columns_follow(desk, self._frame, self._picture, picture_columns)
        columns_follow(desk, self._frame, self._label, lambda schema: label_first(schema.names, model))
        SlowButton("Show the worst", self._find)

    def _with_pictures(self) -> list[str]:
        return frames_with(self._desk, picture_columns)

    def _is_unscored(self, frame: str) -> bool:
        """Return whether rows have no scores: mistakes of before aren't what people want to begin with."""
        return not outdated_columns(self._model, self._desk.workspace.value(frame).schema)

    def _action(self) -> WrongRows:
        frame, label = chosen(self._frame), chosen(self._label)
        schema = self._desk.workspace.value(frame).schema
        outdated, text = outdated_columns(self._model, schema), is_text(schema, label)
        if label in outdated:
            raise ConfigurationError(f"{label!r} is also a column that {self._name} adds; rename it to compare it")
        compared = str(self._model.getOrDefault("predictedLabelCol" if text else "predictionCol"))
        return WrongRows(self._result.text, self._name, frame, label, compared, outdated, not text)

    def _find(self) -> Callable[[], None]:
        action, picture, values = self._action(), chosen(self._picture), self._desk.workspace.value
        self._desk.jobs.complete(action)
        found = worst_pictures(values(action.result), self._model, picture, action.label)
        none = f"It got none of these rows wrong: {action.result} has no rows."
        if not found and not has_labels(values(action.frame), action.label):
            none = f"No row of {action.frame} has a label in {action.label}: nothing could be compared."
        return lambda: self._show(found, none, action)

    def _show(self, found: list[PictureView], none: str, action: WrongRows) -> None:
        self._result.follow()
        if found:
            remark(f"{counted(len(found), 'picture')}, the most mistaken first: by the probability of their own class.")
            show_pictures(found)
        else:
            ui.label(none)
        code_block(action.code().shown, f"Python: {action.title}")


def neighbours(desk: Desk, view: ModelView) -> None:
    """Build the panel of deep features and nearest pictures."""
    heading("Deep features")
    remark(
        "What a layer inside the network gives for each row, as a column of vectors. Other estimators learn from it, "
        "and rows whose vectors are near are alike to the network."
    )
    layers = ["penultimate", *(layer.name for layer in view.network.layers)]
    with ui.row().classes("w-full flow-wrap"):
        frame = living_choice(desk, "Data", desk.workspace.frames)
        layer = choice("Layer", layers)
        result = NewName("Name of the new data", lambda: desk.workspace.fresh("features"))
    place = ui.column().classes("w-full gap-4")

    def work() -> Callable[[], None]:
        made = result.text
        desk.jobs.complete(ExtractFeatures(made, view.name, chosen(frame), chosen(layer)))
        return lambda: told(made)

    def told(made: str) -> None:
        ui.label(f"{made} is made: the same rows, with the column deepFeatures.")
        refresh()

    def refresh() -> None:
        result.follow()
        place.clear()
        with place:
            _nearest(desk)

    SlowButton("Add deep features", work)
    place.move()
    refresh()


def _nearest(desk: Desk) -> None:
    def with_vectors() -> list[str]:
        return frames_with(desk, vector_columns)

    found = with_vectors()
    heading("Nearest pictures")
    remark("Pictures whose vectors are near: add deep features first, where no data has vectors yet.")
    with ui.row().classes("w-full flow-wrap"):
        queries = living_choice(desk, "Pictures to start from", with_vectors)
        references = living_choice(desk, "Pictures to search in", with_vectors, next(reversed(found), None))
        features, identifier = choice("Vectors"), choice("Ids")
        picture, said = choice("Pictures"), choice("Words below each")
        k = ui.number("Nearest of each", value=6, min=1, max=8, step=1, precision=0).classes("flow-grow")
    columns_follow(desk, references, features, vector_columns)
    columns_follow(desk, references, identifier, identifier_columns)
    columns_follow(desk, references, picture, picture_columns)
    columns_follow(desk, references, said, lambda schema: plain_columns(schema, ("label",)))

    def work() -> Callable[[], None]:
        result, asked, within = desk.workspace.fresh("nearest"), chosen(queries), chosen(references)
        by, pictures = chosen(identifier), chosen(picture)
        action = NearestRows(result, asked, within, chosen(features), by, k=int(k.value or 0))
        desk.jobs.complete(action)
        pairs, asked_for, found_in = map(desk.workspace.value, (result, asked, within))
        found = nearest(pairs, asked_for, found_in, pictures, by, said.value)
        return lambda: _show_nearest(found, action)

    SlowButton("Find the nearest", work)


def _show_nearest(found: list[tuple[PictureView, list[PictureView]]], action: NearestRows) -> None:
    others_alone = ", without the picture itself" if action.is_among_itself else ""
    remark(f"Framed: a picture to start from. Beside it the nearest{others_alone}, with their similarity.")
    for query, others in found:
        show_pictures([query, *others], first_framed=True)
    code_block(action.code().shown, f"Python: {action.title}")
