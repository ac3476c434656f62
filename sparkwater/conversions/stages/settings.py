"""Params declared in one line each.

A line such as ``epochs: Setting[float] = setting(10.0, "passes over the rows", accepts=at_least(0))`` in the body of
a `Settings` class gives the Spark Param, its default, getter and setter, the constructor's argument, the entry in the
docstring, and the refusal of other values. Type checkers and editors know the constructor by ``dataclass_transform``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar, cast

from pyspark.ml.param import Param, Params
from typing_extensions import dataclass_transform

from sparkwater.conversions.stages.accepts import Accepts
from sparkwater.conversions.stages.declarations import Declaration, annotated_type, documented, signature
from sparkwater.errors import ConfigurationError

T = TypeVar("T")

if TYPE_CHECKING:

    class Setting(Param[T]):
        """For type checkers: a Param when read, a value of its type in the constructor."""

        def __get__(self, stage: object, owner: Any) -> Param[T]: ...
        def __set__(self, stage: object, value: T) -> None: ...

    class Argument(Generic[T]):
        """For type checkers: an argument of the constructor that is no attribute."""

        def __get__(self, stage: object, owner: Any) -> NoReturn: ...
        def __set__(self, stage: object, value: T) -> None: ...

else:

    class Setting(Generic[T]):
        """Annotation of a Param that takes values of a type."""

    class Argument(Generic[T]):
        """Annotation of an argument of the constructor that is no Param."""


def setting(
    default: T,
    doc: str,
    *,
    accepts: Accepts | None = None,
    convert: Callable[[Any], T] | None = None,
    field: str | None = None,
    only_with: Mapping[str, tuple[Any, ...]] | None = None,
) -> Setting[T]:
    """Declare a Param in the body of a `Settings` class, annotated as ``Setting[type]``.

    Parameters
    ----------
    default : object
        The default; None where the Param needs no value: its getter then gives None, and setting None clears it.
    doc : str
        The explanation, without a period at its end; the first sentence is the short one.
    accepts : Accepts, optional
        The accepted values, checked by ``check_settings``.
    convert : callable, optional
        Converter of given values to the Param's; it raises TypeError for others. Needed where the annotation is none
        of float, int, bool, str, or a list of float, int or str.
    field : str, optional
        The dataclass field that takes the value in `fields_of`.
    only_with : mapping of str to tuple, optional
        Other Params, and the values of each beside which this one has an effect; see `Settings.idle_settings`.
    """
    return cast("Setting[T]", Declaration(default, doc, accepts, convert, field, only_with))


def argument(doc: str) -> Argument[Any]:
    """Declare an argument of the constructor that is no Param; the class's own ``setX`` receives it.

    Parameters
    ----------
    doc : str
        The explanation, without a period at its end.
    """
    return cast("Argument[Any]", Declaration(None, doc, is_param=False))


@dataclass_transform(kw_only_default=True, eq_default=False)
class Settings(Params):
    """Params that are declared in one line each, and refuse values of another type where they are set.

    None unsets a Param that needs no value, and is refused for the others.
    """

    __signature__: ClassVar[inspect.Signature]
    _own_settings: ClassVar[dict[str, Declaration]] = {}
    _settings: ClassVar[dict[str, Declaration]] = {}
    #: Defaults that a class has in place of those that its bases declare.
    _class_defaults: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        notes = vars(cls).get("__annotations__", {})
        cls._own_settings = {
            name: replace(value, name=name, annotation=annotated_type(notes.get(name, name)))
            for name, value in vars(cls).items()
            if isinstance(value, Declaration)
        }
        for one in cls._own_settings.values():
            _declare(cls, one)
        cls._settings = {
            name: replace(one, default=cls._class_defaults.get(name, one.default))
            for name, one in _all_settings(cls).items()
        }
        if cls.__init__ is not Settings.__init__:  # one written by hand speaks for itself
            own = inspect.signature(cls.__init__)
            cls.__signature__ = own.replace(parameters=list(own.parameters.values())[1:])
            return
        cls.__signature__ = signature(cls._settings.values())
        if "__doc__" in vars(cls) and cls.__doc__:
            cls.__doc__ = documented(cls.__doc__, cls._settings.values())

    def __init__(self, **given: Any) -> None:
        super().__init__()
        _refuse_unknown(type(self), given)
        declared = type(self)._settings
        params = {name: one for name, one in declared.items() if one.is_param}
        self._setDefault(**{name: one.default for name, one in params.items() if one.default is not None})
        for name in declared.keys() - params.keys():
            if given.get(name) is not None:
                getattr(self, _method("set", name))(given[name])
        self._set(**{name: value for name, value in given.items() if name in params})

    def setParams(self, **given: Any) -> Any:
        """Set Params by the names of the constructor's arguments, as Spark ML's estimators do."""
        _refuse_unknown(type(self), given)
        for name, value in given.items():
            getattr(self, _method("set", name))(value)
        return self

    if TYPE_CHECKING:
        # The getters and setters, made from the declarations.
        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def _set(self, **values: Any) -> Any:
        for name, value in values.items():
            param, one = getattr(self, name), type(self)._settings.get(name)
            optional = one.default is None if one else not self.hasDefault(param)
            if value is None and optional:
                self.clear(param)
            else:
                _check_type(param, one, value)
                super()._set(**{name: value})
        return self

    @classmethod
    def declared(cls, name: str) -> Declaration:
        """Return the declaration of a setting of this class or a base."""
        return cls._settings[name]

    @classmethod
    def declarations(cls) -> Mapping[str, Declaration]:
        """Return the declarations of all settings by name, those of the bases first."""
        return cls._settings

    @classmethod
    def declaring_class(cls, name: str) -> type[Any]:
        """Return the class that declares a setting: this one or a base."""
        return next(base for base in cls.__mro__ if name in vars(base).get("_own_settings", {}))

    def check_settings(self) -> None:
        """Refuse values that the declarations don't accept.

        Raises
        ------
        ConfigurationError
            With the Param, its value and what is accepted.
        """
        for name in type(self)._settings:
            self.accepted_value(name)

    def idle_settings(self) -> list[str]:
        """Return a sentence for each Param that is set, and has no effect beside the values of others."""
        return [
            f"{name}={self.getOrDefault(name)!r} has no effect with {other}={self.getOrDefault(other)!r}; it is for "
            f"{other}={' or '.join(map(repr, values))}"
            for name, one in type(self)._settings.items()
            for other, values in (one.only_with or {}).items()
            if one.is_param and self.isSet(name) and self.getOrDefault(other) not in values
        ]

    def accepted_value(self, name: str) -> Any:
        """Return a Param's value, or None where it has none.

        Raises
        ------
        ConfigurationError
            If the declaration doesn't accept it: with the Param, its value and what is accepted.
        """
        one = type(self)._settings[name]
        if not (one.is_param and self.isDefined(name)):
            return None
        value = self.getOrDefault(name)
        if one.accepts is not None and not one.accepts.test(value):
            raise ConfigurationError(f"{name}={value!r}; accepted: {one.accepted}")
        return value


def fields_of(stage: Settings, kind: type[Any]) -> dict[str, Any]:
    """Return a stage's values for the fields of a dataclass: of the Params whose ``field=`` is one of them."""
    names = {field.name for field in fields(kind)}
    return {
        one.field: stage.accepted_value(name)
        for name, one in type(stage)._settings.items()
        if one.field is not None and one.field in names
    }


def _declare(cls: type[Settings], one: Declaration) -> None:
    """Put a setting's Param, getter and setter into a class; methods written by hand stay."""
    if not one.is_param:
        delattr(cls, one.name)
        return
    setattr(cls, one.name, one.param())
    for verb, make in (("get", _getter), ("set", _setter)):
        name = _method(verb, one.name)
        present = getattr(cls, name, None)
        # Spark's own getters raise for a Param without a value; made ones document the setting of a base.
        if present is None or present.__module__.startswith("pyspark.") or hasattr(present, "_made"):
            method: Any = make(one)
            method._made = True
            method.__name__, method.__qualname__ = name, f"{cls.__qualname__}.{name}"
            setattr(cls, name, method)


def _getter(one: Declaration) -> Callable[[Any], Any]:
    def get(self: Any) -> Any:
        return self.getOrDefault(one.name) if self.isDefined(one.name) else None

    get.__doc__ = f"Return the value of ``{one.name}``{', or None where it is not set' * (one.default is None)}."
    return get


def _setter(one: Declaration) -> Callable[[Any, Any], Any]:
    def set_value(self: Any, value: Any) -> Any:
        return self._set(**{one.name: value})

    set_value.__doc__ = f"Set ``{one.name}``: {one.explanation}."
    return set_value


def _all_settings(cls: type[Settings]) -> dict[str, Declaration]:
    """Return all settings of a class, those of its bases first; a name declared twice counts as in the class's MRO."""
    names: dict[str, None] = {}
    for base in cls.__bases__:
        names.update(dict.fromkeys(getattr(base, "_settings", ())))
    names.update(dict.fromkeys(cls._own_settings))
    homes = [vars(base).get("_own_settings", {}) for base in cls.__mro__]
    return {name: next(home[name] for home in homes if name in home) for name in names}


def _method(verb: str, name: str) -> str:
    return f"{verb}{name[0].upper()}{name[1:]}"


def _refuse_unknown(cls: type[Settings], given: Iterable[str]) -> None:
    """Refuse names that aren't declared, with the nearest one."""
    for name in given:
        if name not in cls._settings:
            near = difflib.get_close_matches(name, cls._settings, n=1)
            advice = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(cls._settings)}"
            raise TypeError(f"{cls.__name__} has no Param {name!r}; {advice}")


def _check_type(param: Param[Any], one: Declaration | None, value: Any) -> None:
    try:
        if value is None:
            raise TypeError("it needs a value")
        param.typeConverter(value)
    except TypeError as error:
        accepted = (one.accepted or one.doc.split(". ")[0]) if one else param.doc
        explained = str(error) if "accepted: " in str(error) else f"{param.name}={value!r}; accepted: {accepted}"
        raise TypeError(explained) from error
