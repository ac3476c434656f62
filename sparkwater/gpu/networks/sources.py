"""Sources of networks: the registry, an import path, or an instance of the user's."""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.elsewhere.keras_models import KerasNetwork, is_keras_model
from sparkwater.gpu.networks.elsewhere.keras_state import on_torch, seeded_from_torch
from sparkwater.gpu.networks.elsewhere.onnx_files import is_onnx, onnx_entry
from sparkwater.gpu.networks.heads import with_head
from sparkwater.gpu.networks.registry import NetworkEntry, find_registered

#: Names under which a factory may ask for the number of classes; torchvision and timm use the second.
CLASSES_NAMES = ("classes", "num_classes")

_IMPORT_PATH = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


@dataclass(frozen=True)
class ImportedFactory:
    """A factory by its import path, which is imported where the network is built.

    It is called with keywords: ``shape`` and ``classes`` (or ``num_classes``) where it has parameters
    of these names, and the user's arguments. A model of Keras that it returns becomes a `KerasNetwork`.

    Attributes
    ----------
    path : str
        ``package.module:factory``; a class is a factory as well.
    """

    path: str

    def __call__(self, shape: tuple[Any, ...], classes: int, **arguments: Any) -> nn.Module:
        """Build the network."""
        factory = import_factory(self.path)
        offered = {"shape": shape, **dict.fromkeys(CLASSES_NAMES, classes)}
        asked = _parameters(factory)
        given = {name: value for name, value in offered.items() if name in asked}
        with on_torch(), seeded_from_torch():
            network = factory(**{**given, **arguments})
            if is_keras_model(network):  # its first call may make layers
                return KerasNetwork(network, shape if shape and isinstance(shape[0], tuple) else (shape,), self.path)
        if not isinstance(network, nn.Module):
            raise ConfigurationError(
                f"network={self.path!r} gave a {type(network).__name__}; it must give a torch.nn.Module or a "
                "keras.Model"
            )
        return network


@dataclass(frozen=True)
class InstanceFactory:
    """A factory of copies of one network, with the weights that it has."""

    network: nn.Module = field(repr=False)

    def __call__(self, shape: tuple[int, ...], classes: int) -> nn.Module:  # noqa: ARG002
        """Return a copy."""
        return copy.deepcopy(self.network)


def is_import_path(network: str) -> bool:
    """Return whether a network's name is an import path."""
    return ":" in network and not is_onnx(network)


def find_network(network: str | nn.Module, arguments: Mapping[str, Any] | None = None) -> NetworkEntry:
    """Return the registry entry of a network.

    Parameters
    ----------
    network : str or torch.nn.Module
        A registered name; an import path ``package.module:factory``; an ONNX file ``onnx:path``; or a network, whose
        copies are used.
    arguments : mapping of str to Any, optional
        Keyword arguments of the factory; an instance is made already and takes none.

    Raises
    ------
    ConfigurationError
        If there is no such network, or it can't be imported.
    """
    arguments = dict(arguments or {})
    if is_keras_model(network):
        raise ConfigurationError(
            "network is a model of Keras, which can't be copied to the workers; give the import path of a function "
            "that makes it, 'package.module:factory'"
        )
    if isinstance(network, nn.Module):
        return _instance(network, arguments)
    if is_onnx(network):
        return with_head(*onnx_entry(network, arguments))
    if is_import_path(network):
        asked = _parameters(import_factory(network))
        takes_outputs = any(name in asked and name not in arguments for name in CLASSES_NAMES)
        factory: Callable[..., nn.Module] = ImportedFactory(network)
        entry = NetworkEntry(factory, None, 1, network, kind="imported", takes_outputs=takes_outputs)
    else:
        entry = find_registered(network)
    if not arguments:
        return entry
    return replace(entry, factory=partial(entry.factory, **arguments), arguments=arguments)


def asked_arguments(entry: NetworkEntry) -> frozenset[str]:
    """Return the names of the arguments that a network's factory takes; none for an instance, which is made."""
    factory = entry.factory.func if isinstance(entry.factory, partial) else entry.factory
    if isinstance(factory, InstanceFactory):
        return frozenset()
    return frozenset(_parameters(import_factory(factory.path) if isinstance(factory, ImportedFactory) else factory))


def import_factory(path: str) -> Callable[..., Any]:
    """Return the object at an import path.

    Raises
    ------
    ConfigurationError
        If it is no import path, can't be imported, or isn't callable.
    """
    match = _IMPORT_PATH.fullmatch(path)
    if not match:
        raise ConfigurationError(f"network={path!r} is no import path; it is written 'package.module:factory'")
    module_name, names = match.groups()
    try:
        with on_torch():
            found: Any = importlib.import_module(module_name)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"network={path!r}: {module_name} can't be imported ({type(error).__name__}: {error}); it must be "
            "installed on the driver and the executors, or given to spark-submit --py-files"
        ) from error
    for name in names.split("."):
        if not hasattr(found, name):
            near = difflib.get_close_matches(name, dir(found))
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ConfigurationError(f"network={path!r}: there is no {name!r} in {module_name}{hint}")
        found = getattr(found, name)
    if not callable(found):
        raise ConfigurationError(f"network={path!r} is a {type(found).__name__}; it must be a function or a class")
    return found


def class_path(kind: type) -> str | None:
    """Return the import path of a class, or None where it has none: in a notebook's cell, inside a function."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    if kind.__module__ == "__main__" or not _IMPORT_PATH.fullmatch(path):
        return None
    try:
        return path if import_factory(path) is kind else None
    except ConfigurationError:
        return None


def _instance(network: nn.Module, arguments: Mapping[str, Any]) -> NetworkEntry:
    name = f"{type(network).__module__}:{type(network).__qualname__}"
    try:
        copied = copy.deepcopy(network).cpu()
    except Exception as error:  # modules may hold anything
        raise ConfigurationError(
            f"network={name!r} can't be copied ({type(error).__name__}: {error}); give network='package.module:factory'"
        ) from error
    return NetworkEntry(
        InstanceFactory(copied),
        None,
        1,
        name,
        arguments,
        kind="instance",
        takes_outputs=False,
        identity=uuid.uuid4().hex,
    )


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # written in C
        return {}
