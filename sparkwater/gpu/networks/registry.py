"""The registry of networks: names and their factories."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from sparkwater.errors import ConfigurationError

#: Builds a network from the shape of one input, ``(channels, height, width)`` for pictures, and a number of classes.
NetworkFactory = Callable[..., nn.Module]


@dataclass(frozen=True)
class NetworkEntry:
    """One network: a registered one, or one of the user's own.

    Attributes
    ----------
    factory : callable
        Builds the network from the shape of one input, ``(channels, height, width)`` for pictures, and the number of
        classes.
    image_shape : tuple of int or None
        Height, width and channels of the pictures that it was made for; None where that isn't known.
    smallest : int
        Height and width below which pictures are refused: its layers would shrink them to nothing.
    name : str
        Its registered name, its import path, or the class of the instance that it is.
    arguments : mapping of str to Any
        Further keyword arguments of the factory.
    kind : {"registered", "imported", "instance", "onnx"}
        Origin of the network.
    takes_outputs : bool
        Whether its factory makes as many outputs as are asked for; otherwise their number is its own.
    head : str
        The layer to replace for the outputs, where the factory's is of another size.
    identity : str
        Key that tells two instances of the same class apart.
    """

    factory: NetworkFactory
    image_shape: tuple[int, int, int] | None
    smallest: int
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "registered"
    takes_outputs: bool = True
    head: str = ""
    identity: str = ""

    @property
    def key(self) -> str:
        """A key, equal for entries that build the same network."""
        return json.dumps([self.kind, self.name, dict(self.arguments), self.head, self.identity], sort_keys=True)


_REGISTRY: dict[str, NetworkEntry] = {}


def register_network(
    name: str, *, image_shape: tuple[int, int, int] | None = None, smallest: int = 1
) -> Callable[[NetworkFactory], NetworkFactory]:
    """Return a decorator that enters a factory into the registry under a name.

    Networks that are made for pictures say for which; those without an ``image_shape`` take rows of numbers.
    """

    def register(factory: NetworkFactory) -> NetworkFactory:
        _REGISTRY[name] = NetworkEntry(factory, image_shape, smallest, name)
        return factory

    return register


def registered_networks() -> list[str]:
    """Return the names of all registered networks, sorted."""
    return sorted(_REGISTRY)


def find_registered(name: str) -> NetworkEntry:
    """Return a registered network.

    Raises
    ------
    ConfigurationError
        If there is none of that name; it names the nearest ones.
    """
    if name not in _REGISTRY:
        near = difflib.get_close_matches(name.lower(), _REGISTRY)
        hint = f"did you mean {' or '.join(near)}? Accepted" if near else "accepted"
        raise ConfigurationError(
            f"network={name!r} is not registered; {hint}: {', '.join(registered_networks())}; "
            "or an import path 'package.module:factory'; an ONNX file 'onnx:path'; or a torch.nn.Module"
        )
    return _REGISTRY[name]
