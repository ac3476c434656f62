"""Features columns as tensors in a graph: pictures, vectors and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column
from sparkwater.conversions.images.decoding import MAX_PIXELS
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import SchemaError


def feature_tensor(graph: Graph, name: str, spec: TensorSpec, skips: bool = False) -> str:
    """Return a features column as a tensor of a spec, as `sparkwater.ml.columns.features.checked_features` makes it.

    A column that the graph doesn't have, or has as a text, is a picture where the spec is one.

    Raises
    ------
    SchemaError
        If the column can't give such tensors.
    """
    is_picture = spec.dtype == "uint8" and len(spec.shape) == 3 and spec.shape[0] in (1, 3)
    column = graph.columns.get(name)
    if is_picture and (column is None or column.kind == "string"):
        return picture(graph, name, spec).tensor
    column, problem = graph.column(name), f"column {name!r} holds a NaN or an infinity, which the network doesn't take"
    if column.kind == "tensor" and column.dtype == spec.dtype and column.shape == spec.shape:
        is_float = spec.dtype.startswith("float")
        return finite(graph, column.tensor, spec.size, problem, skips) if is_float else column.tensor
    if column.kind in ("number", "vector") and spec.dtype == "float32" and column.size == spec.size:
        return finite(graph, _from_vector(graph, column, spec), spec.size, problem, skips)
    raise SchemaError(f"column {name!r} is a {column.kind} of {column.dtype}{list(column.shape)}; needed: {spec}")


def finite(graph: Graph, tensor: str, size: int, problem: str, skips: bool) -> str:
    """Return a tensor of floats, ``size`` a row, with a check that float32 holds all of them; see `Graph.check`."""
    return graph.check(not_finite(graph, cast(graph, tensor, "float32"), size), tensor, problem, skips=skips)


def not_finite(graph: Graph, tensor: str, size: int = 1) -> str:
    """Return the rows of a tensor of floats, ``size`` a row, that have a NaN or an infinity; bool ``(rows,)``."""
    flat = graph.node("Reshape", tensor, graph.constant(np.array([-1, size], np.int64)))
    unfit = cast(graph, graph.node("Or", graph.node("IsNaN", flat), graph.node("IsInf", flat)), "int32")
    return cast(graph, graph.node("ReduceMax", unfit, graph.constant(np.array([1])), keepdims=0), "bool")


def offset_tensor(graph: Graph, name: str, skips: bool = False) -> str:
    """Return a column of offsets as float64, with a check that all of them are finite."""
    given = cast(graph, graph.column(name).tensor, "float64")
    return graph.check(not_finite(graph, given), given, f"the offset {name!r} is missing or infinite", skips=skips)


def picture(graph: Graph, name: str, spec: TensorSpec, resize: str = "stretch", max_pixels: int = MAX_PIXELS) -> Column:
    """Return an input that is a picture, decoded before the graph as `preprocessing.json` says."""
    given = Column(name, "tensor", "uint8", spec.shape)
    return graph.declare(name, given, kind="picture", resize=resize, max_pixels=max_pixels)


def cast(graph: Graph, tensor: str, dtype: str) -> str:
    """Return a tensor as one of another dtype."""
    kind: Any = TensorProto.DataType.Value(_NAMES[dtype])
    return graph.node("Cast", tensor, to=int(kind))


def _from_vector(graph: Graph, column: Column, spec: TensorSpec) -> str:
    values = cast(graph, column.tensor, "float32")
    if len(spec.shape) != 3:
        return graph.node("Reshape", values, graph.constant(np.array([-1, *spec.shape], np.int64)))
    channels, height, width = spec.shape  # pictures come row by row, channels last
    values = graph.node("Reshape", values, graph.constant(np.array([-1, height, width, channels], np.int64)))
    return graph.node("Transpose", values, perm=[0, 3, 1, 2])


_NAMES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FLOAT16",
    "float32": "FLOAT",
    "float64": "DOUBLE",
}
