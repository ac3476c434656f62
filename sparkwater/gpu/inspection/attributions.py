"""Attributions: how much each place of an input says for an output of a network."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection.cuts import Cut, find_cuts
from sparkwater.gpu.inspection.tracing import record_layers
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.networks.inference import TrainedNetwork, ready_network
from sparkwater.gpu.networks.inputs import channels_first, zero_inputs

#: Rows that go through a network together, with what their gradients need.
_ROWS = 32

LAST_MAPS = "lastMaps"


def find_maps(network: nn.Module, spec: TensorSpec, layer: str | int) -> Cut:
    """Return the cut at a layer that gives maps, ``(channels, height, width)``.

    Parameters
    ----------
    network : torch.nn.Module
        On any device; it stays as it was.
    spec : TensorSpec
        The spec of a row.
    layer : str or int
        As in `find_cuts`; ``lastMaps`` is the last layer with maps of more than one position.

    Raises
    ------
    ConfigurationError
        If there is no such layer, or it gives something else.
    """
    with torch.device("meta"):
        rows = zero_inputs(spec, 1)
    table, _ = record_layers(network, rows if isinstance(rows, tuple) else (rows,))
    modules = {name for name, _ in network.named_modules()}
    maps = [
        entry.name
        for entry in table
        if len(entry.output_shape) == 3 and entry.output_shape[1:] != (1, 1) and entry.name.partition("#")[0] in modules
    ]
    if layer == LAST_MAPS:
        if not maps:
            raise ConfigurationError("no layer has maps of positions; use method='integratedGradients'")
        layer = maps[-1]
    (cut,) = find_cuts(network, spec, [layer])
    named = cut.module if cut.call == 1 else f"{cut.module}#{cut.call}"
    if cut.of_input or named not in maps:
        raise ConfigurationError(
            f"layer={layer!r} doesn't give maps (channels, height, width); accepted: {', '.join(maps) or 'none'}"
        )
    return cut


def class_activation_maps(
    trained: TrainedNetwork, cut: Cut, target: int | None, tensors: npt.NDArray[np.generic]
) -> npt.NDArray[np.float32]:
    """Return a heat map a row by Grad-CAM: the maps of a layer, weighted by the output's mean gradients, above 0.

    Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2; enlarged to the picture by bilinear interpolation.

    Parameters
    ----------
    trained : TrainedNetwork
        The network.
    cut : Cut
        A layer with maps, from `find_maps`.
    target : int, optional
        The output to explain. Default: each row's largest.
    tensors : numpy.ndarray
        Rows as they came, ``(rows, channels, height, width)``, at least one.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(rows, height, width)``, in units of the output (a class's log-odds) by unit of the mean gradient; from
        0 up.
    """
    compute = ready_network(trained)

    def heat(inputs: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad(), ExitStack() as hooks:
            found = _watched(compute.network, cut, hooks)
            scores = _chosen(compute.outputs_of(inputs.requires_grad_()), target)
            (gradients,) = torch.autograd.grad(scores.sum(), found[0])
        maps, gradients = (channels_first(compute.network, values) for values in (found[0], gradients))
        weighted = (gradients.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True)
        size = inputs.shape[2:]
        return F.interpolate(weighted.detach().relu(), size=size, mode="bilinear", align_corners=False)[:, 0]

    return _in_blocks(compute, heat, tensors)


def integrated_gradients(
    trained: TrainedNetwork, steps: int, target: int | None, tensors: npt.NDArray[np.generic]
) -> npt.NDArray[np.float32]:
    """Return what each number of a row adds to an output, on a straight way from a row of zeros.

    Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017, equation 1, by the midpoint rule.
    The sum over a row is the output's difference to that of zeros (a black picture), but for the rule's error.

    Parameters
    ----------
    trained : TrainedNetwork
        The network.
    steps : int
        Points on the way; each costs a forward and a backward pass.
    target : int, optional
        The output to explain. Default: each row's largest.
    tensors : numpy.ndarray
        Rows as they came, ``(rows, *shape)``, at least one.

    Returns
    -------
    numpy.ndarray of float32
        Of the tensors' shape, in units of the output (a class's log-odds).
    """
    compute = ready_network(trained)
    zeros = torch.zeros((1, *trained.shape), dtype=as_torch(tensors).dtype)
    start = compute.inputs(zeros)
    assert isinstance(start, torch.Tensor)  # of one input: checked by the stage

    def attribute(inputs: torch.Tensor) -> torch.Tensor:
        way = inputs - start
        with torch.no_grad():
            chosen = compute.outputs_of(inputs).argmax(dim=1) if target is None else None
        total = torch.zeros_like(inputs)
        for step in range(steps):
            point = (start + way * ((step + 0.5) / steps)).requires_grad_()
            with torch.enable_grad():
                scores = _chosen(compute.outputs_of(point), target, chosen)
            (gradients,) = torch.autograd.grad(scores.sum(), point)
            total += gradients
        return total * way / steps

    return _in_blocks(compute, attribute, tensors)


def _in_blocks(compute: Compute, work: Any, tensors: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    blocks = torch.split(as_torch(tensors), _ROWS)
    found = [work(compute.inputs(block)).contiguous() for block in blocks]
    return np.asarray(torch.cat(found).numpy())


def _chosen(outputs: torch.Tensor, target: int | None, chosen: torch.Tensor | None = None) -> torch.Tensor:
    """Return one output of each row."""
    if target is not None:
        return outputs[:, target]
    places = outputs.argmax(dim=1) if chosen is None else chosen
    return outputs.gather(1, places[:, None])[:, 0]


def _watched(network: nn.Module, cut: Cut, hooks: ExitStack) -> list[torch.Tensor]:
    """Return a list that gets the layer's output at the cut's call."""
    found: list[torch.Tensor] = []
    calls = 0

    def read(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls != cut.call:
            return output
        found.append(output)
        return output.clone()  # a later layer may work in place

    hooks.callback(network.get_submodule(cut.module).register_forward_hook(read).remove)
    return found
