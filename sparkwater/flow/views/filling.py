"""Filled forms: typed values of what was typed, and refusals in the estimators' own words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.errors import IllegalArgumentException

from sparkwater.conversions.stages.settings import Settings
from sparkwater.errors import SparkwaterError
from sparkwater.flow.views import forms
from sparkwater.flow.views.forms import Field, Form, estimator_class, form_of
from sparkwater.flow.work.words import in_words

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Errors of values and of settings that don't fit each other.
REFUSALS = (SparkwaterError, TypeError, ValueError, IllegalArgumentException)


@dataclass(frozen=True)
class Filled:
    """Form that was filled in.

    Attributes
    ----------
    values : dict of str to object
        Typed values of the Params that were given and are accepted.
    errors : dict of str to str
        The estimator's messages by Param; those about no single one have an empty name.
    """

    values: dict[str, Any]
    errors: dict[str, str]


def typed_value(field: Field, given: Any) -> Any:
    """Return what an input holds as a value of the field's kind, or as it is where it is none; None if it is empty."""
    if isinstance(given, str):
        given = given.strip()
    if given in ("", None, [], ()):
        return None
    read = _READERS.get(field.kind)
    return read(given) if read is not None and isinstance(given, str) else given


def _number(text: str) -> Any:
    with suppress(ValueError, OverflowError):
        whole = int(text)
        float(whole)  # estimators compare it with numbers
        return whole
    with suppress(ValueError):
        return float(text)
    return text


def _list(text: str, read: Callable[[str], Any]) -> list[Any]:
    return [read(part) for part in re.split(r"[,;\s]+", text.strip("[]() ")) if part]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    forms.INTEGER: _number,
    forms.NUMBER: _number,
    forms.INTEGERS: lambda text: _list(text, _number),
    forms.NUMBERS: lambda text: _list(text, _number),
    forms.WORDS: lambda text: _list(text, str),
    forms.SWITCH: lambda text: {"yes": True, "no": False}.get(text.lower(), text),
    forms.JSON: _json,
}


def fill(name: str, typed: Mapping[str, Any]) -> Filled:
    """Return the values of a form's inputs, each refused or accepted by the estimator; needs no Spark session.

    Parameters
    ----------
    name : str
        The estimator.
    typed : mapping of str to object
        What the inputs hold, by Param: text, or what was chosen. Empty ones are not set.
    """
    form, values, errors = form_of(name), {}, {}
    kind = estimator_class(name)
    for field in form.fields:
        value = typed_value(field, typed.get(field.name))
        if value is None or field.kind == forms.VARIABLE:
            continue
        try:
            values[field.name] = _accepted(kind, field, value)
        except REFUSALS as error:
            errors[field.name] = words(error)
    return Filled(values, errors)


def _accepted(kind: type[Any], field: Field, value: Any) -> Any:
    """Return a value as the estimator's Param holds it, or raise the estimator's refusal."""
    if field.name == "network" and value not in field.choices:
        raise ValueError(f"network={value!r}; accepted here: {', '.join(field.choices)}")
    if issubclass(kind, Settings):
        estimator = kind(**{field.name: value})
        return estimator.accepted_value(field.name)
    try:
        converted = getattr(kind, field.name).typeConverter(value)
        bits = 63 if field.name == "seed" else 31
        if field.kind == forms.INTEGER and not -(2**bits) <= converted < 2**bits:
            raise ValueError(f"whole numbers have {bits + 1} bits here")
        return converted
    except (TypeError, ValueError) as error:
        raise TypeError(f"{field.name}={value!r}: {error}; {field.doc}") from error


def refusal(estimator: Any, frame: DataFrame | None) -> tuple[str, str] | None:
    """Return the Param and the message of what ``fit`` would refuse before any job; None where it refuses nothing.

    Parameters
    ----------
    estimator : pyspark.ml.Estimator
        The estimator, with all that was given set.
    frame : pyspark.sql.DataFrame, optional
        The rows; without them only what the Params alone say is refused.
    """
    try:
        _check(estimator, frame)
    except REFUSALS as error:
        form, said = form_of(type(estimator).__name__), words(error)
        return place(form, said) or _place_of_column(form, estimator, said), said
    return None


def _check(estimator: Any, frame: DataFrame | None) -> None:
    if not isinstance(estimator, Settings):
        if getattr(estimator, "_java_obj", None) is not None:
            estimator._transfer_params_to_java()  # Spark's own Params are checked there, and no job runs
    elif frame is not None:
        estimator._refuse(frame)
    else:
        for check in ("check_training_params", "check_network_params"):
            getattr(estimator, check, estimator.check_settings)()


def place(form: Form, message: str) -> str:
    """Return the Param that a message names first; empty where it names none of the form's."""
    names = {field.name for field in form.fields}
    found: Iterable[str] = re.findall(r"\b[a-z]\w*(?==)", message) or re.findall(r"\b[a-z]\w*", message)[:2]
    return next((name for name in found if name in names), "")


def _place_of_column(form: Form, estimator: Any, message: str) -> str:
    """Return the Param whose column a message names; empty where it names none."""
    for field in form.fields:
        if field.kind == forms.COLUMN and estimator.hasParam(field.name):
            param = estimator.getParam(field.name)
            if estimator.isDefined(param) and repr(estimator.getOrDefault(param)) in message:
                return field.name
    return ""


def words(error: BaseException) -> str:
    """Return an error in its own words; those of values and types need no class before them."""
    said = str(error) if isinstance(error, (TypeError, ValueError)) else in_words(error)
    return said.removeprefix("requirement failed: ")
