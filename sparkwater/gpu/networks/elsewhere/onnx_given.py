"""Nodes of an ONNX graph, with what is fixed and what is learned of their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sparkwater.errors import ConfigurationError


@dataclass(frozen=True)
class Node:
    """A node of a graph, as JSON holds it.

    Attributes
    ----------
    op : str
        Its operator.
    name : str
        A name for its module, unlike all others.
    inputs, output : tuple of str, str
        Its tensors; an input that isn't given is empty.
    attributes : mapping of str to Any
        Numbers, texts and lists.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]

    def to_list(self) -> list[Any]:
        """Return the node as JSON takes it."""
        return [self.op, self.name, list(self.inputs), self.output, dict(self.attributes)]

    @classmethod
    def from_list(cls, fields: list[Any]) -> Node:
        """Return the node from `to_list`."""
        op, name, inputs, output, attributes = fields
        return cls(str(op), str(name), tuple(map(str, inputs)), str(output), dict(attributes))


@dataclass
class Given:
    """A node with the tensors that it doesn't get from other nodes.

    Attributes
    ----------
    node : Node
        The node.
    constants : mapping of str to numpy.ndarray
        Fixed tensors of the graph.
    weights : mapping of str to torch.Tensor
        Its learned tensors.
    opset : int
        Version of ONNX's operators.
    rows : int or None
        The number of rows that the graph was made for; None for any.
    taken : set of int
        Inputs that the module holds.
    """

    node: Node
    constants: Mapping[str, np.ndarray[Any, Any]]
    weights: Mapping[str, torch.Tensor]
    opset: int
    rows: int | None = None
    taken: set[int] = field(default_factory=set)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.node.attributes.get(name, default)

    def has(self, place: int) -> bool:
        """Return whether there is such an input."""
        return place < len(self.node.inputs) and bool(self.node.inputs[place])

    def weight(self, place: int) -> torch.Tensor | None:
        """Return a learned input, or None where it is none."""
        found = self.weights.get(self.node.inputs[place]) if self.has(place) else None
        if found is not None:
            self.taken.add(place)
        return found

    def learned(self, place: int) -> torch.Tensor:
        """Return an input that has to be learned, as one of a single number is as well.

        Raises
        ------
        ConfigurationError
            If it comes from other nodes.
        """
        found = self.weight(place)
        if found is None and self.is_fixed(place):
            found = torch.from_numpy(np.array(self.fixed_array(place), np.float32))
        if found is None:
            raise self.refusal(f"takes its input {place} from another node; accepted: weights in the file")
        return found

    def is_fixed(self, place: int) -> bool:
        """Return whether an input is a fixed tensor."""
        return self.has(place) and self.node.inputs[place] in self.constants

    def fixed_array(self, place: int) -> np.ndarray[Any, Any]:
        """Return a fixed input."""
        self.taken.add(place)
        return self.constants[self.node.inputs[place]]

    def fixed(self, place: int, name: str, default: Any = None) -> Any:
        """Return a number or a list that is an attribute in older versions, and a fixed input in newer ones.

        Raises
        ------
        ConfigurationError
            If it is computed by other nodes.
        """
        if self.has(place):
            if not self.is_fixed(place):
                raise self.refusal(f"has {name} that other nodes compute; accepted: fixed ones")
            return self.fixed_array(place).tolist()
        return self.attribute(name, default)

    def refusal(self, problem: str) -> ConfigurationError:
        """Return a refusal of the node."""
        return ConfigurationError(f"the operator {self.node.op} of node {self.node.name!r} {problem}")

    def streams(self) -> tuple[str, ...]:
        """Return the inputs that come from other nodes.

        Raises
        ------
        ConfigurationError
            If another one is fixed or learned.
        """
        left = [place for place in range(len(self.node.inputs)) if self.has(place) and place not in self.taken]
        for place in left:
            if self.is_fixed(place) or self.node.inputs[place] in self.weights:
                raise self.refusal(f"has a fixed input {place}; accepted: one that is computed")
        return tuple(self.node.inputs[place] for place in left)
