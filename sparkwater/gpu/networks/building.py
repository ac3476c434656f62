"""Construction of networks from registry entries, and their trial without rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.elsewhere.keras_models import KerasNetwork
from sparkwater.gpu.networks.initialization import check_initialization, initialize
from sparkwater.gpu.networks.inputs import Inputs, try_forward
from sparkwater.gpu.networks.registry import NetworkEntry

T = TypeVar("T")


def build_network(
    entry: NetworkEntry, shape: tuple[Any, ...], outputs: int, seed: int, initialization: str = "paper"
) -> nn.Module:
    """Build a network with the initial weights that follow from a seed; torch's own generator is left as it was.

    Parameters
    ----------
    entry : NetworkEntry
        The entry to build.
    shape : tuple of int
        Shape of one input, ``(channels, height, width)`` for pictures; for several inputs a tuple of their shapes.
    outputs : int
        Number of outputs.
    seed : int
        Seed of the initial weights; the same seed gives the same weights, bit for bit.
    initialization : {"paper", "he", "xavier"}
        Rule of the initial weights: that of the network's own factory, which follows the network's paper
        (an instance keeps those that it has), or one that `initialize` describes.

    Raises
    ------
    ConfigurationError
        If there is no such initialization.
    """
    check_initialization(initialization)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = entry.factory(shape, outputs)
        if initialization != "paper" and isinstance(network, KerasNetwork):
            raise ConfigurationError(
                f"initialization={initialization!r}: network={entry.name!r} is a model of Keras, whose layers draw "
                "their own weights (kernel_initializer); leave initialization unset"
            )
        return network if initialization == "paper" else initialize(network, initialization)


def check_network(
    entry: NetworkEntry, shape: tuple[Any, ...], outputs: int | None, inputs: Inputs | None = None
) -> None:
    """Refuse an input shape that a network can't take, and another number of outputs.

    Registered networks are tried without computing anything; the user's own on two rows of zeros.

    Parameters
    ----------
    entry : NetworkEntry
        The entry to try.
    shape : tuple of int
        Shape of one input; for several inputs a tuple of their shapes.
    outputs : int or None
        Number of outputs; None while it isn't known.
    inputs : torch.Tensor or tuple of torch.Tensor, optional
        Two rows as the network gets them; zeros of float32 by default.

    Raises
    ------
    ConfigurationError
        If the pictures are too small for it, it can't be built or take them, or it doesn't give one value
        a class.
    """
    if _is_picture(shape) and min(shape[1:]) < entry.smallest:
        raise ConfigurationError(
            f"network={entry.name!r} needs pictures of at least {entry.smallest} x {entry.smallest} pixels; "
            f"{_given(shape)}"
        )
    tried = 2 if outputs is None else outputs
    network = build_to_try(entry, shape, tried)
    output = try_network(
        entry, shape, lambda: try_forward(network, torch.zeros((2, *shape)) if inputs is None else inputs)
    )
    if not isinstance(output, torch.Tensor):
        raise ConfigurationError(f"network={entry.name!r} gives a {type(output).__name__}; it must give one tensor")
    unknown = outputs is None and not entry.takes_outputs
    if len(output.shape) != 2 or len(output) != 2 or not (unknown or output.shape[1] == tried):
        wanted = "a value for each class" if unknown else str([tried])
        raise ConfigurationError(
            f"network={entry.name!r} gives a tensor of shape {list(output.shape[1:])} a row; it must be {wanted}"
        )


def build_to_try(entry: NetworkEntry, shape: tuple[Any, ...], outputs: int) -> nn.Module:
    """Return a network for one forward pass, in evaluation mode: a registered one without values.

    Raises
    ------
    ConfigurationError
        If it can't be built.
    """
    return try_network(entry, shape, lambda: _built(entry, shape, outputs))


def _built(entry: NetworkEntry, shape: tuple[Any, ...], outputs: int) -> nn.Module:
    if entry.kind == "registered":
        with torch.device("meta"):
            return entry.factory(shape, outputs).eval()
    network = build_network(entry, shape, outputs, 0)
    if any(is_lazy(parameter) for parameter in network.parameters()):
        raise ConfigurationError(f"network={entry.name!r} has lazy layers, which have no weights yet; give their sizes")
    return network.eval()


def try_network(entry: NetworkEntry, shape: tuple[Any, ...], action: Callable[[], T]) -> T:
    """Return what an action with a network gives.

    Raises
    ------
    ConfigurationError
        If it raises anything, as the user's own code may.
    """
    try:
        return action()
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"network={entry.name!r} doesn't take {_given(shape)}: {type(error).__name__}: {error}"
        ) from error


def _is_picture(shape: tuple[Any, ...]) -> bool:
    return len(shape) == 3 and all(isinstance(size, int) for size in shape)


def _given(shape: tuple[Any, ...]) -> str:
    if _is_picture(shape):
        channels, height, width = shape
        return f"imageShape=[{height}, {width}, {channels}]"
    if shape and isinstance(shape[0], tuple):
        return f"{len(shape)} inputs of shapes {', '.join(str(list(part)) for part in shape)}"
    return f"tensors of shape {list(shape)}, which are no pictures (network='mlp' takes any shape)"
