"""Models of other exporters, as parts of a graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import compose, inliner


@dataclass(frozen=True)
class Parts:
    """A model's parts under prefixed names.

    Attributes
    ----------
    inputs : dict of str to str
        The prefixed name of each input.
    outputs : tuple of str
        Prefixed names of the outputs.
    nodes : tuple of onnx.NodeProto
        The nodes, without stack traces and remarks.
    constants : tuple of onnx.TensorProto
        Weights and other constants.
    """

    inputs: dict[str, str]
    outputs: tuple[str, ...]
    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...]


def plain_parts(model: onnx.ModelProto, prefix: str) -> Parts:
    """Return the parts of a model with a prefix to all names; the model is left as it is.

    Stack traces, local paths and source lines, which torch leaves in nodes, are left out.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    graph = compose.add_prefix(model, prefix).graph
    _forget_remarks(graph)
    held = {constant.name for constant in graph.initializer}
    inputs = {one.name.removeprefix(prefix): one.name for one in graph.input if one.name not in held}
    outputs = tuple(one.name for one in graph.output)
    return Parts(inputs, outputs, tuple(graph.node), tuple(graph.initializer))


def _forget_remarks(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            if attribute.HasField("g"):
                _forget_remarks(attribute.g)
            for inner in attribute.graphs:
                _forget_remarks(inner)
    for constant in graph.initializer:
        constant.ClearField("doc_string")
        constant.ClearField("metadata_props")
