"""Stacked ensembles: base models, level one, and the meta-learner or combiner on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparkwater.bundle.export.columns import features, publish, publish_classes
from sparkwater.bundle.export.registry import emit, emits
from sparkwater.bundle.graph.arithmetic import (
    constant_rows,
    flat,
    join_columns,
    largest,
    normalized,
    rows_of,
    slice_columns,
    softmax,
)
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column, number, string, vector
from sparkwater.bundle.graph.combining import logarithms, logit, mean_of_models, rising_line, weighted_sum
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.stacking.calibration.isotonic import Isotonic
from sparkwater.stacking.combiners.blocks import SMALLEST
from sparkwater.stacking.ensemble_model import BaseModel
from sparkwater.stacking.level_one.learners import CLASSIFICATION
from sparkwater.stacking.level_one.prepared import LevelOneTask
from sparkwater.stacking.meta_learner import CLIP, LEVEL_ONE, LevelOneInput


def _inner(stage: Any) -> dict[str, Any]:
    return {**stage.baseModels, "meta-learner": [stage.metaModel]}


@emits("sparkwater.stacking.ensemble_model.StackedEnsembleModel", inner=_inner)
def emit_ensemble(stage: Any, graph: Graph) -> None:
    """Emit base models, means of fold models, level one, and the meta-learner; base models' columns stay inside."""
    fitted, wanted = stage.fitted, stage.getIncludeBasePredictions()
    reads, task = fitted.reads, fitted.reads.task
    asked = fitted.asked(wanted)
    values: dict[str, str] = {}
    for base in fitted.bases:
        if base.name in asked:
            with graph.aside():
                if base.reads is not None:
                    graph.publish(LEVEL_ONE, _level_one(graph, base.reads, values))
                values[base.name] = _base_values(base, graph, task)
    # Learners without weight: any tensor says how many rows there are.
    like = next(iter(values.values()), None) or next(iter(graph.columns.values())).tensor
    for base in fitted.bases:
        if base.name not in asked:
            values[base.name] = constant_rows(graph, like, np.zeros(task.width))
    _emit_meta(stage, graph, _level_one(graph, reads, values))
    if wanted:
        for name, tensor in values.items():
            graph.publish(name, vector(tensor, task.width) if task.width > 1 else number(flat(graph, tensor)))


def _level_one(graph: Graph, reads: LevelOneInput, values: Mapping[str, str]) -> Column:
    """Return the vectors that a meta-learner, or a learner of the second level, reads."""
    width = reads.task.width
    parts = [values[name] if reads.transform == "none" else logit(graph, values[name], CLIP) for name in reads.learners]
    others = [_passed(graph, name) for name in reads.passthrough]
    size = len(parts) * width + sum(column.size for column in others)
    return vector(join_columns(graph, [*parts, *(rows_of(graph, column) for column in others)]), size)


def _base_values(base: BaseModel, graph: Graph, task: LevelOneTask) -> str:
    """Return a learner's numbers of each row, shape (rows, width): one for two classes and for regression."""
    return mean_of_models(graph, [_model_values(base, model, graph, task) for model in base.models])


def _model_values(base: BaseModel, model: Any, graph: Graph, task: LevelOneTask) -> str:
    with graph.aside():
        emit(model, graph)
        output = graph.column(base.output)
    if task.kind == CLASSIFICATION and output.size != task.size:
        raise ConfigurationError(
            f"learner {base.name!r} gives {output.size} probabilities where there are {task.size} classes"
        )
    rows = rows_of(graph, output)
    return slice_columns(graph, rows, 1, 2) if task.kind == CLASSIFICATION and task.width == 1 else rows


def _passed(graph: Graph, name: str) -> Column:
    column = graph.column(name)
    if column.kind == "string":
        raise SchemaError(f"passthroughCols: {name!r} holds strings; accepted: numbers, vectors")
    return column


def _emit_meta(stage: Any, graph: Graph, level_one: Column) -> None:
    """Emit the meta-learner with the ensemble's output columns, and labels' names."""
    meta, task = stage.metaModel, stage.fitted.reads.task
    # As in transform: an output that the meta-learner has stays empty where the ensemble names none.
    outputs = {"predictionCol": stage.getPredictionCol()}
    if task.kind == CLASSIFICATION:
        outputs |= {"probabilityCol": stage.getProbabilityCol(), "rawPredictionCol": stage.getRawPredictionCol()}
    outputs = {param: name for param, name in outputs.items() if meta.hasParam(param)}
    with graph.aside():
        graph.publish(LEVEL_ONE, level_one)
        emit(meta.copy({meta.getParam(param): name for param, name in outputs.items()}), graph)
        results = {name: graph.column(name) for name in outputs.values() if name}
    if stage.fitted.calibration is not None and stage.getProbabilityCol():
        results |= _calibrated(stage, graph, results[stage.getProbabilityCol()])
    for name, column in results.items():
        graph.publish(name, column)
    if task.named:
        place = graph.node("Cast", results[stage.getPredictionCol()].tensor, to=7)
        named = isinstance(task.classes[0], str)
        classes = np.array(task.classes, object if named else bool)
        label = graph.node("Gather", graph.constant(classes), place)
        graph.publish(stage.getPredictedLabelCol(), string(label) if named else number(label, "bool"))


def _calibrated(stage: Any, graph: Graph, given: Column) -> dict[str, Column]:
    """Return calibrated probabilities, and the classes of the largest; raw predictions stay."""
    calibration, size = stage.fitted.calibration, given.size
    if not isinstance(calibration, Isotonic):
        logs = logarithms(graph, given.tensor, SMALLEST)
        probability = softmax(graph, graph.node("Mul", logs, graph.constant(calibration.weights[0])))
    elif len(calibration.points) == 1:
        second = rising_line(graph, slice_columns(graph, given.tensor, 1, 2), calibration.points[0])
        probability = _two_classes(graph, second)
    else:
        raised = [
            rising_line(graph, slice_columns(graph, given.tensor, place, place + 1), points)
            for place, points in enumerate(calibration.points)
        ]
        probability = normalized(graph, join_columns(graph, raised))
    prediction = number(largest(graph, probability))
    return {stage.getProbabilityCol(): vector(probability, size), stage.getPredictionCol(): prediction}


@emits("sparkwater.stacking.combiners.model.CombinerModel")
def combine(stage: Any, graph: Graph) -> None:
    """Pools of learners' outputs, linear or of logarithms; learners without weight aren't read."""
    weights, width = stage.getWeights(), stage.getWidth()
    x = features(stage, graph, len(weights) * width)
    read = {
        place: slice_columns(graph, x, place * width, (place + 1) * width)
        for place, weight in enumerate(weights)
        if weight
    }
    if stage.getTask() != CLASSIFICATION:
        total = _weighted(stage, graph, read, x)
        publish(stage, graph, "predictionCol", lambda: number(flat(graph, total)))
        return
    if width == 1:
        read = {place: _two_classes(graph, part) for place, part in read.items()}
    raw, probability = _pooled(stage, graph, read, x)
    publish_classes(stage, graph, raw, probability, stage.numClasses)


def _two_classes(graph: Graph, second: str) -> str:
    """Return probabilities of both classes from those of the second."""
    return graph.node("Concat", graph.node("Sub", graph.constant(1.0), second), second, axis=1)


def _pooled(stage: Any, graph: Graph, read: dict[int, str], x: str) -> tuple[str, str]:
    """Return raw predictions and probabilities."""
    if stage.getForm() == "pool":
        raw = _weighted(stage, graph, read, x)
        return raw, raw
    raw = _weighted(stage, graph, {place: logarithms(graph, part, SMALLEST) for place, part in read.items()}, x)
    if stage.getBiases():
        raw = graph.node("Add", raw, graph.constant(np.array(stage.getBiases(), np.float64)))
    return raw, softmax(graph, raw)


def _weighted(stage: Any, graph: Graph, parts: dict[int, str], x: str) -> str:
    """Return the weighted sum; zeros where no learner has a weight."""
    if not parts:
        outputs = stage.numClasses if stage.getTask() == CLASSIFICATION else 1
        return constant_rows(graph, x, np.zeros(outputs))
    weights = stage.getWeights()
    return weighted_sum(graph, [(weights[place], part) for place, part in parts.items()])
