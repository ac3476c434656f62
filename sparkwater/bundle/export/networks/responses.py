"""Decoding of a network's outputs by its task, in torch: what `transform` computes with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from sparkwater.gpu.tasks import ClassificationTask, MultiLabelTask, OrdinalTask, QuantilesTask, RegressionTask
from sparkwater.gpu.tasks.losses import ordinal_logarithms
from sparkwater.gpu.tasks.task import Task
from sparkwater.ml.columns.classes import vector_positions

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Response:
    """Outputs of a task.

    Attributes
    ----------
    outputs : tuple of (str, str, tuple of int)
        The Param that names each column, the kind of its values, and their shape.
    respond : callable
        From raw predictions to the outputs.
    facts : dict
        What the signature says of outputs, by Param.
    """

    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    respond: Callable[[torch.Tensor], Tensors]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)


def response_of(task: Task) -> Response:
    """Return the outputs of a task.

    Raises
    ------
    TypeError
        If the task isn't one of predictions.
    """
    for kind, response in _RESPONSES.items():
        if isinstance(task, kind):
            return response(task)
    raise TypeError(f"{type(task).__name__} has no outputs in a bundle")


def with_task(task: Task, response: Response) -> Callable[..., Tensors]:
    """Return the function from a network's outputs, and offsets, to those of a task."""

    def respond(outputs: torch.Tensor, offsets: torch.Tensor | None = None) -> Tensors:
        given = outputs if offsets is None else task.add_offsets(outputs, offsets)
        raw = task.levels(given.double()) if isinstance(task, QuantilesTask) else task.adjust(given)
        return response.respond(raw.double())

    return respond


def _classes(task: ClassificationTask | OrdinalTask) -> Response:
    spread = _Spread(vector_positions(task.classes))
    size = (spread.size,)

    def respond(raw: torch.Tensor) -> Tensors:
        odds = ordinal_logarithms(raw) if isinstance(task, OrdinalTask) else raw
        probabilities = torch.exp(odds) if isinstance(task, OrdinalTask) else torch.softmax(raw, dim=1)
        placed = spread(odds, -torch.inf)
        return placed, spread(probabilities, 0.0), placed.argmax(dim=1).double()

    return Response(
        (("rawPredictionCol", "vector", size), ("probabilityCol", "vector", size), ("predictionCol", "number", ())),
        respond,
        {"rawPredictionCol": _named(task.classes), "probabilityCol": _named(task.classes)},
    )


def _labels(task: MultiLabelTask) -> Response:
    spread = _Spread(vector_positions(task.classes))
    size = (spread.size,)

    def respond(raw: torch.Tensor) -> Tensors:
        placed = spread(raw, -torch.inf)
        return placed, spread(torch.sigmoid(raw), 0.0), placed > 0

    return Response(
        (("rawPredictionCol", "vector", size), ("probabilityCol", "vector", size), ("predictionCol", "flags", size)),
        respond,
        dict.fromkeys(("rawPredictionCol", "probabilityCol", "predictionCol"), _named(task.classes)),
    )


def _number(task: RegressionTask) -> Response:
    def respond(raw: torch.Tensor) -> Tensors:
        return ((torch.exp(raw) if task.is_logarithmic else raw)[:, 0],)

    return Response((("predictionCol", "number", ()),), respond)


def _quantiles(task: QuantilesTask) -> Response:
    def respond(raw: torch.Tensor) -> Tensors:
        # In place of the cumulative maximum of `QuantilesTask.adjust`, which ONNX has not.
        highest = [raw[:, :1]]
        for place in range(1, task.outputs):
            highest.append(torch.maximum(highest[-1], raw[:, place : place + 1]))
        quantiles = torch.cat(highest, dim=1) * task.scale + task.center
        return quantiles[:, task.middle], quantiles

    outputs = (("predictionCol", "number", ()), ("quantilesCol", "vector", (task.outputs,)))
    return Response(outputs, respond, {"quantilesCol": {"quantiles": list(task.quantiles)}})


class _Spread:
    """Values at their places in vectors, with another value where there is no class."""

    def __init__(self, positions: Sequence[int]) -> None:
        self.size = max(positions) + 1
        self._places = [len(positions)] * self.size
        for place, position in enumerate(positions):
            self._places[position] = place

    def __call__(self, values: torch.Tensor, absent: float) -> torch.Tensor:
        if self._places == list(range(self.size)):
            return values
        padded = torch.cat([values, torch.full_like(values[:, :1], absent)], dim=1)
        return padded.index_select(1, torch.tensor(self._places))


def _named(classes: Sequence[Any]) -> dict[str, Any]:
    """Return the classes by place: names, or the numbers themselves, of which some may be no class."""
    texts = [label for label in classes if isinstance(label, str)]
    return {"classes": texts or [float(place) for place in range(int(max(classes)) + 1)]}


_RESPONSES: dict[type[Task], Callable[[Any], Response]] = {
    ClassificationTask: _classes,
    OrdinalTask: _classes,
    MultiLabelTask: _labels,
    RegressionTask: _number,
    QuantilesTask: _quantiles,
}
