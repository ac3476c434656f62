"""Layers of a network in the order of their calls, traced by a forward pass without values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from sparkwater.gpu.networks.inputs import channels_first

INPUT = "input"

_one_trace = threading.Lock()


@dataclass(frozen=True)
class LayerDescription:
    """One call of a layer, or an operation that joins the outputs of several layers.

    Attributes
    ----------
    name : str
        As in ``named_modules``; ``#2`` and so on follows at each further call. A join is named for the
        module that does it.
    type : str
        The layer's class, or in lower case the function that joins.
    output_shape : tuple of int
        Shape of the output for one row.
    parameters : int
        Weights and biases; 0 at further calls.
    multiply_adds : int
        Multiply-adds for one row in matrix products and convolutions; not biases, normalisations or activations.
    inputs : tuple of str
        The layers whose outputs reach it; ``input`` is the network's.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    inputs: tuple[str, ...]


def record_layers(network: nn.Module, row: tuple[torch.Tensor, ...]) -> tuple[tuple[LayerDescription, ...], int]:
    """Return the layers that one forward pass in evaluation mode calls, and the multiply-adds of one row.

    Weights and inputs have shapes but no values, so nothing is computed; the network stays as it was.

    Parameters
    ----------
    network : torch.nn.Module
        On any device.
    row : tuple of torch.Tensor
        The network's arguments for one row; on the meta device.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As the network does where it can't take such inputs, or needs their values.
    """
    with FlopCounterMode(display=False) as counter, weightless(network) as call:
        recorder = _Recorder(network, counter.get_total_flops)
        recorder.produced(row, (INPUT,))
        with recorder.hooked(), recorder:
            call(row)
    return tuple(recorder.layers), counter.get_total_flops() // 2


@contextmanager
def weightless(network: nn.Module) -> Iterator[Callable[[tuple[torch.Tensor, ...]], Any]]:
    """Give a call of a network in evaluation mode, whose weights have shapes but no values meanwhile.

    Other threads wait: fits of folds side by side share a network, and a trace has hooks on it.
    """
    with _one_trace, torch.no_grad(), torch.device("meta"), evaluating(network):
        state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        stand_ins = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
        yield partial(torch.func.functional_call, network, stand_ins)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode for a while; each of its modules gets its own mode back."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@dataclass
class _Call:
    """A module's call that has not returned yet."""

    inputs: tuple[str, ...]
    first: int
    operations: int
    nested: bool = False


class _Recorder(TorchFunctionMode):
    """Follows tensors from layer to layer, through whatever functions lie between.

    A call of a module becomes a layer if it called no other module; joins within it are forgotten then.
    """

    def __init__(self, network: nn.Module, operations: Callable[[], int]) -> None:
        super().__init__()
        self.layers: list[LayerDescription] = []
        self._names = {module: name or type(module).__name__ for name, module in network.named_modules()}
        self._root = network
        self._operations = operations
        self._calls: list[tuple[nn.Module, _Call]] = []
        self._sources: dict[int, tuple[str, ...]] = {}
        # While a tensor lives, no other one has its id.
        self._alive: list[torch.Tensor] = []
        self._counted: set[int] = set()

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Watch the calls of all modules."""
        with ExitStack() as hooks:
            for module in self._names:
                hooks.callback(module.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(self._leave).remove)
            yield

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        inputs = self._inputs((args, kwargs))
        first = next(_tensors(outputs), None)
        if first is not None and inputs:
            if len(inputs) > 1:
                function = func.__name__.strip("_")
                module = self._calls[-1][0] if self._calls else self._root
                prefix = "" if module is self._root else f"{self._names[module]}."
                inputs = (self._add(f"{prefix}{function}", function, first, 0, 0, inputs),)
            self.produced(outputs, inputs)
        return outputs

    def produced(self, outputs: Any, sources: tuple[str, ...]) -> None:
        """Note where tensors come from."""
        for tensor in _tensors(outputs):
            self._sources[id(tensor)] = sources
            self._alive.append(tensor)

    def _inputs(self, values: Any) -> tuple[str, ...]:
        found = [source for tensor in _tensors(values) for source in self._sources.get(id(tensor), ())]
        return tuple(dict.fromkeys(found))

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        call = _Call(self._inputs((args, kwargs)), len(self.layers), self._operations())
        for _, outer in self._calls:
            outer.nested = True
        self._calls.append((module, call))

    def _leave(self, module: nn.Module, args: Any, outputs: Any) -> None:  # noqa: ARG002
        _, call = self._calls.pop()
        first = next(_tensors(outputs), None)
        if call.nested or first is None:
            return
        del self.layers[call.first :]
        own = {id(parameter): parameter.numel() for parameter in module.parameters()}
        parameters = sum(count for key, count in own.items() if key not in self._counted)
        self._counted |= own.keys()
        multiply_adds = (self._operations() - call.operations) // 2
        name = self._add(self._names[module], type(module).__name__, first, parameters, multiply_adds, call.inputs)
        self.produced(outputs, (name,))

    def _add(
        self, name: str, kind: str, output: torch.Tensor, parameters: int, multiply_adds: int, inputs: tuple[str, ...]
    ) -> str:
        earlier = sum(layer.name.partition("#")[0] == name for layer in self.layers)
        name = f"{name}#{earlier + 1}" if earlier else name
        shape = tuple(channels_first(self._root, output).shape[1:])
        self.layers.append(LayerDescription(name, kind, shape, parameters, multiply_adds, inputs))
        return name


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested tuples, lists and dictionaries."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value)
