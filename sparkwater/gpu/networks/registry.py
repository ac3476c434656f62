"""The registry of networks: names and the functions that build them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from sparkwater.errors import ConfigurationError

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
        Height and width below which no pixel reaches its last layer.
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


def find_network(name: str) -> NetworkEntry:
    """Return a registered network.

    Raises
    ------
    ConfigurationError
        If there is none of that name.
    """
    if name not in _REGISTRY:
        raise ConfigurationError(f"network={name!r} is not registered; accepted: {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name]


def build_network(entry: NetworkEntry, shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """Build a network with the initial weights that follow from a seed; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return entry.factory(shape, classes)


def check_network(name: str, shape: tuple[int, ...], classes: int) -> None:
    """Refuse an input shape that a network can't take, without computing anything.

    Raises
    ------
    ConfigurationError
        If the pictures are too small, or the network doesn't give one value a class.
    """
    entry = find_network(name)
    channels, height, width = shape
    if min(height, width) < entry.smallest:
        raise ConfigurationError(
            f"network={name!r} needs pictures of at least {entry.smallest} x {entry.smallest} pixels; "
            f"imageShape=[{height}, {width}, {channels}]"
        )
    try:
        with torch.device("meta"):
            output = entry.factory(shape, classes)(torch.empty((2, *shape)))
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"network={name!r} doesn't take imageShape=[{height}, {width}, {channels}]: {error}"
        ) from error
    if tuple(output.shape) != (2, classes):
        raise ConfigurationError(
            f"network={name!r} gives a tensor of shape {list(output.shape[1:])} a picture; it must be [{classes}]"
        )
