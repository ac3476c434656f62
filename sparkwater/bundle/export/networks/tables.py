"""Fitted encoders of tables in a graph: raw columns become the tensor of a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparkwater.bundle.export.networks.feature_inputs import cast, finite, not_finite
from sparkwater.bundle.export.networks.scalings import scaled
from sparkwater.bundle.export.networks.times import emit_time
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.builder import ML, Graph
from sparkwater.bundle.graph.column import MISSING_TEXT, Column
from sparkwater.conversions.tables.encoding.categories import FIRST, MISSING, RARE, CategoryColumn
from sparkwater.conversions.tables.encoding.column import TOO_FAR, FittedColumn
from sparkwater.conversions.tables.encoding.encoder import TableEncoder
from sparkwater.conversions.tables.encoding.numbers import NOT_FINITE, NumberColumn, TensorColumn, VectorColumn
from sparkwater.conversions.tables.encoding.time_column import TimeColumn
from sparkwater.errors import SchemaError


@emits("sparkwater.conversions.tables.stages.TableToTensorModel")
def emit_table(stage: Any, graph: Graph) -> None:
    """Add the tensor of raw columns."""
    tensor = encoded_table(graph, stage.encoder, stage.getHandleInvalid() != "error")
    graph.publish(stage.getOutputCol(), Column(tensor, "tensor", "float32", stage.encoder.spec.shape))


def encoded_table(graph: Graph, encoder: TableEncoder, skips: bool = False) -> str:
    """Return rows as an encoder makes them, float32 of shape ``(rows, width)``.

    Parameters
    ----------
    graph : Graph
        It has the raw columns but times, which are added as inputs.
    encoder : TableEncoder
        The fitted columns.
    skips : bool
        Whether rows that can't be encoded are left out in place of failing.

    Raises
    ------
    SchemaError
        If a column is missing, or is of another kind than in training.
    """
    numbers = [_entries(graph, column, skips) for column in encoder.columns if not column.ids and column.width]
    ids = [_entries(graph, column, skips) for column in encoder.columns if column.ids]
    return graph.node("Concat", *numbers, *ids, axis=1)


def _entries(graph: Graph, column: FittedColumn, skips: bool) -> str:
    """Return a column's entries, float32 ``(rows, width)``."""
    entries = _EMITTERS[type(column)](graph, column)
    if isinstance(column, CategoryColumn):
        return entries
    if isinstance(column, VectorColumn):  # a scaling may make a finite number of an infinite one
        given = cast(graph, graph.column(column.name).tensor, "float64")
        mask = not_finite(graph, given, column.width)
        entries = graph.check(mask, entries, f"column {column.name!r}: {NOT_FINITE}", skips=skips)
    return finite(graph, entries, column.width, f"column {column.name!r}: {TOO_FAR}", skips)


def _number(graph: Graph, column: NumberColumn) -> str:
    given = _given(graph, column, "number")
    values = graph.node("Reshape", cast(graph, given.tensor, "float64"), graph.constant(np.array([-1, 1])))
    missing = graph.node("IsNaN", values)
    graph.remark(column.name, missing="NaN")
    parts = []
    if column.scaling is not None:
        filled = graph.node("Where", missing, graph.constant(np.float64(column.fill)), values)
        parts.append(cast(graph, scaled(graph, column.scaling, filled), "float32"))
    if column.indicator:
        parts.append(cast(graph, missing, "float32"))
    return graph.node("Concat", *parts, axis=1)


def _vector(graph: Graph, column: VectorColumn) -> str:
    given = _given(graph, column, "vector")
    return cast(graph, scaled(graph, column.scaling, cast(graph, given.tensor, "float64")), "float32")


def _tensor(graph: Graph, column: TensorColumn) -> str:
    given = graph.column(column.name)
    if given.kind != "tensor" or given.shape != column.spec.shape or given.dtype != column.spec.dtype:
        raise SchemaError(f"column {column.name!r} is {given.dtype}{list(given.shape)}; in training {column.spec}")
    flat = graph.node("Reshape", given.tensor, graph.constant(np.array([-1, column.spec.size])))
    return cast(graph, flat, "float32")


def _category(graph: Graph, column: CategoryColumn) -> str:
    ids = graph.node("Reshape", _ids(graph, column), graph.constant(np.array([-1, 1])))
    if not column.flags:
        return cast(graph, ids, "float32")
    wanted = [place + FIRST for place in range(len(column.levels))]
    wanted += [MISSING] * column.missing_flag + [RARE] * column.rare_flag
    return cast(graph, graph.node("Equal", ids, graph.constant(np.array([wanted], np.int64))), "float32")


def _ids(graph: Graph, column: CategoryColumn) -> str:
    """Return the ids of rows, int64 ``(rows,)``."""
    given, levels = graph.column(column.name), column.levels.to_pylist()
    graph.remark(column.name, levels=levels, unseen="counts as rare")
    places = [place + FIRST for place in range(len(levels))]
    if given.kind == "string":
        graph.remark(column.name, missing=MISSING_TEXT)
        keys, values = [MISSING_TEXT, *levels], [MISSING, *places]
        return graph.node(
            "LabelEncoder", given.tensor, domain=ML, keys_strings=keys, values_int64s=values, default_int64=RARE
        )
    _given(graph, column, "number")
    graph.remark(column.name, missing="NaN")
    number = cast(graph, given.tensor, "float64")
    missing = graph.node("IsNaN", number)
    whole = cast(graph, graph.node("Where", missing, graph.constant(np.float64(0)), number), "int64")
    found = graph.constant(np.int64(RARE))
    if levels:
        keys = [_whole(level) for level in levels]
        found = graph.node("LabelEncoder", whole, domain=ML, keys_int64s=keys, values_int64s=places, default_int64=RARE)
    return graph.node("Where", missing, graph.constant(np.int64(MISSING)), found)


def _whole(level: str) -> int:
    """Return a category of whole numbers or booleans as the number that it was."""
    return {"true": 1, "false": 0}[level] if level in ("true", "false") else int(level)


def _given(graph: Graph, column: FittedColumn, kind: str) -> Column:
    given = graph.column(column.name)
    size = column.scaling.size if isinstance(column, VectorColumn) else 1
    if given.kind != kind or given.size != size:
        raise SchemaError(
            f"column {column.name!r} is a {given.kind} of {given.size} values; in training it was {column.type}"
        )
    return given


_EMITTERS: dict[type[FittedColumn], Callable[[Graph, Any], str]] = {
    NumberColumn: _number,
    VectorColumn: _vector,
    TensorColumn: _tensor,
    CategoryColumn: _category,
    TimeColumn: emit_time,
}
