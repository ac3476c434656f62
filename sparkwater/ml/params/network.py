"""Params of the network and its initial weights."""

from __future__ import annotations

import json
import math
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from torch import nn

from sparkwater.conversions.tensors.spec import TensorSpec, parts_of
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import INITIALIZATIONS
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.ml.fitted.network import FittedNetwork
from sparkwater.ml.params.declaring import declare, location, refuse_unless


def _to_network(value: Any) -> str | nn.Module:
    if isinstance(value, (str, nn.Module)):
        return value
    raise TypeError(
        f"network={value!r}; accepted: a registered name, an import path 'package.module:factory', a torch.nn.Module"
    )


def _to_arguments(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        try:
            if json.loads(json.dumps(value)) == value:
                return value
        except (TypeError, ValueError):
            pass
    raise TypeError(
        f"networkArguments={value!r}; accepted: a dict of names to what JSON holds (numbers, strings, lists, dicts)"
    )


def _to_warm_start(value: Any) -> Any:
    if isinstance(value, str):
        return location("warmStart")(value)
    if isinstance(getattr(value, "fitted", None), FittedNetwork):
        return value
    raise TypeError(
        f"warmStart={value!r}; accepted: an ImageClassifierModel, such as the last of a PipelineModel's stages; the "
        "path of a saved one; the folder of a training's checkpoints"
    )


class HasNetwork(Params):
    """Mixin for ``network`` and its arguments."""

    network: Param[str | nn.Module] = declare(
        "network",
        "name of a registered network, such as 'lenet'; import path 'package.module:factory'; or a torch.nn.Module",
        _to_network,
    )
    networkArguments: Param[dict[str, Any]] = declare(
        "networkArguments",
        "keyword arguments for the network's factory, such as {'width': 2}; values that JSON holds",
        _to_arguments,
    )

    def getNetwork(self) -> str | nn.Module:
        """Return the value of ``network``."""
        return self.getOrDefault(self.network)

    def getNetworkArguments(self) -> dict[str, Any]:
        """Return the value of ``networkArguments``; empty where it isn't set."""
        return self.getOrDefault(self.networkArguments) if self.isDefined(self.networkArguments) else {}


class NetworkParams(HasNetwork):
    """Params of the initial weights of a training."""

    initialization: Param[str] = declare(
        "initialization",
        f"how the first weights are drawn: one of {', '.join(INITIALIZATIONS)}; 'paper' is the network's own way",
        TypeConverters.toString,
    )

    weights: Param[str] = declare(
        "weights",
        "file of weights to begin with, on any filesystem that Spark reaches: safetensors, or torch.save's state dict",
        location("weights"),
    )
    freeze: Param[str] = declare(
        "freeze",
        "what stays as it is: 'none', 'backbone' for all but the layer that gives the classes, or the name of a layer, "
        "for all up to it",
        TypeConverters.toString,
    )
    headLearningRateMultiplier: Param[float] = declare(
        "headLearningRateMultiplier",
        "the learning rate of the layer that gives the classes, relative to the others' (> 0)",
        TypeConverters.toFloat,
    )
    inputMean: Param[list[float]] = declare(
        "inputMean",
        "mean of each channel that the network was trained with, of pixels from 0 to 1; measured where it isn't set",
        TypeConverters.toListFloat,
    )
    inputStd: Param[list[float]] = declare(
        "inputStd",
        "standard deviation of each channel that the network was trained with, of pixels from 0 to 1 (> 0)",
        TypeConverters.toListFloat,
    )

    warmStart: Param[Any] = declare(
        "warmStart",
        "what to go on from with epochs more: an ImageClassifierModel, the path of a saved one, or the folder of a "
        "training's checkpoints",
        _to_warm_start,
    )

    def getWarmStart(self) -> Any:
        """Return the value of ``warmStart``, or None where it isn't set."""
        return self.getOrDefault(self.warmStart) if self.isDefined(self.warmStart) else None

    def getWeights(self) -> str | None:
        """Return the value of ``weights``, or None where it isn't set."""
        return self.getOrDefault(self.weights) if self.isDefined(self.weights) else None

    def getFreeze(self) -> str:
        """Return the value of ``freeze``."""
        return self.getOrDefault(self.freeze)

    def getHeadLearningRateMultiplier(self) -> float:
        """Return the value of ``headLearningRateMultiplier``."""
        return self.getOrDefault(self.headLearningRateMultiplier)

    def getInputMean(self) -> list[float] | None:
        """Return the value of ``inputMean``, or None where it isn't set."""
        return self.getOrDefault(self.inputMean) if self.isDefined(self.inputMean) else None

    def getInputStd(self) -> list[float] | None:
        """Return the value of ``inputStd``, or None where it isn't set."""
        return self.getOrDefault(self.inputStd) if self.isDefined(self.inputStd) else None

    def getInitialization(self) -> str:
        """Return the value of ``initialization``."""
        return self.getOrDefault(self.initialization)

    def check_network_params(self) -> None:
        """Refuse values out of range.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        refuse_unless(self, "initialization", INITIALIZATIONS.__contains__, ", ".join(INITIALIZATIONS))
        refuse_unless(self, "headLearningRateMultiplier", lambda value: 0 < value < math.inf, "numbers above 0")
        self._check_warm_start()
        mean, deviation = self.getInputMean(), self.getInputStd()
        if (mean is None) != (deviation is None):
            raise ConfigurationError(f"inputMean={mean!r} and inputStd={deviation!r}; give both, or neither")
        if mean is not None and not all(map(math.isfinite, mean)):
            raise ConfigurationError(f"inputMean={mean!r}; accepted: a finite number a channel")
        if deviation is not None and not all(0 < value < math.inf for value in deviation):
            raise ConfigurationError(f"inputStd={deviation!r}; accepted: a number above 0 a channel")

    def _check_warm_start(self) -> None:
        for name in ("weights", "initialization", "inputMean", "inputStd"):
            if self.getWarmStart() is not None and self.isSet(name):
                raise ConfigurationError(
                    f"{name}={self.getOrDefault(name)!r} and warmStart are both set; a warm start begins with the "
                    "weights and the scaling of what it goes on from, so clear one of them"
                )

    def given_scalings(self, spec: TensorSpec) -> tuple[Scaling | None, ...]:
        """Return the scaling that the user gave for the pictures of a row; None for inputs to measure.

        Raises
        ------
        ConfigurationError
            If it has another number of channels, or there are no pictures.
        """
        mean, deviation = self.getInputMean(), self.getInputStd()
        if mean is None or deviation is None:
            return ()
        parts = parts_of(spec)
        if not any(len(part.shape) == 3 for part in parts):
            raise ConfigurationError(f"inputMean={mean!r} is for pictures; the features are {spec}")
        return tuple(_scaling(mean, deviation, part) if len(part.shape) == 3 else None for part in parts)


def _scaling(mean: list[float], deviation: list[float], spec: TensorSpec) -> Scaling:
    if {len(mean), len(deviation)} != {spec.shape[0]}:
        raise ConfigurationError(
            f"inputMean={mean!r} and inputStd={deviation!r}; pictures {spec} need {spec.shape[0]} numbers each"
        )
    # Pixels of uint8 go from 0 to 255; other dtypes are as the user made them.
    unit = 255.0 if spec.dtype == "uint8" else 1.0
    return Scaling(tuple(value * unit for value in mean), tuple(value * unit for value in deviation))
