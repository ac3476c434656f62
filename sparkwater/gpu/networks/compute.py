"""Computation of a network on a device: memory layout, precision, compilation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call

from sparkwater.gpu.networks.inputs import Inputs, forward
from sparkwater.gpu.rows.scaling import AnyScaling
from sparkwater.gpu.tasks import Task

#: Precisions of the layers that gain from them, by the estimator's names; weights stay float32.
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """A network with its device, input scaling, memory layout and precision.

    Attributes
    ----------
    network : torch.nn.Module
        The network, plain or compiled by ``torch.compile``.
    scaling : Scaling or PackedScaling
        Scaling of features to the network's inputs.
    device : torch.device
        The network's device.
    layout : torch.memory_format
        Memory layout of the inputs.
    precision : str
        One of `PRECISIONS`.
    numbers : int, optional
        The first so many entries of a row are numbers, and the others ids, where a table's row is one vector; None
        where all are numbers.
    """

    network: nn.Module
    scaling: AnyScaling
    device: torch.device
    layout: torch.memory_format = torch.contiguous_format
    precision: str = "float32"
    numbers: int | None = None

    def outputs(self, features: torch.Tensor) -> torch.Tensor:
        """Return the network's outputs for features as they came, or augmented, in float32."""
        return self.outputs_of(self.inputs(features))

    def outputs_of(self, inputs: Inputs) -> torch.Tensor:
        """Return the network's outputs for its inputs, in float32."""
        kind = PRECISIONS[self.precision]
        with torch.autocast(self.device.type, kind, enabled=kind != torch.float32):
            outputs: torch.Tensor = forward(self.network, inputs)
        return outputs.float()

    def compared(self, task: Task, features: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the network's outputs, and what a task compares them with.

        Parameters
        ----------
        task : Task
            What the network learns.
        features : torch.Tensor
            As they came, or augmented.
        targets : torch.Tensor
            Encoded labels.
        """
        inputs = self.inputs(features)
        wanted = task.targets_of(inputs, targets)
        return self.outputs_of(inputs), wanted

    def inputs(self, features: torch.Tensor) -> Inputs:
        """Return the network's inputs for features as they came, or augmented."""
        return self.scaling.apply(features.to(self.device), self.layout)


def loss_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Return a scaler that keeps small gradients above float16's smallest numbers; no-op for other precisions.

    It multiplies the loss and divides the gradients' sum by a factor that falls where a sum overflows,
    on all ranks alike, and rises again.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def choose_layout(network: nn.Module, inputs: Inputs, device: torch.device, precision: str) -> torch.memory_format:
    """Give a network the memory layout in which it computes fastest, and return the one its inputs must have.

    Pictures go channels-last through convolutions on processors, where that was never slower (1.04 to 1.7
    times as fast, by network), and in 16 bits on GPUs, whose tensor cores want it. A network that can't
    compute so, because it views its tensors in their usual order, stays as it is. The choice follows from
    the network, not from the clock: a training that runs again makes the same.

    Parameters
    ----------
    network : torch.nn.Module
        On the CPU; it is changed in place, its values stay.
    inputs : torch.Tensor or tuple of torch.Tensor
        Two rows, to try it with.
    device : torch.device
        The device to compute on.
    precision : str
        One of `PRECISIONS`.
    """
    pictures = isinstance(inputs, torch.Tensor) and inputs.dim() == 4
    convolves = any(parameter.dim() == 4 for parameter in network.parameters())
    gains = device.type == "cpu" or precision != "float32"
    if not (pictures and convolves and gains):
        return torch.contiguous_format
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if _computes(network, in_layout(inputs, torch.channels_last)):
        return torch.channels_last
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return torch.contiguous_format


def in_layout(inputs: Inputs, layout: torch.memory_format) -> Inputs:
    """Return a copy of pictures in a memory layout; other inputs as they are."""
    if isinstance(inputs, tuple) or inputs.dim() != 4:
        return inputs
    # Made for it: the strides of a single channel say nothing of the layout otherwise.
    return torch.empty_like(inputs, memory_format=layout).copy_(inputs)


def _computes(network: nn.Module, inputs: Inputs) -> bool:
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        # In the mode it is in, without a trace: statistics and random numbers stay what they are.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            functional_call(network, buffers, inputs)
    except Exception:  # if it isn't the layout's fault, the training raises it again
        return False
    return True
