"""Actions that make estimators, and fit them."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.actions.estimators import ESTIMATORS, LEFT_OUT, NAMES, PACKAGES, SPACE, VARIABLES
from sparkwater.flow.workbook.code import Code, literal, variable

#: Longer calls are broken, an argument a line: with what stands around it, a line has room beside a form.
_WIDTH = 32


@dataclass(frozen=True)
class Define(Action):
    """Estimator that isn't fitted yet: a learner of an ensemble.

    Attributes
    ----------
    result : str
        The estimator.
    estimator : str
        Name of its class, one of `sparkwater.flow.workbook.actions.estimators.PACKAGES`.
    params : mapping of str to object
        The Params that are set, as plain values.
    variables : mapping of str to str or tuple of str
        The Params that are variables of the flow, by their names.
    """

    kind: ClassVar[str] = "define"

    result: str
    estimator: str
    params: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Set up {self.result}, {self.estimator}"

    def code(self) -> Code:
        """Return its Python."""
        lines = construction(self.estimator, self.params, self.variables)
        return Code(_imports(self.estimator), (f"{variable(self.result)} = {lines[0]}", *lines[1:]))


@dataclass(frozen=True)
class Fit(Action):
    """Training of an estimator on a frame.

    Attributes
    ----------
    result : str
        The fitted model.
    frame : str
        The DataFrame.
    estimator, params, variables
        As for `Define`.
    """

    kind: ClassVar[str] = "fit"
    trains: ClassVar[bool] = True

    result: str
    frame: str
    estimator: str
    params: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Train {self.result}, {self.estimator}, on {self.frame}"

    def code(self) -> Code:
        """Return its Python."""
        *first, last = construction(self.estimator, self.params, self.variables)
        lines = [*first, f"{last}.fit({variable(self.frame)})"]
        return Code(_imports(self.estimator), (f"{variable(self.result)} = {lines[0]}", *lines[1:]))


def _imports(estimator: str) -> tuple[str, ...]:
    return (f"from {PACKAGES[estimator]} import {estimator}",)


def construction(
    estimator: str, params: Mapping[str, Any], variables: Mapping[str, str | tuple[str, ...]]
) -> list[str]:
    """Return the lines of a call that makes an estimator.

    Raises
    ------
    ConfigurationError
        If a flow may not name the estimator or set a Param, or a value is none that it may have.
    """
    if estimator not in PACKAGES:
        raise ConfigurationError(f"{str(estimator)[:100]!r} is no estimator of a flow; accepted: {', '.join(PACKAGES)}")
    given = [f"{_param(name)}={_value(name, value)}" for name, value in params.items()]
    given += [f"{name}={_variables(name, value)}" for name, value in variables.items()]
    line = f"{estimator}({', '.join(given)})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{estimator}(", *(f"    {one}," for one in given), ")"]


def _param(name: str) -> str:
    """Return the name of a Param that plain values may set."""
    if name in LEFT_OUT:
        raise ConfigurationError(f"a flow doesn't set {name}: it holds {LEFT_OUT[name]}; use Python for it")
    if name in VARIABLES:
        raise ConfigurationError(f"a flow sets {name} to a variable of its own, not to a value")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name) or keyword.iskeyword(name):
        raise ConfigurationError(f"{name[:100]!r} names no Param")
    return name


def _value(name: str, value: Any) -> str:
    if name in NAMES and not (type(value) is str and re.fullmatch(r"\w+", value, re.ASCII)):
        raise ConfigurationError(
            f"{name}={str(value)[:100]!r}; a flow takes registered names alone: import paths and files are code, which "
            "Python may name"
        )
    if name == SPACE:
        _check_space(value)
    return literal(value)


def _check_space(space: Any) -> None:
    """Refuse a space of a search with values that the Params themselves couldn't have."""
    if type(space) is not dict or any(type(values) is not list for values in space.values()):
        raise ConfigurationError(
            f'space={str(space)[:100]}; a flow takes lists of values by Param, such as {{"maxDepth": [3, 5]}}'
        )
    for name, values in space.items():
        for value in values:
            _value(_param(name), value)


def _variables(name: str, value: str | tuple[str, ...]) -> str:
    """Return the variable, or the variables by their names, that a Param is set to."""
    kind = VARIABLES.get(name)
    if kind is None or (kind == ESTIMATORS) != isinstance(value, (tuple, list)):
        raise ConfigurationError(f"{name[:100]!r} isn't set to {str(value)[:100]!r} in a flow")
    if isinstance(value, str):
        return variable(value)
    return "{" + ", ".join(f"{literal(one)}: {variable(one)}" for one in value) + "}"
