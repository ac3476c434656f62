"""Accepted values of Params: tests, with their descriptions for messages and documentation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.ml.param import TypeConverters

from sparkwater.errors import ConfigurationError


@dataclass(frozen=True)
class Accepts:
    """A test of values, with its description.

    Parameters
    ----------
    test : callable
        True for an accepted value.
    words : str
        The accepted values, as messages say them. ``numbers`` reads ``integers`` for an int.
    choices : tuple of str
        The accepted values one by one, where they are names.
    """

    test: Callable[[Any], bool]
    words: str
    choices: tuple[str, ...] = ()


def at_least(lowest: float) -> Accepts:
    """Accept finite numbers from a lowest one up."""
    return Accepts(lambda value: lowest <= value < math.inf, f"numbers from {lowest} up")


def above(lowest: float, up_to: float = math.inf) -> Accepts:
    """Accept finite numbers above a bound, up to and including a highest one."""
    if up_to == math.inf:
        return Accepts(lambda value: lowest < value < math.inf, f"numbers above {lowest}")
    return Accepts(lambda value: lowest < value <= up_to, f"numbers above {lowest}, up to {up_to}")


def between(lowest: float, highest: float) -> Accepts:
    """Accept numbers from a lowest one up to, but not including, a highest one."""
    return Accepts(lambda value: lowest <= value < highest, f"numbers from {lowest} up to, not including, {highest}")


def one_of(*names: str) -> Accepts:
    """Accept these names."""
    return Accepts(names.__contains__, ", ".join(names), names)


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
