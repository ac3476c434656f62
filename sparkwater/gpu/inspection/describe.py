"""Description of a network: layers, sizes and connections, without computing anything."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection import drawing
from sparkwater.gpu.inspection.tracing import INPUT, LayerDescription, record_layers
from sparkwater.gpu.networks import NetworkEntry, check_network, find_network, resolve_network
from sparkwater.gpu.networks.inputs import network_shape, zero_inputs

#: Layers of a graph that notebooks show at once; larger ones are folded.
_UNFOLDED = 20

_COLUMNS = ("layer", "type", "output", "parameters", "multiply-adds")


@dataclass(frozen=True)
class NetworkDescription:
    """A network's layers in the order of their calls.

    As text it is a table; notebooks show the table and the graph.

    Attributes
    ----------
    name : str
        The network's registered name, or its class.
    input_shape : tuple of int
        Shape of one row; for several inputs a tuple of their shapes.
    layers : tuple of LayerDescription
        Modules that call no other modules, and the joins between them.
    parameters : int
        Number of weights and biases, those outside of layers included.
    multiply_adds : int
        Multiply-adds for one row.
    """

    name: str
    input_shape: tuple[Any, ...]
    layers: tuple[LayerDescription, ...]
    parameters: int
    multiply_adds: int

    def __str__(self) -> str:
        rows = [_COLUMNS, *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 3 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        rule = "-" * max(len(line) for line in lines)
        return "\n".join([self._title(), rule, lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            left, right = 'style="text-align:left"', 'style="text-align:right"'
            texts = [
                f"<{tag} {left if column < 3 else right}>{html.escape(cell)}</{tag}>"
                for column, cell in enumerate(cells)
            ]
            return f"<tr>{''.join(texts)}</tr>"

        *rows, totals = self._rows()
        body = "".join(row(cells, "td") for cells in rows)
        table = (
            f"<table><caption>{html.escape(self._title())}</caption><thead>{row(_COLUMNS, 'th')}</thead>"
            f"<tbody>{body}</tbody><tfoot>{row(totals, 'th')}</tfoot></table>"
        )
        graph, shown = self.to_svg(), " open" if len(self.layers) <= _UNFOLDED else ""
        return f"{table}<details{shown}><summary>graph</summary>{graph[graph.index('<svg') :]}</details>"

    def to_svg(self) -> str:
        """Return a drawing of the graph as SVG: by Graphviz where its ``dot`` is installed, else as one column."""
        return drawing.draw_svg(self._nodes())

    def to_png(self) -> bytes:
        """Return a drawing of the graph as PNG: by Graphviz where its ``dot`` is installed, else as one column."""
        return drawing.draw_png(self._nodes())

    def _title(self) -> str:
        return f"{self.name} for inputs of {_size(self.input_shape)}"

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for layer in self.layers:
            counts = (f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
            yield (layer.name, layer.type, _size(layer.output_shape), *counts)
        yield ("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}")

    def _nodes(self) -> list[drawing.Node]:
        nodes = [drawing.Node(INPUT, f"{INPUT}   {_size(self.input_shape)}", (), False)]
        for layer in self.layers:
            label = f"{layer.name}   {layer.type}   {_size(layer.output_shape)}"
            nodes.append(drawing.Node(layer.name, label, layer.inputs, layer.parameters > 0))
        return nodes


def describe_network(network: nn.Module | str, shape: Sequence[int], classes: int = 10) -> NetworkDescription:
    """Describe a network by one forward pass, in evaluation mode, of a row that has a shape but no values.

    Nothing is computed and no memory is taken for weights, so networks and inputs of any size are described
    at once, also on a driver. The network stays as it was, whatever device it is on.

    Parameters
    ----------
    network : torch.nn.Module or str
        A network, or the name of a registered one.
    shape : sequence of int
        Shape of one row; ``(channels, height, width)`` for pictures.
    classes : int
        Number of outputs of a registered network.

    Raises
    ------
    ConfigurationError
        If there is no network of that name, or it doesn't take such inputs.
    """
    shape = tuple(shape)
    if isinstance(network, str):
        entry = find_network(resolve_network(network, shape))
        check_network(entry, shape, classes)
        return describe_entry(entry, TensorSpec("float32", shape), classes)
    return _describe(type(network).__name__, network, TensorSpec("float32", shape))


def describe_entry(entry: NetworkEntry, spec: TensorSpec, classes: int) -> NetworkDescription:
    """Describe the network of an entry, for rows of one or several tensors; see `describe_network`.

    Raises
    ------
    ConfigurationError
        If it doesn't take such inputs.
    """
    with torch.device("meta"):
        module = entry.factory(network_shape(spec), classes)
    return _describe(entry.name, module, spec)


def _describe(name: str, module: nn.Module, spec: TensorSpec) -> NetworkDescription:
    given = zero_inputs(spec, 1)
    row = given if isinstance(given, tuple) else (given,)
    shapes = tuple(tuple(part.shape[1:]) for part in row)
    shape = shapes if len(shapes) > 1 else shapes[0]
    try:
        layers, multiply_adds = record_layers(module, tuple(part.to("meta") for part in row))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ConfigurationError(f"network {name} can't be described for inputs of {_size(shape)}: {error}") from error
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return NetworkDescription(name, shape, layers, parameters, multiply_adds)


def _size(shape: tuple[Any, ...]) -> str:
    """Return a shape, or the shapes of several inputs, as text."""
    if shape and isinstance(shape[0], tuple):
        return " and ".join(map(_size, shape))
    return " x ".join(map(str, shape))
