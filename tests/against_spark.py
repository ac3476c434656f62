"""Rows through a stage's ``transform`` and through its graph."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import onnxruntime
from pyspark.ml.linalg import Vector
from pyspark.sql import DataFrame

from sparkwater.bundle.export.inputs import input_columns
from sparkwater.bundle.export.registry import emit
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import MISSING_TEXT, Column


def tensor_of(values: list[Any], column: Column) -> np.ndarray:
    """Return a column's values as the scorer gives them to a graph."""
    if column.kind == "string":
        return np.array([MISSING_TEXT if value is None else value for value in values], object)
    if column.kind == "vector":
        return np.array([value.toArray() for value in values], column.dtype).reshape(-1, column.size)
    return np.array([np.nan if value is None else value for value in values], column.dtype)


def graph_of(stage: Any, frame: DataFrame, names: list[str] | None = None) -> Graph:
    graph = Graph(input_columns(frame, names))
    emit(stage, graph)
    return graph


def session_of(model: Any) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def score(graph: Graph, outputs: list[str], rows: list[Any]) -> dict[str, np.ndarray]:
    """Return the outputs of the graph for rows of Spark; with ``problem`` where rows may be refused."""
    session = session_of(graph.build({f"out {name}": graph.column(name) for name in outputs}))
    given = {
        one.name: tensor_of([row[one.name] for row in rows], graph.column(one.name)) for one in session.get_inputs()
    }
    names = [one.name for one in session.get_outputs()]
    found = session.run(None, given)
    return {name.removeprefix("out "): value for name, value in zip(names, found, strict=True)}


def expected(rows: list[Any], name: str) -> np.ndarray:
    values = [row[name] for row in rows]
    if values and isinstance(values[0], Vector):
        return np.array([value.toArray() for value in values])
    if any(isinstance(value, str) for value in values):
        return np.array(values, object)
    numbers = [float(value) if isinstance(value, Decimal) else value for value in values]
    return np.array([np.nan if value is None else value for value in numbers])


def differences(stage: Any, frame: DataFrame, graph: Graph | None = None) -> dict[str, float]:
    """Return the largest difference of each column that the stage adds; inf where one side alone isn't a number."""
    rows = stage.transform(frame).collect()
    graph = graph or graph_of(stage, frame)
    added = [name for name in rows[0].asDict() if name not in frame.columns]
    found = score(graph, added, rows)
    assert not found.get("problem", np.zeros(1)).any()
    return {name: difference(found[name], expected(rows, name)) for name in added}


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape, f"{found.shape} for {wanted.shape}"
    if found.dtype.kind in "OUb":
        return float((found != wanted).sum())
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore", over="ignore"):
        away = np.where(same, 0.0, np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted)))
    return float(np.where(np.isnan(away), np.inf, away).max(initial=0.0))
