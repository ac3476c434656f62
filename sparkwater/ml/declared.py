"""Declaring Params, and refusing their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pyspark.ml.param import Param, Params

from sparkwater.errors import ConfigurationError


def declare(name: str, doc: str, converter: Any) -> Param[Any]:
    """Return a Param for the body of a mixin."""
    return Param(Params._dummy(), name, doc, typeConverter=converter)


def at_least(lowest: float) -> Callable[[float], bool]:
    """Return a test of finite numbers: not below a lowest one."""
    return lambda value: lowest <= value < math.inf


def in_range(lowest: float, highest: float) -> Callable[[float], bool]:
    """Return a test of numbers: not below a lowest one and below a highest one."""
    return lambda value: lowest <= value < highest


def refuse_unless(params: Params, name: str, accepts: Callable[[Any], bool], accepted: str) -> None:
    """Refuse a Param's value.

    Raises
    ------
    ConfigurationError
        With the Param, its value and what is accepted.
    """
    value = params.getOrDefault(name)
    if not accepts(value):
        raise ConfigurationError(f"{name}={value!r}; accepted: {accepted}")
