"""Reading of ONNX files: a graph as plain values, and its weights."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import nn

from sparkwater.errors import CheckpointError, ConfigurationError, UnsafeLoadError
from sparkwater.gpu.networks.elsewhere.onnx_given import Node
from sparkwater.gpu.networks.elsewhere.onnx_graphs import OnnxGraph
from sparkwater.gpu.networks.elsewhere.onnx_operators import OPERATORS

#: The oldest operators that are read: from here on they broadcast as NumPy does.
OLDEST_OPSET = 7

#: Bytes of a file, of the model or of its tensors, above which it isn't read.
MOST_BYTES = 2**31

#: Numbers of a graph that are not learned.
_MOST_FIXED = 100_000

#: Nodes of a graph.
_MOST_NODES = 20_000

#: Operators at the end that a task has itself.
_FINAL = ("Softmax", "LogSoftmax", "Sigmoid")

#: Names that modules of torch have for something else.
_OF_MODULES = frozenset(dir(nn.Module()))

#: Reads a file in the model's folder, by its name.
ReadBeside = Callable[[str], bytes]


def read_onnx(content: bytes, source: str, beside: ReadBeside) -> tuple[OnnxGraph, dict[str, torch.Tensor]]:
    """Return the graph in a file, and its weights in float32 by their names.

    A softmax or sigmoid at the end is left out.

    Parameters
    ----------
    content : bytes
        The file.
    source : str
        Its name, for messages: ``network='onnx:path'``.
    beside : callable
        Reads another file of its folder.

    Raises
    ------
    ConfigurationError
        If onnx isn't there, or the graph has other operators, or more than one output.
    CheckpointError
        If the file is damaged.
    UnsafeLoadError
        If it asks for files outside of its folder.
    """
    onnx, beside = _onnx(source), _Once(beside, source)
    try:
        model = onnx.load_model_from_string(content)
        tensors = {each.name: _array(onnx, each, beside, source) for each in model.graph.initializer}
        tensors.update(_of_constants(onnx, model.graph, beside, source))
    except (ConfigurationError, CheckpointError, UnsafeLoadError):
        raise
    except Exception as error:  # protobuf and onnx have many
        raise CheckpointError(f"{source} is no ONNX model, or a damaged one: {_line(error)}") from error
    opset = _opset(model, source)
    _check_operators(model.graph, source)
    weights = _in_single_precision(tensors, source)
    constants = {name: value for name, value in tensors.items() if name not in weights}
    if sum(value.size for value in constants.values()) > _MOST_FIXED:
        raise ConfigurationError(f"{source} has more than {_MOST_FIXED:,} fixed numbers, which are no weights")
    inputs = [each for each in model.graph.input if each.name not in tensors]
    nodes, output = _without_final(_nodes(onnx, model.graph), _only_output(model.graph, source))
    nodes = _with_biases(_needed(nodes, output), weights)
    shapes = [_shape_of(each) for each in inputs]
    used = {name for node in nodes for name in node.inputs}
    graph = OnnxGraph(
        inputs=tuple((each.name, shape[1:]) for each, shape in zip(inputs, shapes, strict=True)),
        rows=shapes[0][0] if shapes and shapes[0] else None,
        output=output,
        opset=opset,
        nodes=tuple(nodes),
        constants={name: value for name, value in constants.items() if name in used},
        weights={name: tuple(value.shape) for name, value in weights.items() if name in used},
    )
    return graph, {name: value for name, value in weights.items() if name in used}


class _Once:
    """Reads each file of the model's folder once, and no more of them than a model may have.

    Parameters
    ----------
    read : callable
        Reads a file by its name.
    source : str
        The model's name, for messages.
    """

    def __init__(self, read: ReadBeside, source: str) -> None:
        self._read, self._source = read, source
        self._contents: dict[str, bytes] = {}

    def __call__(self, name: str) -> bytes:
        """Return the content of a file."""
        if name not in self._contents:
            self._contents[name] = self._read(name)
            bytes_ = sum(map(len, self._contents.values()))
            if bytes_ > MOST_BYTES:
                raise CheckpointError(
                    f"{self._source} has files of {bytes_:,} bytes beside it; accepted: up to {MOST_BYTES:,}"
                )
        return self._contents[name]


def _onnx(source: str) -> Any:
    try:
        return import_module("onnx")
    except ImportError as error:
        raise ConfigurationError(
            f"{source} is read by onnx, which can't be imported ({error}): pip install 'sparkwater[export]'"
        ) from error


def _array(onnx: Any, tensor: Any, beside: ReadBeside, source: str) -> np.ndarray[Any, Any]:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    where = {entry.key: entry.value for entry in tensor.external_data}
    name = where.get("location", "")
    # Neither an escape of another character nor a setting of the filesystem, where the model's name is a URL.
    if not re.fullmatch(r"[\w.+ -]+", name) or name in (".", ".."):
        raise UnsafeLoadError(
            f"{source} has the tensor {tensor.name!r} in {name!r}; accepted: a file in the model's own folder, whose "
            "name has letters, digits, spaces and . + - _"
        )
    content, start = beside(name), int(where.get("offset", "0"))
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    size = int(np.prod(tensor.dims, dtype=object)) * kind.itemsize
    if start < 0 or start + size > len(content):
        raise CheckpointError(f"{source}: {name!r} is damaged: it ends before the tensor {tensor.name!r}")
    return np.frombuffer(content, kind, size // kind.itemsize, start).reshape(tensor.dims)


def _in_single_precision(tensors: dict[str, np.ndarray[Any, Any]], source: str) -> dict[str, torch.Tensor]:
    """Return the tensors that are learned; before they are copied their sizes are added up: many may share bytes."""
    learned = {name: value for name, value in tensors.items() if value.dtype.kind == "f" and value.size > 1}
    bytes_ = 4 * sum(value.size for value in learned.values())
    if bytes_ > MOST_BYTES:
        raise CheckpointError(f"{source} has weights of {bytes_:,} bytes; accepted: up to {MOST_BYTES:,}")
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in learned.items()}


def _of_constants(onnx: Any, graph: Any, beside: ReadBeside, source: str) -> Iterator[tuple[str, Any]]:
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            (attribute,) = node.attribute
            value = onnx.helper.get_attribute_value(attribute)
            if attribute.name == "value":
                yield node.output[0], _array(onnx, value, beside, source)
            elif attribute.name in ("value_int", "value_ints"):
                yield node.output[0], np.array(value, np.int64)
            elif attribute.name in ("value_float", "value_floats"):
                yield node.output[0], np.array(value, np.float32)


def _opset(model: Any, source: str) -> int:
    found = [int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx")]
    opset = max(found, default=0)
    if opset < OLDEST_OPSET:
        raise ConfigurationError(
            f"{source} has opset {opset}; accepted: {OLDEST_OPSET} and above. onnx.version_converter brings it there"
        )
    return opset


def _check_operators(graph: Any, source: str) -> None:
    if len(graph.node) > _MOST_NODES:
        raise ConfigurationError(f"{source} has {len(graph.node):,} nodes; accepted: up to {_MOST_NODES:,}")
    known = {"Constant", *OPERATORS}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in known:
            near = difflib.get_close_matches(node.op_type, known)
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            hint = f"; near ones: {', '.join(near)}" if near else ""
            raise ConfigurationError(
                f"{source} has the operator {name!r}, which isn't known{hint}; accepted: {', '.join(sorted(known))}"
            )


def _only_output(graph: Any, source: str) -> str:
    if len(graph.output) != 1:
        raise ConfigurationError(f"{source} has {len(graph.output)} outputs; accepted: one")
    return str(graph.output[0].name)


def _nodes(onnx: Any, graph: Any) -> list[Node]:
    nodes, names = [], set[str]()
    for place, node in enumerate(graph.node):
        if node.op_type == "Constant":
            continue
        name = re.sub(r"\W+", "_", node.name).strip("_") or f"{node.op_type.lower()}_{place}"
        while name in names or name in _OF_MODULES:
            name = f"{name}_{place}"
        names.add(name)
        attributes = {each.name: _plain(onnx.helper.get_attribute_value(each)) for each in node.attribute}
        nodes.append(Node(node.op_type, name, tuple(node.input), node.output[0], attributes))
    return nodes


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _without_final(nodes: list[Node], output: str) -> tuple[list[Node], str]:
    """Return nodes and output without a softmax at the end."""
    makers = {node.output: node for node in nodes}
    last = makers.get(output)
    while last is not None and last.op == "Identity":
        last = makers.get(last.inputs[0])
    if last is None or last.op not in _FINAL:
        return nodes, output
    return [node for node in nodes if node is not last], last.inputs[0]


def _needed(nodes: list[Node], output: str) -> list[Node]:
    """Return the nodes that the output needs, in their order."""
    wanted, kept = {output}, list[Node]()
    for node in reversed(nodes):
        if node.output in wanted:
            kept.append(node)
            wanted.update(node.inputs)
    return kept[::-1]


def _with_biases(nodes: list[Node], weights: dict[str, torch.Tensor]) -> list[Node]:
    """Return nodes with products and the sums after them as one, where these add a bias."""
    users: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    joined: list[Node] = []
    dropped = set[str]()
    for node in nodes:
        bias = _bias_after(node, users.get(node.output, []), weights)
        if bias is not None:
            addition, name = bias
            joined.append(Node("Gemm", node.name, (*node.inputs, name), addition.output, {}))
            dropped.add(addition.name)
        elif node.name not in dropped:
            joined.append(node)
    return joined


def _bias_after(node: Node, users: list[Node], weights: dict[str, torch.Tensor]) -> tuple[Node, str] | None:
    if node.op != "MatMul" or len(users) != 1 or users[0].op != "Add" or node.inputs[1] not in weights:
        return None
    (addition,) = users
    name = addition.inputs[1 - addition.inputs.index(node.output)]
    weight, bias = weights[node.inputs[1]], weights.get(name)
    fits = bias is not None and weight.dim() == 2 and tuple(bias.shape) == (weight.shape[1],)
    return (addition, name) if fits else None


def _shape_of(value: Any) -> list[int | None]:
    return [each.dim_value or None for each in value.type.tensor_type.shape.dim]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
