"""Columns that stages read and publish, by their Params."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sparkwater.bundle.graph.arithmetic import choose_class, rows_of
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column, number, vector
from sparkwater.errors import SchemaError


def value_of(stage: Any, param: str) -> Any:
    """Return the value of a Param; None where the stage hasn't got it, or it has none."""
    return stage.getOrDefault(param) if stage.hasParam(param) and stage.isDefined(param) else None


def features(stage: Any, graph: Graph, size: int) -> str:
    """Return the features of a learner as a matrix of float64.

    Parameters
    ----------
    stage : pyspark.ml.Model
        The learner.
    graph : Graph
        The graph.
    size : int
        Length of the vectors that it was fitted on.

    Raises
    ------
    SchemaError
        If the column is no vector of this length.
    """
    return vectors(stage, graph, value_of(stage, "featuresCol"), size)


def vectors(stage: Any, graph: Graph, name: str, size: int | None = None) -> str:
    """Return a column of vectors as a matrix of float64; of the length given."""
    column = graph.column(name)
    if len(column.shape) != 1:
        raise SchemaError(f"{type(stage).__name__} needs vectors; column {name!r} is a {column.kind}")
    if size is not None and column.size != size:
        raise SchemaError(
            f"{type(stage).__name__} was fitted on vectors of {size} numbers; column {name!r} has {column.size}"
        )
    return rows_of(graph, column)


def publish(stage: Any, graph: Graph, param: str, column: Callable[[], Column]) -> None:
    """Publish a column under the name that a Param gives; an empty name is an output that isn't wanted."""
    name = value_of(stage, param)
    if name:
        graph.publish(name, column())


def publish_classes(
    stage: Any, graph: Graph, raw: str, probability: str, size: int, prediction: str | None = None
) -> None:
    """Publish what a classifier gives.

    Parameters
    ----------
    stage : pyspark.ml.Model
        The classifier; its ``thresholds`` decide, where it has some.
    graph : Graph
        The graph.
    raw, probability : str
        Raw predictions and probabilities, shape (rows, classes).
    size : int
        Number of classes.
    prediction : str or None
        Predictions that come about in another way.
    """
    thresholds = value_of(stage, "thresholds")
    publish(stage, graph, "rawPredictionCol", lambda: vector(raw, size))
    publish(stage, graph, "probabilityCol", lambda: vector(probability, size))
    publish(
        stage,
        graph,
        "predictionCol",
        lambda: number(prediction or choose_class(graph, raw, probability, thresholds)),
    )


def column_pairs(stage: Any) -> Iterator[tuple[str, str]]:
    """Yield input and output columns of a stage for one column, or for several."""
    if stage.hasParam("inputCols") and stage.isSet("inputCols"):
        yield from zip(stage.getInputCols(), stage.getOutputCols(), strict=True)
    else:
        yield stage.getInputCol(), stage.getOutputCol()
