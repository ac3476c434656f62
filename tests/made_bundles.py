"""Bundles made by hand in milliseconds: files of a scorer, without Spark and torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from safetensors.numpy import save

TYPES = {"float64": TensorProto.DOUBLE, "string": TensorProto.STRING, "int64": TensorProto.INT64}
TYPES |= {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}


def model(nodes: list[Any], inputs: dict[str, tuple], outputs: dict[str, tuple], constants: list[Any] | None = None):
    """Return an ONNX model; inputs and outputs are dtype and shape by name."""
    described = [
        [helper.make_tensor_value_info(name, TYPES[dtype], ["rows", *shape]) for name, (dtype, shape) in each.items()]
        for each in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "made", *described, constants or [])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def mixed() -> tuple[bytes, dict, dict[str, np.ndarray], dict[str, list[str]]]:
    """Return graph, signature and vectors of: twice a number, the shout of a text, the sum of a vector, of a time."""
    inputs = {"size": ("float64", ()), "name": ("string", ()), "pair": ("float64", (2,)), "day": ("int64", ())}
    outputs = {"double": ("float64", ()), "same": ("string", ()), "sum": ("float64", ()), "later": ("int64", ())}
    outputs["problem"] = ("int64", ())
    nodes = [
        helper.make_node("Add", ["size", "size"], ["double"]),
        helper.make_node("Identity", ["name"], ["same"]),
        helper.make_node("ReduceSum", ["pair", "one"], ["sum"], keepdims=0),
        helper.make_node("Add", ["day", "ten"], ["later"]),
        helper.make_node("IsNaN", ["size"], ["missing"]),
        helper.make_node("Cast", ["missing"], ["problem"], to=TensorProto.INT64),
    ]
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("one", 1), ("ten", 10))]
    kinds = {"size": "number", "name": "string", "pair": "vector", "day": "time"}
    signature = {
        "inputs": [
            {"name": name, "tensor": name, "kind": kinds[name], "dtype": dtype, "shape": list(shape)}
            for name, (dtype, shape) in inputs.items()
        ],
        "outputs": [
            {"name": name, "tensor": name, "dtype": dtype, "shape": list(shape), "absolute": 1e-9, "relative": 0.0}
            for name, (dtype, shape) in outputs.items()
            if name != "problem"
        ],
        "problem": "problem",
        "problems": [{"reason": "size is missing", "skips": False}],
    }
    vectors = {"input:size": np.array([1.5, 2.0]), "input:pair": np.array([[1.0, 2.0], [3.0, 4.0]])}
    vectors |= {"input:day": np.array([0, 5]), "output:double": np.array([3.0, 4.0])}
    vectors |= {"output:sum": np.array([3.0, 7.0]), "output:later": np.array([10, 15])}
    texts = {"input:name": ["a", "ü"], "output:same": ["a", "ü"]}
    return model(nodes, inputs, outputs, constants).SerializeToString(), signature, vectors, texts


def write(
    folder: Path, content: bytes, signature: dict, vectors: dict, texts: dict, pictures: dict | None = None
) -> Path:
    """Write a bundle."""
    folder.mkdir()
    files = {
        "model.onnx": content,
        "signature.json": json.dumps(signature).encode(),
        "preprocessing.json": json.dumps({"pictures": pictures or {}}).encode(),
        "vectors.safetensors": save(vectors, metadata={"strings": json.dumps(texts)}),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return rehash(folder)


def rehash(folder: Path, **changes: Any) -> Path:
    """Write the manifest of what is in a folder, with changes."""
    names = [path.name for path in sorted(folder.iterdir()) if path.name != "manifest.json"]
    entries = {}
    for name in names:
        data = (folder / name).read_bytes()
        entries[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = {"format": 1, "model": "Made", "opset": 20, "metrics": {}, "versions": {}, "files": entries}
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


def mixed_bundle(folder: Path) -> Path:
    """Write the bundle of `mixed`."""
    return write(folder, *mixed())
