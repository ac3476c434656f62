"""Graphs of ONNX as torch modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.elsewhere.onnx_given import Given, Node
from sparkwater.gpu.networks.elsewhere.onnx_operators import make_module
from sparkwater.gpu.networks.elsewhere.orders import arranged, channels_last_of


@dataclass(frozen=True)
class OnnxGraph:
    """A graph without the values of its weights, as a model's file holds it.

    Attributes
    ----------
    inputs : tuple
        Name of each input, and its shape without the rows; None for a size that is open.
    rows : int or None
        The number of rows that it was made for; None for any.
    output : str
        The tensor that it gives.
    opset : int
        Version of ONNX's operators.
    nodes : tuple of Node
        In an order in which they can be computed.
    constants : mapping of str to numpy.ndarray
        Fixed tensors: sizes, axes, single numbers.
    weights : mapping of str to tuple of int
        Shapes of the learned tensors.
    """

    inputs: tuple[tuple[str, Sequence[int | None]], ...]
    rows: int | None
    output: str
    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray[Any, Any]]
    weights: Mapping[str, tuple[int, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as JSON takes it."""
        return {
            "inputs": [[name, list(shape)] for name, shape in self.inputs],
            "rows": self.rows,
            "output": self.output,
            "opset": self.opset,
            "nodes": [node.to_list() for node in self.nodes],
            "constants": {name: [str(value.dtype), value.tolist()] for name, value in self.constants.items()},
            "weights": {name: list(shape) for name, shape in self.weights.items()},
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> OnnxGraph:
        """Return the graph from `to_dict`.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the fields are no such thing.
        """
        return cls(
            inputs=tuple((str(name), tuple(shape)) for name, shape in fields["inputs"]),
            rows=fields["rows"],
            output=str(fields["output"]),
            opset=int(fields["opset"]),
            nodes=tuple(Node.from_list(node) for node in fields["nodes"]),
            constants={name: np.array(value, np.dtype(kind)) for name, (kind, value) in fields["constants"].items()},
            weights={name: tuple(shape) for name, shape in fields["weights"].items()},
        )


class OnnxNetwork(nn.Module):
    """A graph of ONNX as a torch module, whose modules are the graph's nodes, by their names.

    Parameters
    ----------
    graph : OnnxGraph
        The graph.
    weights : mapping of str to torch.Tensor
        Its learned tensors: parameters, but for the statistics of batch normalisations, which are buffers.
    channels_last : sequence of bool
        For each input, whether the graph takes a picture with the channels last.

    Raises
    ------
    ConfigurationError
        If a node is used in a way that isn't supported.
    """

    def __init__(
        self, graph: OnnxGraph, weights: Mapping[str, torch.Tensor], channels_last: Sequence[bool] = (False,)
    ) -> None:
        super().__init__()
        self._inputs, self._output = [name for name, _ in graph.inputs], graph.output
        self._channels_last = list(channels_last)
        self._steps: list[tuple[str, tuple[str, ...], str]] = []
        for node in graph.nodes:
            given = Given(node, graph.constants, weights, graph.opset, graph.rows)
            self.add_module(node.name, make_module(given))
            self._steps.append((node.name, given.streams(), node.output))
        self._check_streams()
        uses = Counter(name for _, names, _ in self._steps for name in names)
        self._uses = uses + Counter([graph.output])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the graph's output for inputs with the channels first."""
        left = dict(self._uses)
        values: dict[str, Any] = {
            name: arranged(tensor, last)
            for name, tensor, last in zip(self._inputs, inputs, self._channels_last, strict=True)
        }
        for module, names, output in self._steps:
            values[output] = self.get_submodule(module)(*(values[name] for name in names))
            for name in names:
                left[name] -= 1
                if not left[name]:  # what nothing needs any more is freed
                    values.pop(name, None)
        result: torch.Tensor = values[self._output]
        return result

    def _check_streams(self) -> None:
        known = set(self._inputs)
        for module, names, output in self._steps:
            missing = [name for name in names if name not in known]
            if missing:
                raise ConfigurationError(f"node {module!r} reads {missing[0]!r}, which no node before it gives")
            known.add(output)
        if self._output not in known:
            raise ConfigurationError(f"no node gives the output {self._output!r}")


@dataclass(frozen=True)
class OnnxFactory:
    """A factory of networks from a graph.

    Attributes
    ----------
    graph : OnnxGraph
        The graph.
    source : str
        The network's name, for messages.
    weights : bytes
        Safetensors of its weights; without them they are zeros, for weights that come later.
    """

    graph: OnnxGraph
    source: str
    weights: bytes = field(default=b"", repr=False)

    def __call__(self, shape: tuple[Any, ...], classes: int) -> nn.Module:  # noqa: ARG002
        """Build the network."""
        shapes = shape if shape and isinstance(shape[0], tuple) else (shape,)
        last = channels_last_of(shapes, [tuple(own) for _, own in self.graph.inputs], False, self.source)
        return self.build(last)

    def build(self, channels_last: Sequence[bool]) -> OnnxNetwork:
        """Return the network for inputs in these orders."""
        with torch.device("cpu"):  # its weights have values also where another network's have none
            weights = {name: torch.zeros(size) for name, size in self.graph.weights.items()}
            if self.weights:
                weights = safetensors.torch.load(self.weights)
            return OnnxNetwork(self.graph, weights, channels_last)
