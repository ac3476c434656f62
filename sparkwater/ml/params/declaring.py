"""Declaration and checks of Params."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.errors import ConfigurationError


def declare(name: str, doc: str, converter: Any) -> Param[Any]:
    """Return a Param for the body of a mixin."""
    return Param(Params._dummy(), name, doc, typeConverter=converter)


def location(name: str) -> Callable[[Any], str]:
    """Return a converter for a Param that is a path or URL.

    It refuses URLs with a password: Params are logged, saved and shown.
    """

    def convert(value: Any) -> str:
        url: str = TypeConverters.toString(value)
        if re.match(r"[^/@]+://[^/@]*:[^/@]*@", url):
            raise ConfigurationError(
                f"{name} has a password in its URL, which logs and saved Params would show; leave it to the "
                "environment, a profile, or Spark's settings of the filesystem"
            )
        return url

    return convert


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


class CheckedParams(Params):
    """Params that refuse values of another type where they are set, as Spark ML's do, with the accepted ones.

    None unsets a Param that needs no value, and is refused for the others.
    """

    def _set(self, **values: Any) -> Any:
        for name, value in values.items():
            param = getattr(self, name)
            if value is None and not self.hasDefault(param):
                self.clear(param)
            else:
                _check_type(param, value)
                super()._set(**{name: value})
        return self


def _check_type(param: Param[Any], value: Any) -> None:
    try:
        if value is None:
            raise TypeError("it needs a value")
        param.typeConverter(value)
    except TypeError as error:
        explained = str(error) if "accepted: " in str(error) else f"{param.name}={value!r}; accepted: {param.doc}"
        raise TypeError(explained) from error
