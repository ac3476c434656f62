"""Inputs of a network: one tensor, or several in the order of the features columns."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec, parts_of
from sparkwater.gpu.rows.scaling import is_scaled

Inputs = torch.Tensor | tuple[torch.Tensor, ...]


def forward(network: nn.Module, inputs: Inputs) -> Any:
    """Return a network's outputs for one tensor, or for several as the arguments of its ``forward``."""
    return network(*inputs) if isinstance(inputs, tuple) else network(inputs)


def try_forward(network: nn.Module, inputs: Inputs) -> Any:
    """Return a network's outputs for inputs, on its own device and without gradients."""
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    moved = tuple(tensor.to(device) for tensor in inputs) if isinstance(inputs, tuple) else inputs.to(device)
    with torch.no_grad(), device:
        return forward(network, moved)


def channels_first(network: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Return values inside a network with the channels before the other axes: one of Keras has them last."""
    arrange: Any = getattr(network, "channels_first", None)
    return values if arrange is None else arrange(values)


def network_shape(spec: TensorSpec) -> tuple[Any, ...]:
    """Return the shape of one input, as factories get it: for several inputs a tuple of their shapes."""
    return tuple(part.shape for part in spec.parts) if isinstance(spec, PackedSpec) else spec.shape


def zero_inputs(spec: TensorSpec, rows: int = 2) -> Inputs:
    """Return rows of zeros as a network gets them."""
    inputs = tuple(torch.zeros((rows, *part.shape), dtype=_dtype(part)) for part in parts_of(spec))
    return inputs if isinstance(spec, PackedSpec) else inputs[0]


def _dtype(spec: TensorSpec) -> torch.dtype:
    if is_scaled(spec):
        return torch.float32
    return torch.bool if spec.dtype == "bool" else torch.int64
