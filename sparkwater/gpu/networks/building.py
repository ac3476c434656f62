"""Networks built from their entries, and tried on a batch of nothing before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.initialization import check_initialization, initialize
from sparkwater.gpu.networks.registry import NetworkEntry


def build_network(
    entry: NetworkEntry, shape: tuple[int, ...], classes: int, seed: int, initialization: str = "paper"
) -> nn.Module:
    """Build a network with the initial weights that follow from a seed; torch's own generator is left as it was.

    Parameters
    ----------
    entry : NetworkEntry
        What to build.
    shape : tuple of int
        Shape of one input, ``(channels, height, width)`` for pictures.
    classes : int
        Number of outputs.
    seed : int
        The same seed gives the same weights, bit for bit.
    initialization : {"paper", "he", "xavier"}
        How the weights are drawn: as the network's own factory does, which follows the network's paper
        (an instance keeps those that it has), or as `initialize` describes.

    Raises
    ------
    ConfigurationError
        If there is no such initialization.
    """
    check_initialization(initialization)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = entry.factory(shape, classes)
        return network if initialization == "paper" else initialize(network, initialization)


def check_network(entry: NetworkEntry, shape: tuple[int, ...], classes: int | None) -> None:
    """Refuse an input shape that a network can't take, and outputs that are no classes.

    Registered networks are tried without computing anything; the user's own on two rows of zeros.

    Parameters
    ----------
    entry : NetworkEntry
        What to try.
    shape : tuple of int
        Shape of one input.
    classes : int or None
        Number of classes; None while it isn't known.

    Raises
    ------
    ConfigurationError
        If the pictures are too small for it, it can't be built or take them, or it doesn't give one value
        a class.
    """
    if len(shape) == 3 and min(shape[1:]) < entry.smallest:
        raise ConfigurationError(
            f"network={entry.name!r} needs pictures of at least {entry.smallest} x {entry.smallest} pixels; "
            f"{_given(shape)}"
        )
    tried = 2 if classes is None else classes
    network = _try(entry, shape, lambda: _built(entry, shape, tried))
    output = _try(entry, shape, lambda: _outputs(network, shape))
    if not isinstance(output, torch.Tensor):
        raise ConfigurationError(f"network={entry.name!r} gives a {type(output).__name__}; it must give one tensor")
    unknown = classes is None and not entry.takes_classes
    if len(output.shape) != 2 or len(output) != 2 or not (unknown or output.shape[1] == tried):
        wanted = "a value for each class" if unknown else str([tried])
        raise ConfigurationError(
            f"network={entry.name!r} gives a tensor of shape {list(output.shape[1:])} a row; it must be {wanted}"
        )


def _built(entry: NetworkEntry, shape: tuple[int, ...], classes: int) -> nn.Module:
    if entry.kind == "registered":
        with torch.device("meta"):
            return entry.factory(shape, classes)
    network = build_network(entry, shape, classes, 0)
    if any(is_lazy(parameter) for parameter in network.parameters()):
        raise ConfigurationError(f"network={entry.name!r} has lazy layers, which have no weights yet; give their sizes")
    return network.eval()


def _outputs(network: nn.Module, shape: tuple[int, ...]) -> Any:
    device = next((parameter.device for parameter in network.parameters()), None)
    with torch.no_grad(), torch.device(device or "cpu"):
        return network(torch.zeros((2, *shape)))


def _try(entry: NetworkEntry, shape: tuple[int, ...], action: Callable[[], Any]) -> Any:
    """Return what an action gives; the user's own code may raise anything."""
    try:
        return action()
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"network={entry.name!r} doesn't take {_given(shape)}: {type(error).__name__}: {error}"
        ) from error


def _given(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return f"tensors of shape {list(shape)}, which are no pictures (network='mlp' takes any shape)"
    channels, height, width = shape
    return f"imageShape=[{height}, {width}, {channels}]"
