"""Params of the network and its initial weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from sparkwater.conversions.stages.accepts import above, location, one_of
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import INITIALIZATIONS
from sparkwater.ml.fitted.network import FittedNetwork

if TYPE_CHECKING:
    from sparkwater.ml.fitted.network import HasFittedNetwork


def _to_network(value: Any) -> str | nn.Module:
    if isinstance(value, str):
        return location("network")(value)
    if isinstance(value, nn.Module):
        return value
    raise TypeError(
        f"network={value!r}; accepted: a registered name, an import path 'package.module:factory', an ONNX file "
        "'onnx:path', a torch.nn.Module"
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
        f"warmStart={value!r}; accepted: an ImageClassifierModel or another trained model, such as the last of a "
        "PipelineModel's stages; the path of a saved one; the folder of a training's checkpoints"
    )


def _to_autoencoder(value: Any) -> Any:
    if isinstance(value, str):
        return location("pretrainedAutoencoder")(value)
    if isinstance(getattr(value, "fitted", None), FittedNetwork):
        return value
    raise TypeError(f"pretrainedAutoencoder={value!r}; accepted: an AutoEncoderModel, or the path of a saved one")


class HasNetwork(Settings):
    """Mixin for ``network`` and what it is built with."""

    network: Setting[str | nn.Module] = setting(
        "lenet",
        "name of a registered network, such as 'lenet', or 'auto' for one that suits the pictures; import path "
        "'package.module:factory', also of one that makes a model of Keras; an ONNX file 'onnx:path'; or a "
        "torch.nn.Module, of which a copy is trained from its present weights on. "
        "sparkwater.gpu.networks.sources.ImportedFactory says how a factory is called",
        convert=_to_network,
    )
    networkArguments: Setting[dict[str, Any] | None] = setting(
        None,
        "keyword arguments for the network's factory, such as {'width': 2}; values that JSON holds. For a network that "
        "is an instance: with what its class is called, so that the model can be saved",
        convert=_to_arguments,
    )

    def getNetworkArguments(self) -> dict[str, Any]:
        """Return the value of ``networkArguments``; empty where it isn't set."""
        return (self.getOrDefault(self.networkArguments) if self.isDefined(self.networkArguments) else None) or {}


class NetworkParams(HasNetwork):
    """Params of the weights that a training begins with.

    Attributes
    ----------
    model_type : type
        What a training gives, and another may go on from.
    """

    model_type: ClassVar[type[Any]]

    initialization: Setting[str] = setting(
        "paper",
        "how the first weights are drawn; paper is the network's own way",
        accepts=one_of(*INITIALIZATIONS),
    )
    weights: Setting[str | None] = setting(
        None,
        "file of weights to begin with, on any filesystem that Spark reaches: safetensors, or torch.save's state dict. "
        "All names and shapes must be the network's (prefixes of wrappers, such as 'module.', are dropped), but for "
        "the layer that gives the outputs: one of another size is made anew",
        convert=location("weights"),
    )
    warmStart: Setting[HasFittedNetwork | str | None] = setting(
        None,
        "network to go on from with epochs more: a trained model such as an ImageClassifierModel, the path of a saved "
        "one, or the folder of checkpoints that a training left behind. Its weights and input scaling are kept; the "
        "rate's schedule and the optimizer begin anew. Network, shape and the meaning of outputs stay; "
        "docs/warm_start.md says what may change. A path is saved with the estimator, a model isn't",
        convert=_to_warm_start,
    )
    pretrainedAutoencoder: Setting[HasFittedNetwork | str | None] = setting(
        None,
        "AutoEncoderModel of such features, or the path of a saved one: the network begins with its weights, layer by "
        "layer as long as names and shapes are the same, and with its input scaling, as H2O's pretrained_autoencoder. "
        "docs/autoencoder.md names networks that fit. A path is saved with the estimator, a model isn't",
        convert=_to_autoencoder,
    )
    freeze: Setting[str] = setting(
        "none",
        "what stays as it is: 'none', 'backbone' for all but the layer that gives the outputs, or the name of a layer, "
        "for all up to it and it. Frozen batch normalisation keeps its statistics",
    )
    headLearningRateMultiplier: Setting[float] = setting(
        1.0,
        "the learning rate of the layer that gives the outputs, relative to the others'",
        accepts=above(0),
        field="head_multiplier",
    )

    def check_network_params(self) -> None:
        """Refuse values that don't go together.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        for name in ("weights", "initialization", "inputMean", "inputStd"):
            if self.getWarmStart() is not None and self.hasParam(name) and self.isSet(name):
                raise ConfigurationError(
                    f"{name}={self.getOrDefault(name)!r} and warmStart are both set; a warm start begins with the "
                    "weights and the scaling of what it goes on from, so clear one of them"
                )
        for name in ("warmStart", "weights", "inputMean", "inputStd"):
            if self.getPretrainedAutoencoder() is not None and self.hasParam(name) and self.isSet(name):
                raise ConfigurationError(
                    f"{name} and pretrainedAutoencoder are both set; a network begins with the weights and the scaling "
                    "of one of them, so clear the other"
                )
