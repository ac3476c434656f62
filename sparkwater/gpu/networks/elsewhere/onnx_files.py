"""Networks that are ONNX files: ``network="onnx:path"``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import safetensors.torch
from torch import nn

from sparkwater.conversions.files.filesystems import LOCAL_SCHEMES, local_path, open_filesystem, scheme_of
from sparkwater.errors import CheckpointError, ConfigurationError, SparkwaterError, UnsafeLoadError
from sparkwater.gpu.networks.elsewhere.onnx_graphs import OnnxFactory, OnnxGraph
from sparkwater.gpu.networks.elsewhere.onnx_reading import MOST_BYTES, read_onnx
from sparkwater.gpu.networks.registry import NetworkEntry

#: Beginning of a network's name that is an ONNX file.
PREFIX = "onnx:"

#: The argument under which a trained network has its graph, so that it needs the file no more.
GRAPH = "graph"


def is_onnx(network: str) -> bool:
    """Return whether a network's name is an ONNX file."""
    return network.startswith(PREFIX)


def onnx_entry(name: str, arguments: Mapping[str, Any]) -> tuple[NetworkEntry, str]:
    """Return the registry entry of a network in an ONNX file, and its layer that gives the outputs, or an empty name.

    Parameters
    ----------
    name : str
        ``onnx:path``, on any filesystem that pyarrow or fsspec reads.
    arguments : mapping of str to Any
        Empty; or the graph, of a trained network, whose file isn't read then.

    Raises
    ------
    ConfigurationError
        If it can't be found, has operators that aren't known, or there are arguments.
    CheckpointError
        If the file is damaged or too large.
    UnsafeLoadError
        If it asks for files outside of its folder.
    """
    if set(arguments) - {GRAPH}:
        raise ConfigurationError(f"networkArguments={dict(arguments)!r}: network={name!r} takes none")
    factory = _of_graph(arguments[GRAPH], name) if arguments else _of_file(name)
    entry = NetworkEntry(factory, None, 1, name, {GRAPH: factory.graph.to_dict()}, kind="onnx", takes_outputs=False)
    try:
        return entry, _head(factory)
    except SparkwaterError:
        raise
    except Exception as error:  # a damaged graph may have anything where a number is expected
        raise CheckpointError(f"network={name!r}: the graph is damaged: {error!r}") from error


def _of_file(name: str) -> OnnxFactory:
    path, source = name.removeprefix(PREFIX), f"network={name!r}"
    graph, weights = read_onnx(_read(path, source), source, lambda file: _read_beside(path, file, source))
    return OnnxFactory(graph, name, safetensors.torch.save(weights))


def _of_graph(fields: Any, name: str) -> OnnxFactory:
    try:
        graph = OnnxGraph.from_dict(fields)
        bytes_ = 4 * sum(math.prod(shape) for shape in graph.weights.values())
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"network={name!r}: the graph is damaged: {error!r}") from error
    if bytes_ > MOST_BYTES:
        raise CheckpointError(f"network={name!r}: the graph has weights of {bytes_:,} bytes; accepted: {MOST_BYTES:,}")
    return OnnxFactory(graph, name)


def _head(factory: OnnxFactory) -> str:
    """Return the last layer with weights where another can take its place, for other outputs."""
    network = factory.build([False] * len(factory.graph.inputs))
    layers = [(name, layer) for name, layer in network.named_modules() if any(True for _ in layer.parameters(False))]
    name, last = layers[-1] if layers else ("", network)
    if isinstance(last, nn.Linear) or (isinstance(last, nn.Conv2d) and last.kernel_size == (1, 1)):
        return name
    return ""


def _read_beside(path: str, name: str, source: str) -> bytes:
    beside = f"{path.rpartition('/')[0] or '.'}/{name}"
    if scheme_of(beside) in LOCAL_SCHEMES and local_path(beside).is_symlink():
        raise UnsafeLoadError(f"{source}: {beside!r} is a link; accepted: a file in the model's own folder")
    return _read(beside, source)


def _read(path: str, source: str) -> bytes:
    try:
        filesystem, place = open_filesystem(path)
        size = filesystem.get_file_info(place).size or 0
        content = b""
        if size <= MOST_BYTES:
            with filesystem.open_input_file(place) as file:
                content = file.read()
    except OSError as error:
        raise ConfigurationError(f"{source}: {path!r} can't be read: {error}") from error
    if size > MOST_BYTES:
        raise CheckpointError(f"{source}: {path!r} has {size:,} bytes; accepted: up to {MOST_BYTES:,}")
    return content
