"""The registry of networks: names and the functions that build them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.initialization import check_initialization, initialize

#: Builds a network for pictures of (channels, height, width) and a number of classes.
NetworkFactory = Callable[[tuple[int, ...], int], nn.Module]


@dataclass(frozen=True)
class NetworkEntry:
    """One network of the registry.

    Attributes
    ----------
    factory : callable
        Builds it from the shape of one input, ``(channels, height, width)``, and the number of classes.
    image_shape : tuple of int
        Height, width and channels of the pictures that it was made for.
    smallest : int
        Height and width below which pictures are refused: its layers would shrink them to nothing.
    """

    factory: NetworkFactory
    image_shape: tuple[int, int, int]
    smallest: int


_REGISTRY: dict[str, NetworkEntry] = {}


def register_network(
    name: str, *, image_shape: tuple[int, int, int], smallest: int = 1
) -> Callable[[NetworkFactory], NetworkFactory]:
    """Return a decorator that enters a factory into the registry under a name."""

    def register(factory: NetworkFactory) -> NetworkFactory:
        _REGISTRY[name] = NetworkEntry(factory, image_shape, smallest)
        return factory

    return register


def registered_networks() -> list[str]:
    """Return the names of all registered networks, sorted."""
    return sorted(_REGISTRY)


def find_network(name: str) -> NetworkEntry:
    """Return a registered network.

    Raises
    ------
    ConfigurationError
        If there is none of that name; it names the nearest ones.
    """
    if name not in _REGISTRY:
        near = difflib.get_close_matches(name.lower(), _REGISTRY)
        hint = f"did you mean {' or '.join(near)}? Accepted" if near else "accepted"
        raise ConfigurationError(f"network={name!r} is not registered; {hint}: {', '.join(registered_networks())}")
    return _REGISTRY[name]


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
        How the weights are drawn: as the network's own factory does, which follows the network's paper,
        or as `initialize` describes.

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


def check_network(name: str, shape: tuple[int, ...], classes: int) -> None:
    """Refuse an input shape that a network can't take, without computing anything.

    Raises
    ------
    ConfigurationError
        If there is no such network, the pictures are too small for it, or it doesn't give one value a class.
    """
    entry = find_network(name)
    if len(shape) == 3 and min(shape[1:]) < entry.smallest:
        raise ConfigurationError(
            f"network={name!r} needs pictures of at least {entry.smallest} x {entry.smallest} pixels; {_given(shape)}"
        )
    try:
        with torch.device("meta"):
            output = entry.factory(shape, classes)(torch.empty((2, *shape)))
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(f"network={name!r} doesn't take {_given(shape)}: {error}") from error
    if tuple(output.shape) != (2, classes):
        raise ConfigurationError(
            f"network={name!r} gives a tensor of shape {list(output.shape[1:])} a row; it must be [{classes}]"
        )


def _given(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return f"tensors of shape {list(shape)}, which are no pictures (network='mlp' takes any shape)"
    channels, height, width = shape
    return f"imageShape=[{height}, {width}, {channels}]"
