"""Small ONNX files, as other frameworks write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[Any],
    weights: Mapping[str, Any],
    opset: int = 20,
    kind: int = TensorProto.FLOAT,
) -> str:
    """Write a graph from the tensor ``x`` of a shape to ``y``; return the name of the network in it."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    # The oldest format that knows the operators: onnxruntime reads none that is newer than itself.
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), str(path))
    return f"onnx:{path}"


def small_weights(channels: int = 1, classes: int = 5, maps: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Return weights of `small_nodes`, for pictures of 16 x 16."""
    draw = np.random.default_rng(seed).normal
    return {
        "kernel": draw(0, 0.2, (maps, channels, 5, 5)).astype(np.float32),
        "scale": np.ones(maps, np.float32),
        "shift": np.zeros(maps, np.float32),
        "mean": np.zeros(maps, np.float32),
        "variance": np.ones(maps, np.float32),
        "sizes": np.array([-1, maps * 36], np.int64),
        "product": draw(0, 0.1, (maps * 36, classes)).astype(np.float32),
        "bias": draw(0, 0.1, classes).astype(np.float32),
    }


def small_nodes() -> list[onnx.NodeProto]:
    """Return the nodes of a network as TensorFlow's converter writes one, with a softmax at its end."""
    return [
        helper.make_node("Conv", ["x", "kernel"], ["maps"], name="model/conv/Conv2D"),
        helper.make_node("BatchNormalization", ["maps", "scale", "shift", "mean", "variance"], ["normal"], name="bn"),
        helper.make_node("Relu", ["normal"], ["active"], name="relu"),
        helper.make_node("MaxPool", ["active"], ["pooled"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["pooled", "sizes"], ["flat"], name="flat"),
        helper.make_node("MatMul", ["flat", "product"], ["sums"], name="dense/MatMul"),
        helper.make_node("Add", ["sums", "bias"], ["logits"], name="dense/BiasAdd"),
        helper.make_node("Softmax", ["logits"], ["y"], name="probabilities"),
    ]


def write_small(path: Path, rows: Any = "rows", **changes: Any) -> str:
    """Write the small network; return its name."""
    weights = small_weights(**changes)
    return write_graph(path, small_nodes(), [rows, weights["kernel"].shape[1], 16, 16], weights)
