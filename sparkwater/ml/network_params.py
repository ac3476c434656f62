"""Params that say which network, and with which weights it begins."""

from __future__ import annotations

import json
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from torch import nn

from sparkwater.gpu.networks import INITIALIZATIONS
from sparkwater.ml.declared import declare, refuse_unless


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


class HasNetwork(Params):
    """Mixin for ``network`` and what it is built with."""

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
    """Params of the weights that a training begins with."""

    initialization: Param[str] = declare(
        "initialization",
        f"how the first weights are drawn: one of {', '.join(INITIALIZATIONS)}; 'paper' is the network's own way",
        TypeConverters.toString,
    )

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
