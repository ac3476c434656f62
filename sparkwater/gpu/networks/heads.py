"""The head of a network: its layer of class outputs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.inputs import Inputs, try_forward
from sparkwater.gpu.networks.registry import NetworkEntry


@dataclass(frozen=True)
class HeadReplaced:
    """A factory that replaces a network's head by one for the outputs, where its size differs.

    Attributes
    ----------
    factory : callable
        Factory of the network with its own head.
    head : str
        Name of that layer.
    """

    factory: Callable[..., nn.Module]
    head: str

    def __call__(self, shape: tuple[Any, ...], outputs: int) -> nn.Module:
        """Build the network."""
        network = self.factory(shape, outputs)
        layer = network.get_submodule(self.head)
        if isinstance(layer, nn.Linear):
            if layer.out_features != outputs:
                network.set_submodule(self.head, nn.Linear(layer.in_features, outputs, layer.bias is not None))
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
            if layer.out_channels != outputs:
                network.set_submodule(self.head, nn.Conv2d(layer.in_channels, outputs, 1, bias=layer.bias is not None))
        else:
            raise ConfigurationError(
                f"the layer {self.head!r} that gives the outputs is a {type(layer).__name__}; only a Linear or a 1 x 1 "
                "Conv2d is replaced by one for other outputs"
            )
        return network


def with_head(entry: NetworkEntry, head: str) -> NetworkEntry:
    """Return an entry whose head is made for the outputs; unchanged where no head is named."""
    if not head:
        return entry
    return replace(entry, factory=HeadReplaced(entry.factory, head), head=head, takes_outputs=True)


def calls_of(network: nn.Module, inputs: Inputs) -> list[str]:
    """Return the modules that one forward pass calls, each where its last call ends; in evaluation mode."""
    calls: list[str] = []

    def ended(name: str) -> Callable[..., None]:
        return lambda *_: calls.append(name)

    network.eval()
    with ExitStack() as hooks:
        for name, module in network.named_modules():
            hooks.callback(module.register_forward_hook(ended(name)).remove)
        try_forward(network, inputs)
    return list(dict.fromkeys(reversed(calls)))[::-1]


def head_of(network: nn.Module, calls: list[str], name: str) -> str:
    """Return the last layer with weights of its own.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    for call in reversed(calls):
        if call and any(True for _ in network.get_submodule(call).parameters(recurse=False)):
            return call
    raise ConfigurationError(f"network={name!r} has no layer with weights that could be its head")
