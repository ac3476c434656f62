"""The protocol of actions, and their way to JSON and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.code import Code, literal, variable


class Action(ABC):
    """Something that a user did, as plain values: subclasses are frozen dataclasses.

    Their fields are str, int, float, bool, tuples of these, dicts with keys of str, and None.

    Attributes
    ----------
    kind : str
        Name of the class in JSON.
    trains : bool
        True for long work: one such action runs at a time, the others wait.
    result : str or None
        A field of most actions: name of the variable that it makes; None where it makes none.
    """

    kind: ClassVar[str]
    trains: ClassVar[bool] = False

    if typing.TYPE_CHECKING:  # a property that is there would be the default of fields of its name

        @property
        def result(self) -> str | None: ...  # noqa: D102

    @property
    @abstractmethod
    def title(self) -> str:
        """A few plain words, for lists."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Files and folders that it reads or writes; they must lie within the folders given at start."""
        return ()

    @property
    def replaced(self) -> tuple[str, ...]:
        """Those of its paths at which it deletes what is there, to write it anew."""
        return ()

    @property
    def created(self) -> tuple[str, ...]:
        """Those of its paths at which nothing may be yet."""
        return ()

    def replacing(self) -> Action:
        """Return the action that replaces what is at the paths that this one creates."""
        return self

    @abstractmethod
    def code(self) -> Code:
        """Return its Python: identifiers and literals only."""


def to_json(action: Action) -> dict[str, Any]:
    """Return the kind and the fields of an action, of values that JSON knows."""
    return {"kind": action.kind, **_plain(dataclasses.asdict(typing.cast(Any, action)))}


def from_json(content: Any, kinds: Mapping[str, type[Action]]) -> Action:
    """Return the action of what `to_json` gave.

    Parameters
    ----------
    content : dict
        Kind and fields.
    kinds : mapping of str to type
        The known classes.

    Raises
    ------
    ConfigurationError
        If the kind is unknown, a field is missing, unknown or of another type, or the action refuses its values.
    """
    if type(content) is not dict or type(content.get("kind")) is not str:
        raise ConfigurationError(f"an action is an object with a kind, not {str(content)[:100]!r}")
    fields = {name: value for name, value in content.items() if name != "kind"}
    kind = kinds.get(content["kind"])
    if kind is None:
        raise ConfigurationError(f"no action is of kind {content['kind'][:100]!r}; known: {', '.join(sorted(kinds))}")
    known = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    needed = {
        name
        for name, field in known.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if not needed <= fields.keys() <= known.keys():
        raise ConfigurationError(
            f"{kind.kind} has the fields {', '.join(known)}; given: {', '.join(map(str, fields))[:200]}"
        )
    hints = typing.get_type_hints(kind)
    action = kind(**{name: _fitted(value, hints[name], f"{kind.kind}.{name}") for name, value in fields.items()})
    if action.result is not None:
        variable(action.result)
    action.code()  # refuses what it can't say
    return action


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def _fitted(value: Any, hint: Any, name: str) -> Any:
    """Return a value of JSON as the type that a field has."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in inner:
            with suppress(ConfigurationError):
                return _fitted(value, option, name)
    elif hint is Any:
        literal(value)
        return value
    elif origin is tuple and type(value) is list and len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_fitted(each, inner[0], name) for each in value)
    elif origin is tuple and type(value) is list and len(inner) == len(value):
        return tuple(_fitted(each, one, name) for each, one in zip(value, inner, strict=True))
    elif _is_mapping(origin) and type(value) is dict and all(type(key) is str for key in value):
        return {key: _fitted(each, inner[1], name) for key, each in value.items()}
    elif hint is float and type(value) in (int, float):
        literal(float(value))
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise ConfigurationError(f"{name} is {str(value)[:100]!r}, which is no {hint if origin else hint.__name__}")


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)
