"""Cuts of a network: outputs of inner layers, as deep features."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, ForwardPassEnded
from sparkwater.gpu.inspection.tracing import LayerDescription, record_layers, weightless
from sparkwater.gpu.networks.inference import BATCH_ROWS, TrainedNetwork, ready_network
from sparkwater.gpu.networks.inputs import channels_first, forward, zero_inputs

#: What stands for the input of the last layer that has weights.
PENULTIMATE = "penultimate"

#: What becomes of a layer's values, ``(rows, channels, ...)``: all of them, or one a channel.
POOLINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "flatten": lambda values: values,
    "average": lambda values: values.mean(dim=tuple(range(2, values.dim()))) if values.dim() > 2 else values,
    "max": lambda values: values.amax(dim=tuple(range(2, values.dim()))) if values.dim() > 2 else values,
}


@dataclass(frozen=True)
class Cut:
    """A place in a network where its values are read.

    Attributes
    ----------
    module : str
        A name in ``named_modules``.
    call : int
        Number of the module's call, from 1.
    of_input : bool
        Whether the module's first argument is read in place of its output.
    """

    module: str
    call: int = 1
    of_input: bool = False


def find_cuts(network: nn.Module, spec: TensorSpec, layers: Sequence[str | int]) -> tuple[Cut, ...]:
    """Return the cuts of a network at its layers, found by one forward pass without values.

    Parameters
    ----------
    network : torch.nn.Module
        On any device; it stays as it was.
    spec : TensorSpec
        The spec of a row, of one tensor or several.
    layers : sequence of str or int
        Names as in ``named_modules``, with ``#2`` and so on for a module's further calls; positions in the
        table of `describe_network`, from 0, or from the end where negative; ``penultimate``.

    Raises
    ------
    ConfigurationError
        For names that are no layers; the message lists the layers with their shapes.
    """
    table, _ = record_layers(network, _weightless_rows(spec, 1))
    names = {name for name, _ in network.named_modules() if name}
    return tuple(_find_cut(layer, table, names) for layer in layers)


def check_cuts(network: nn.Module, spec: TensorSpec, cuts: Sequence[Cut], pooling: str) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the values of `read_cuts` for one row; nothing is computed.

    Raises
    ------
    ConfigurationError
        If a module isn't called, or doesn't give one tensor with a row for each of the input's.
    """
    rows = 2
    inputs = _weightless_rows(spec, rows)
    with weightless(network) as call:
        values = read_cuts(network, cuts, pooling, lambda: call(inputs))
    for cut, value in zip(cuts, values, strict=True):
        if value.dim() < 1 or len(value) != rows:
            raise ConfigurationError(
                f"layer {cut.module!r} gives a tensor of shape {list(value.shape)} for {rows} rows; features need one "
                "entry a row"
            )
    return tuple(tuple(value.shape[1:]) for value in values)


def read_cuts(
    network: nn.Module, cuts: Sequence[Cut], pooling: str, call: Callable[[], Any], *, ends: bool = True
) -> list[torch.Tensor]:
    """Return the pooled values at each cut; the forward pass ends at the last of them.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    cuts : sequence of Cut
        The places to read.
    pooling : str
        One of `POOLINGS`.
    call : callable
        Calls the network.
    ends : bool
        Whether the forward pass ends there. A trace of it takes no exception.

    Returns
    -------
    list of torch.Tensor
        Float32 copies, which later in-place operations of the network don't change.

    Raises
    ------
    ConfigurationError
        If a module isn't called, or gives no tensor.
    """
    found: dict[Cut, torch.Tensor] = {}
    wanted = frozenset(cuts)

    def read(cut: Cut, values: Any) -> None:
        if cut not in wanted:
            return
        if not isinstance(values, torch.Tensor):
            side = "takes" if cut.of_input else "gives"
            raise ConfigurationError(
                f"layer {cut.module!r} {side} a {type(values).__name__}; features need a single tensor"
            )
        # A copy: a later layer may work in place.
        found[cut] = POOLINGS[pooling](channels_first(network, values)).to(torch.float32, copy=True)
        if ends and len(found) == len(wanted):
            raise ForwardPassEnded

    with ExitStack() as hooks:
        for name in {cut.module for cut in cuts}:
            _watch(network.get_submodule(name), name, read, hooks)
        with suppress(ForwardPassEnded):
            call()
    if len(found) == len(wanted):
        return [found[cut] for cut in cuts]
    missed = next(cut for cut in cuts if cut not in found)
    raise ConfigurationError(f"layer {missed.module!r} isn't called {missed.call} times when the network scores a row")


def layer_features(
    trained: TrainedNetwork, cuts: Sequence[Cut], pooling: str, tensors: npt.NDArray[np.generic]
) -> list[npt.NDArray[np.float32]]:
    """Return the pooled values at each cut, all from one forward pass.

    Parameters
    ----------
    trained : TrainedNetwork
        The network to cut.
    cuts : sequence of Cut
        The places to read.
    pooling : str
        One of `POOLINGS`.
    tensors : numpy.ndarray
        Rows as they came, at least one: ``(rows, *trained.shape)``, or packed.

    Returns
    -------
    list of numpy.ndarray of float32
        Each with one entry a row.
    """
    compute = ready_network(trained)
    network = compute.network
    with torch.inference_mode():
        blocks = map(compute.inputs, torch.split(as_torch(tensors), BATCH_ROWS))
        read = [read_cuts(network, cuts, pooling, partial(forward, network, block)) for block in blocks]
        return [torch.cat(values).numpy() for values in zip(*read, strict=True)]


def _weightless_rows(spec: TensorSpec, rows: int) -> tuple[torch.Tensor, ...]:
    with torch.device("meta"):
        inputs = zero_inputs(spec, rows)
    return inputs if isinstance(inputs, tuple) else (inputs,)


def _watch(module: nn.Module, name: str, read: Callable[[Cut, Any], None], hooks: ExitStack) -> None:
    entered = returned = 0

    def enter(_: nn.Module, args: tuple[Any, ...]) -> None:
        nonlocal entered
        entered += 1
        read(Cut(name, entered, of_input=True), args[0] if args else None)

    def leave(_: nn.Module, __: Any, outputs: Any) -> None:
        nonlocal returned
        returned += 1
        read(Cut(name, returned), outputs)

    hooks.callback(module.register_forward_pre_hook(enter).remove)
    hooks.callback(module.register_forward_hook(leave).remove)


def _find_cut(layer: str | int, table: Sequence[LayerDescription], names: set[str]) -> Cut:
    if layer == PENULTIMATE:
        weighted = [entry.name for entry in table if entry.parameters]
        if not weighted:
            raise ConfigurationError(f"layer={layer!r}: no layer of the network has weights; {_listed(table)}")
        return Cut(weighted[-1].partition("#")[0], of_input=True)
    if isinstance(layer, int):
        if not -len(table) <= layer < len(table):
            raise ConfigurationError(f"layer={layer}: there is no such position; {_listed(table)}")
        name = table[layer].name
    else:
        name = layer
    module, _, call = name.partition("#")
    if module not in names or not (call or "1").isdigit():
        raise ConfigurationError(f"layer={layer!r} {_why_not(name, table, names)}; {_listed(table)}")
    return Cut(module, int(call or 1))


def _why_not(name: str, table: Sequence[LayerDescription], names: set[str]) -> str:
    if any(entry.name == name for entry in table):
        around = name.rpartition(".")[0]
        hint = f"; the module around it is {around!r}" if around else ""
        return f"is {name!r}, where layers join: no module gives its output{hint}"
    near = difflib.get_close_matches(name, names)
    return "is no layer" + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")


def _listed(table: Sequence[LayerDescription]) -> str:
    sizes = (" x ".join(map(str, entry.output_shape)) for entry in table)
    layers = ", ".join(
        f"{position} {entry.name} ({size})" for position, (entry, size) in enumerate(zip(table, sizes, strict=True))
    )
    return f"accepted: {PENULTIMATE!r}, names of modules, and positions among the layers {layers}"
