"""Models of Keras 3, on its torch backend, as torch modules.

Keras names what it holds by counters of the process, and keeps statistics and states of random numbers among its
parameters. A `KerasNetwork` gives the same weights the same names in each process, with statistics as buffers.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from itertools import count
from typing import Any

import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.elsewhere.keras_state import (
    ANOTHER_BACKEND,
    adopt,
    drawing_from_torch,
    let_draw_from_torch,
)
from sparkwater.gpu.networks.elsewhere.orders import arranged, channels_last_of

_LOG = logging.getLogger(__name__)

#: Activations at the end that a task applies itself.
_FINAL = ("softmax", "sigmoid", "log_softmax")

#: Sum of a row's outputs, within which they are probabilities.
_ROUNDING = 1e-4


def is_keras_model(network: Any) -> bool:
    """Return whether an object is a model of Keras, of whatever backend."""
    keras = sys.modules.get("keras")
    return hasattr(keras, "Model") and isinstance(network, keras.Model)  # type: ignore[union-attr]


class KerasNetwork(nn.Module):
    """A model of Keras as a torch module.

    Its modules are Keras' layers. Their names are those that the user gave, or those that Keras gives in a new process:
    ``conv2d``, ``conv2d_1``. Dropout draws from torch's generator, which is seeded for each step of a rank.

    Parameters
    ----------
    model : keras.Model
        Compiled or not; it is changed in place.
    shapes : sequence of tuple of int
        Shapes of a row of each input; a picture's is ``(channels, height, width)``.
    name : str
        The network's name, for messages.

    Raises
    ------
    ConfigurationError
        If the backend is another one than torch, or the model takes other inputs, has losses of its own, or gives
        probabilities by what is no last layer.
    """

    def __init__(self, model: Any, shapes: Sequence[tuple[int, ...]], name: str) -> None:
        super().__init__()
        check_backend(name)
        self._keras: Any = import_module("keras")
        with torch.device("cpu"), self._keras.device("cpu"):
            self._channels_last = _orders(self._keras, model, shapes, name)
            zeros = [arranged(torch.zeros((2, *shape)), last) for shape, last in self._orders(shapes)]
            model(zeros if len(zeros) > 1 else zeros[0], training=False)  # gives weights to what has no Input
        _check_losses(model, name)
        _drop_final_activation(self._keras, model, name)
        self._model = (model,)  # in a tuple it is no module of this one: its layers are
        layers = adopt(self, model)
        let_draw_from_torch(layers)
        _name(self, model)
        for layer in layers:
            _name(layer, layer)
        with torch.device("cpu"):
            self._check_logits(shapes, name)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the model's outputs for inputs with the channels first."""
        given = [arranged(tensor, last) for tensor, last in zip(inputs, self._channels_last, strict=True)]
        with self._keras.device(str(inputs[0].device)), drawing_from_torch(self.training):
            return self._model[0](given if len(given) > 1 else given[0], training=self.training)

    def channels_first(self, values: torch.Tensor) -> torch.Tensor:
        """Return values inside the model with the channels first, as torch's layers have them."""
        return values.movedim(-1, 1) if values.dim() > 2 and any(self._channels_last) else values

    def _orders(self, shapes: Sequence[tuple[int, ...]]) -> Iterable[tuple[tuple[int, ...], bool]]:
        return zip(shapes, self._channels_last, strict=True)

    def _check_logits(self, shapes: Sequence[tuple[int, ...]], name: str) -> None:
        generator = torch.Generator().manual_seed(0)
        rows = [torch.rand((2, *shape), generator=generator) for shape in shapes]
        training = self.training
        with torch.no_grad():
            outputs = self.eval()(*rows)
        self.train(training)
        if not isinstance(outputs, torch.Tensor) or outputs.dim() != 2 or outputs.shape[1] < 2:
            return
        if bool((outputs >= 0).all()) and bool(((outputs.sum(dim=1) - 1).abs() < _ROUNDING).all()):
            raise ConfigurationError(
                f"network={name!r} gives probabilities; give it a last layer without softmax: outputs are logits"
            )


def check_backend(name: str) -> None:
    """Refuse another backend of Keras than torch.

    Raises
    ------
    ConfigurationError
        With what to set.
    """
    backend = import_module("keras").backend.backend()
    if backend != "torch":
        raise ConfigurationError(
            f"network={name!r} is a model of Keras, whose backend is {backend!r} here. {ANOTHER_BACKEND}"
        )


def _orders(keras: Any, model: Any, shapes: Sequence[tuple[int, ...]], name: str) -> list[bool]:
    """Return for each input whether the model takes it with the channels last."""
    last = keras.config.image_data_format() == "channels_last"
    wanted = getattr(model, "inputs", None)
    if wanted is None:
        return [last and len(shape) == 3 for shape in shapes]
    return channels_last_of(shapes, [tuple(each.shape[1:]) for each in wanted], last, name)


def _check_losses(model: Any, name: str) -> None:
    if model.losses:
        raise ConfigurationError(
            f"network={name!r} has regularizers in its layers, which are not trained with; take them out and set l1 or "
            "l2 of the estimator"
        )


def _drop_final_activation(keras: Any, model: Any, name: str) -> None:
    """Take a softmax or a sigmoid off the last layer: tasks take logits."""
    layer = model
    while isinstance(layer, (keras.Sequential, keras.models.Model)):
        outputs = getattr(layer, "outputs", None)
        if outputs is None or len(outputs) != 1:
            return
        layer = outputs[0]._keras_history.operation
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    if isinstance(layer, keras.layers.Softmax):
        layer.call = lambda inputs, mask=None: inputs  # noqa: ARG005
    elif activation in _FINAL:
        layer.activation = keras.activations.linear
    else:
        return
    _LOG.info("network=%r ends with an activation that is left off: its task has its own", name)


def _name(owner: nn.Module, layer: Any) -> None:
    """Give a module its layers as modules."""
    inner = [each for each in layer._flatten_layers(include_self=False, recursive=False) if _is_shown(each)]
    owner._modules.update(zip(_stable_names(inner, owner), inner, strict=True))


def _is_shown(layer: Any) -> bool:
    return type(layer).__name__ != "InputLayer"


def _stable_names(layers: Sequence[Any], owner: nn.Module) -> list[str]:
    """Return the layers' names; those that Keras gave are counted anew, as its counters are those of the process.

    A name that means something else to the owner, such as ``output`` to a model, gets a number as well.
    """
    names: list[str] = []
    for layer in layers:
        name, kind = re.sub(r"[^\w-]", "_", layer.name), _snake_case(type(layer).__name__)
        first = kind if re.fullmatch(rf"{kind}(_\d+)?", name) else name
        numbered = (f"{first}_{number}" if number else first for number in count())
        names.append(next(name for name in numbered if name not in names and _is_free(owner, name, layer)))
    return names


def _is_free(owner: nn.Module, name: str, layer: Any) -> bool:
    return not hasattr(type(owner), name) and vars(owner).get(name, layer) is layer


def _snake_case(name: str) -> str:
    joined = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", joined).lower()


def holds_statistics(layer: nn.Module) -> bool:
    """Return whether a layer is a batch normalisation of Keras."""
    return type(layer).__name__ == "BatchNormalization" and hasattr(layer, "moving_variance")


def hold_statistics(layer: Any) -> None:
    """Let a batch normalisation of Keras keep its statistics and normalise by them, in training as well."""
    layer.trainable = False
