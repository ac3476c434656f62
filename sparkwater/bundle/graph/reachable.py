"""The parts of a graph that some tensors need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import onnx


@dataclass(frozen=True)
class Needed:
    """Parts of a graph.

    Attributes
    ----------
    nodes : tuple of int
        Places of the nodes, in order.
    tensors : frozenset of str
        Tensors that they read and write.
    """

    nodes: tuple[int, ...]
    tensors: frozenset[str]


def needed_parts(nodes: Sequence[onnx.NodeProto], tensors: Set[str]) -> Needed:
    """Return the nodes that tensors come from; each node comes after those that it reads."""
    wanted, places = set(tensors), []
    for place in range(len(nodes) - 1, -1, -1):
        if not wanted.isdisjoint(nodes[place].output):
            places.append(place)
            wanted.update(_read(nodes[place]))
            wanted.update(name for name in nodes[place].output if name)
    return Needed(tuple(reversed(places)), frozenset(wanted))


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the tensors that a node reads, those of graphs inside it (branches, loops) as well."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            for inner in graph.node:
                yield from _read(inner)
            yield from (one.name for one in graph.output)
