"""Weights, statistics and random numbers of Keras' layers, held by torch modules."""

from __future__ import annotations

import os
import random
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import nn

from sparkwater.errors import ConfigurationError

_BACKEND = "KERAS_BACKEND"

#: What to do about another backend.
ANOTHER_BACKEND = (
    "Networks of Keras need its torch backend: set KERAS_BACKEND=torch before keras is imported, on the driver and, "
    "with spark.executorEnv.KERAS_BACKEND=torch, on the executors"
)


def adopt(owner: nn.Module, model: Any) -> list[Any]:
    """Let torch modules hold the variables of a model of Keras, each its layer's own; return the layers inside.

    Trained variables become parameters and the others buffers. Keras' variables read them from there, so that whatever
    is put in a parameter's or a buffer's place counts.

    Parameters
    ----------
    owner : torch.nn.Module
        Holder of the variables that are the model's own.
    model : keras.Model
        A built one.
    """
    layers = list(model._flatten_layers(include_self=False))
    for layer in (model, *layers):
        # Attributes stay what they are; they are modules of the layer no more.
        vars(layer).update(layer._modules)
        layer._modules.clear()
        vars(layer)["_torch_params"] = {}
    for holder, layer in ((owner, model), *((layer, layer) for layer in layers)):
        trained = {id(variable) for variable in layer._trainable_variables}
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            _hold(holder, variable, id(variable) in trained)
    return layers


def _hold(holder: nn.Module, variable: Any, trained: bool) -> None:
    if isinstance(variable, _held_variable()):
        return
    name = _free_name(holder, variable.name.replace(".", "_"))
    value = vars(variable).pop("_value")
    if trained:
        holder._parameters[name] = value
    else:
        holder._buffers[name] = value.detach()
    variable.__class__ = _held_variable()
    variable.held_by = (holder, name)


def _free_name(holder: nn.Module, name: str) -> str:
    names, number = {*holder._parameters, *holder._buffers}, 1
    free = name
    while free in names:
        free, number = f"{name}_{number}", number + 1
    return free


@cache
def _held_variable() -> type[Any]:
    class HeldVariable(import_module("keras").Variable):  # type: ignore[misc]
        """Variable whose value is the parameter or the buffer of a module."""

        held_by: tuple[nn.Module, str]

        @property
        def _value(self) -> torch.Tensor:
            holder, name = self.held_by
            found = holder._parameters.get(name)
            value = holder._buffers[name] if found is None else found
            assert value is not None
            return value

    return HeldVariable


@cache
def _torch_seeds() -> type[Any]:
    class TorchSeeds(import_module("keras").random.SeedGenerator):  # type: ignore[misc]
        """Seeds from torch's generator, in place of a counter that checkpoints would have to hold."""

        def next(self, ordered: bool = True) -> torch.Tensor:  # noqa: ARG002
            """Return two whole numbers."""
            return torch.randint(0, 2**31 - 1, (2,), device="cpu")

    return TorchSeeds


def let_draw_from_torch(layers: Sequence[Any]) -> None:
    """Let the layers that draw random numbers draw their seeds from torch's generator."""
    for layer in layers:
        for generator in layer._seed_generators:
            generator.__class__ = _torch_seeds()


@contextmanager
def drawing_from_torch(training: bool) -> Iterator[None]:
    """Let layers that draw without a generator of their own draw from torch's inside the ``with`` block."""
    if not training:
        yield
        return
    generator = import_module("keras.src.random.seed_generator").global_seed_generator()
    own = generator.__class__
    generator.__class__ = _torch_seeds()
    try:
        yield
    finally:
        generator.__class__ = own


@contextmanager
def seeded_from_torch() -> Iterator[None]:
    """Seed Python's and NumPy's generators as torch's inside the ``with`` block; Keras draws first weights by them.

    Keras draws on the CPU, where its backend has no say in what comes out.
    """
    seed = torch.initial_seed()
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    keras: Any = sys.modules.get("keras")
    try:
        with keras.device("cpu") if hasattr(keras, "device") else nullcontext():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def on_torch() -> Iterator[None]:
    """Let Keras take torch as its backend where it is imported inside the ``with`` block, and none is chosen.

    Raises
    ------
    ConfigurationError
        If Keras can't be imported with another backend.
    """
    chosen = os.environ.get(_BACKEND)
    if chosen is None and "keras" not in sys.modules:
        os.environ[_BACKEND] = "torch"
    try:
        yield
    except ImportError as error:
        within = (frame.filename.replace(os.sep, "/") for frame in traceback.extract_tb(error.__traceback__))
        if chosen not in (None, "torch") and any("/keras/src/" in name for name in within):
            raise ConfigurationError(f"{_BACKEND}={chosen!r}: {error}. {ANOTHER_BACKEND}") from error
        raise
    finally:
        if chosen is None:
            os.environ.pop(_BACKEND, None)
