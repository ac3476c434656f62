"""Stages between pictures, vectors and tensors, in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparkwater.bundle.export.networks.feature_inputs import cast, picture
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column
from sparkwater.conversions.images.columns import image_spec
from sparkwater.errors import ConfigurationError, SchemaError


@emits("sparkwater.conversions.image_stages.ImageToTensor")
def emit_pictures(stage: Any, graph: Graph) -> None:
    """Add a picture as an input: it is decoded before the graph."""
    shape = stage.getImageShape()
    if shape is None:
        raise ConfigurationError("ImageToTensor needs imageShape=[height, width, channels]")
    spec = image_spec(*shape)
    column = picture(graph, stage.getInputCol(), spec, stage.getResize(), stage.getMaxPixels())
    graph.publish(stage.getOutputCol(), column)


@emits("sparkwater.conversions.transformers.VectorToTensor", "sparkwater.conversions.transformers.ArrayToTensor")
def emit_to_tensor(stage: Any, graph: Graph) -> None:
    """Add a change of dtype and shape; numbers that floats can't hold are refused as the stage does."""
    column = graph.column(stage.getInputCol())
    dtype = stage.getDtype() or column.dtype
    if column.kind not in ("vector", "number") or dtype not in ("float32", "float64"):
        raise SchemaError(
            f"{type(stage).__name__} of column {stage.getInputCol()!r}, a {column.kind}, to {dtype} can't go along in "
            "a bundle; accepted: vectors and numbers, to float32 or float64"
        )
    shape = tuple(column.shape if stage.getShape() is None else stage.getShape())
    values = graph.node("Reshape", column.tensor, graph.constant(np.array([-1, *shape], np.int64)))
    graph.publish(stage.getOutputCol(), Column(cast(graph, values, dtype), "tensor", dtype, shape))


@emits("sparkwater.conversions.transformers.TensorToVector")
def emit_to_vector(stage: Any, graph: Graph) -> None:
    """Add a tensor's numbers as a vector."""
    column = graph.column(stage.getInputCol())
    if column.kind != "tensor":
        raise SchemaError(f"column {stage.getInputCol()!r} is a {column.kind}; TensorToVector takes tensors")
    flat = graph.node("Reshape", column.tensor, graph.constant(np.array([-1, column.size], np.int64)))
    graph.publish(stage.getOutputCol(), Column(cast(graph, flat, "float64"), "vector", "float64", (column.size,)))
