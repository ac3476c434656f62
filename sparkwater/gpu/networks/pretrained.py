"""Initial weights of a training, from files or rules, and frozen layers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.building import build_to_try, try_network
from sparkwater.gpu.networks.elsewhere.keras_models import hold_statistics, holds_statistics
from sparkwater.gpu.networks.heads import calls_of, head_of, with_head
from sparkwater.gpu.networks.inputs import Inputs
from sparkwater.gpu.networks.registry import NetworkEntry
from sparkwater.gpu.networks.state_files import fit_state

#: Function of weights, a network, its head and the weights' origin, that gives weights under the network's names.
FitState = Callable[[dict[str, torch.Tensor], nn.Module, str, str], dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Beginning:
    """The initial weights of a training, and the frozen ones among them.

    Attributes
    ----------
    initialization : str
        Rule of the initial weights, as `build_network` describes.
    weights : bytes
        Safetensors that replace drawn weights; those of the head may be of another size, and are left out then.
    head : str
        The layer that gives the outputs.
    frozen : tuple of str
        Parameters that stay as they are.
    held : tuple of str
        Normalisations that keep their statistics, and normalise by them.
    """

    initialization: str = "paper"
    weights: bytes = b""
    head: str = ""
    frozen: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    def apply(self, network: nn.Module) -> None:
        """Load the weights into a network and freeze the parameters listed; in place."""
        if self.weights:
            state, own = safetensors.torch.load(self.weights), network.state_dict()
            fitting = {name: value for name, value in state.items() if value.shape == own[name].shape}
            network.load_state_dict(fitting, strict=False)
        # By get_parameter a layer of Keras gives a variable of its own.
        parameters = dict(network.named_parameters(remove_duplicate=False))
        for name in self.frozen:
            parameters[name].requires_grad_(False)
        for name in self.held:
            _hold_statistics(network.get_submodule(name))


def _hold_statistics(layer: nn.Module) -> None:
    if holds_statistics(layer):
        hold_statistics(layer)
    else:
        # Training mode of the network puts all its layers into it.
        layer.register_forward_pre_hook(_hold)


def _hold(layer: nn.Module, inputs: Any) -> None:  # noqa: ARG001
    layer.eval()


def plan_beginning(
    entry: NetworkEntry,
    shape: tuple[Any, ...],
    inputs: Inputs,
    state: dict[str, torch.Tensor] | None,
    source: str,
    freeze: str,
    initialization: str,
    outputs: int | None = None,
    fit: FitState = fit_state,
) -> tuple[NetworkEntry, Beginning]:
    """Return the initial weights of a training; and the entry, with a head for the user's outputs.

    Parameters
    ----------
    entry : NetworkEntry
        The network to train.
    shape : tuple
        Shape of its input, or shapes of its inputs.
    inputs : torch.Tensor or tuple of torch.Tensor
        Two rows to try it with.
    state : dict of str to torch.Tensor, optional
        Initial weights, from `read_state`.
    source : str
        Origin of the weights, for messages: ``weights='file'``.
    freeze : str
        ``none``, ``backbone`` for all but the head, or the name of the last layer to freeze.
    initialization : str
        As `build_network` describes.
    outputs : int, optional
        Number of outputs, where it is known.
    fit : callable
        `fit_state` for all weights of a network, `fit_body` for those of its first layers.

    Raises
    ------
    CheckpointError
        If the weights belong to another network.
    ConfigurationError
        If there is no layer of that name, or nothing would be left to train.
    """
    network = build_to_try(entry, shape, outputs or 2)
    calls = try_network(entry, shape, lambda: calls_of(network, inputs))
    head = head_of(network, calls, entry.name)
    weights = b""
    if state is not None:
        weights = safetensors.torch.save(fit(state, network, head, source))
        if not entry.takes_outputs:
            entry = with_head(entry, head)
    frozen, held = _frozen(network, calls, head, freeze)
    return entry, Beginning(initialization, weights, head, frozen, held)


def _frozen(network: nn.Module, calls: list[str], head: str, freeze: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the frozen parameters, and of the normalisations among the frozen layers."""
    modules = dict(network.named_modules())
    if freeze == "none":
        return (), ()
    if freeze == "backbone":
        frozen_layers = {name for name in modules if name != head}
    elif freeze and freeze in modules:
        last = max((place for place, name in enumerate(calls) if _within(name, freeze)), default=-1)
        done = set(calls[: last + 1])
        frozen_layers = {name for name in modules if _nearest_call(name, calls) in done}
    else:
        near = difflib.get_close_matches(freeze, modules)
        layers = ", ".join(name for name in modules if name and "." not in name)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigurationError(f"freeze={freeze!r}; {hint}Accepted: none, backbone, or a layer: {layers}")
    names = [name for name, _ in network.named_parameters()]
    frozen = tuple(name for name in names if name.rpartition(".")[0] in frozen_layers)
    if len(frozen) == len(names):
        raise ConfigurationError(f"freeze={freeze!r} leaves nothing to train; epochs=0 scores with a network as it is")
    held = tuple(name for name in modules if name in frozen_layers and _has_statistics(modules[name]))
    return frozen, held


def _has_statistics(layer: nn.Module) -> bool:
    return isinstance(layer, nn.modules.batchnorm._NormBase) or holds_statistics(layer)


def _within(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


def _nearest_call(name: str, calls: Sequence[str]) -> str:
    """Return the layer itself, or the innermost one around it that is called: some hold parts that are not."""
    while name and name not in calls:
        name = name.rpartition(".")[0]
    return name
