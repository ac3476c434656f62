"""Forms of estimators: a field for each of their Params, by what is declared of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from pyspark.ml.param import Param, TypeConverters

from sparkwater.conversions.stages.declarations import Declaration
from sparkwater.conversions.stages.levels import ESSENTIAL, SUBJECTS, level, subject
from sparkwater.conversions.stages.levels import LEVELS as LEVELS
from sparkwater.conversions.stages.settings import Settings
from sparkwater.flow.workbook.actions.estimators import LEFT_OUT, PACKAGES, VARIABLES
from sparkwater.gpu.networks import registered_networks
from sparkwater.gpu.networks.registry import find_registered
from sparkwater.stacking.automl.families import FAMILIES
from sparkwater.stacking.combined import META_LEARNERS

#: Kinds of input.
INTEGER, NUMBER, SWITCH, CHOICE, CHOICES, TEXT = "integer", "number", "switch", "choice", "choices", "text"
INTEGERS, NUMBERS, WORDS, COLUMN, COLUMNS, JSON = "integers", "numbers", "words", "column", "columns", "json"
VARIABLE = "variable"

#: Kinds by the types of values.
_BY_TYPE = {
    "int": INTEGER,
    "float": NUMBER,
    "bool": SWITCH,
    "str": TEXT,
    "list[int]": INTEGERS,
    "list[float]": NUMBERS,
    "list[str]": WORDS,
}
_BY_CONVERTER: dict[Any, str] = {
    TypeConverters.toInt: INTEGER,
    TypeConverters.toFloat: NUMBER,
    TypeConverters.toBoolean: SWITCH,
    TypeConverters.toString: TEXT,
    TypeConverters.toListInt: INTEGERS,
    TypeConverters.toListFloat: NUMBERS,
    TypeConverters.toListString: WORDS,
}
#: Columns that are read; all others whose names end alike are made.
_READ = frozenset(
    f"{name}Col"
    for name in ("features", "label", "weight", "validationIndicator", "offset", "id", "fold", "group", "time")
)
#: Params of Spark's own estimators that most users set; and those that few do.
_SPARK_ESSENTIAL = ("maxIter", "regParam", "elasticNetParam", "numTrees", "maxDepth", "stepSize")
_SPARK_EXPERT = frozenset(
    ["aggregationDepth", "cacheNodeIds", "checkpointInterval", "maxBlockSizeInMB", "maxMemoryInMB", "leafCol"]
)
#: Params that are essential for one estimator alone.
_ALSO_ESSENTIAL = {"AutoML": ("maxRuntimeSecs",)}
_SPARK_SUBJECT = "Of this estimator"
#: What a form says of networks: their own documentation speaks of code and files, too, and of all learners' networks.
_NETWORKS = {
    "auto": "one that suits the pictures",
    "autoencoder": "of dense layers",
    "conv_autoencoder": "of convolutions, for pictures",
}
#: Words of documentations on what a form doesn't take.
_IN_PYTHON = (
    " a name, or any estimator with featuresCol and labelCol.",
    " For a network that is an instance: with what its class is called, so that the model can be saved",
    " or, where the search takes them, frozen distributions of scipy.stats; or a list of ParamMaps as ParamGridBuilder "
    "builds it",
)
#: The end of a documentation with all accepted names.
_SUPPORTED = re.compile(r"Supported options: ([\w-]+(?:,\s*[\w-]+)*)\.?$")


@dataclass(frozen=True)
class Field:
    """Field of a form: a Param, and the input that it gets.

    Attributes
    ----------
    name : str
        The Param.
    kind : str
        Kind of input, one of those of this module.
    default : object
        The Param's default as a plain value; None where it has none.
    doc : str
        The Param's explanation.
    level, subject : str
        Essential, Advanced or Expert; and the subject among those of a level.
    choices : tuple of str
        Accepted values, where they are names.
    """

    name: str
    kind: str
    default: Any
    doc: str
    level: str
    subject: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """Form of an estimator.

    Attributes
    ----------
    estimator : str
        The estimator's name.
    lead : str
        First lines of its documentation.
    fields : tuple of Field
        The fields in the order of a page.
    left_out : dict of str to str
        Params without a field, and the reason.
    """

    estimator: str
    lead: str
    fields: tuple[Field, ...]
    left_out: dict[str, str]

    def field(self, name: str) -> Field:
        """Return the field of a Param."""
        return next(one for one in self.fields if one.name == name)

    def groups(self, wanted: str) -> dict[str, list[Field]]:
        """Return the fields of a level by subject."""
        found: dict[str, list[Field]] = {}
        for one in self.fields:
            if one.level == wanted:
                found.setdefault(one.subject, []).append(one)
        return found


def estimator_class(name: str) -> type[Any]:
    """Return the class of an estimator that a flow may name."""
    found: type[Any] = getattr(import_module(PACKAGES[name]), name)
    return found


@cache
def form_of(name: str) -> Form:
    """Return the form of an estimator; it needs no Spark session."""
    kind = estimator_class(name)
    declared = issubclass(kind, Settings)
    found = list(_declared_fields(kind) if declared else _spark_fields(kind))
    fields = [one for one in found if one.name not in LEFT_OUT]
    lead = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ").replace("`", "")
    left = {one.name: LEFT_OUT[one.name] for one in found if one.name in LEFT_OUT}
    return Form(name, lead, tuple(sorted(fields, key=_place)), left | ({} if declared else _unfit(kind)))


def _place(field: Field) -> tuple[int, int, int]:
    titles = [*SUBJECTS, field.subject]
    essential = (*ESSENTIAL[:-3], *_SPARK_ESSENTIAL, *ESSENTIAL[-3:])  # names of columns and the seed come last
    order = essential.index(field.name) if field.name in essential else len(essential)
    return LEVELS.index(field.level), 0 if field.level == LEVELS[0] else titles.index(field.subject), order


def _declared_fields(kind: type[Settings]) -> Iterator[Field]:
    for name, one in kind.declarations().items():
        input_kind, choices = _input_of(kind, one)
        depth = LEVELS[0] if name in _ALSO_ESSENTIAL.get(kind.__name__, ()) else level(name)
        title = depth if depth == LEVELS[0] else subject(kind.declaring_class(name).__name__)
        yield Field(name, input_kind, one.default, _words(one, choices), depth, title, choices)


def _words(one: Declaration, choices: tuple[str, ...]) -> str:
    """Return the explanation of a declared Param, without what a form doesn't take."""
    if one.name == "network":
        known = [f"{name}: {words}" for name, words in _NETWORKS.items() if name in choices]
        return ". ".join(["name of a network", *known, "Those of your own, and files, are for Python"])
    words = one.explanation
    for part in _IN_PYTHON:
        words = words.replace(part, "")
    return words.rstrip(".")


def _input_of(kind: type[Any], one: Declaration) -> tuple[str, tuple[str, ...]]:
    """Return the kind of input for a declared Param, and its choices."""
    names = _names(kind, one.name)
    if one.name in VARIABLES:
        return VARIABLE, ()
    if names:
        return (CHOICES if one.alternatives == ["list[str]"] else CHOICE), names
    if one.accepts is not None and one.accepts.choices:
        return CHOICE, one.accepts.choices
    if one.name in _READ:
        return COLUMN, ()
    if one.name.endswith("Cols"):
        return COLUMNS, ()
    return (_BY_TYPE.get(one.alternatives[0], JSON) if len(one.alternatives) == 1 else JSON), ()


def _names(kind: type[Any], param: str) -> tuple[str, ...]:
    """Return the registered names that a Param is chosen from; empty for other Params."""
    if param in ("include", "exclude"):
        return tuple(FAMILIES)
    if param == "metaLearner":
        return META_LEARNERS
    return network_names(kind) if param == "network" else ()


def network_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the registered networks for the rows that an estimator learns."""
    names = registered_networks()
    coders = [name for name in names if name.endswith("autoencoder")]
    if kind is estimator_class("AutoEncoder"):
        return tuple(coders)
    tables = hasattr(kind, "recipe")
    fitting = [name for name in names if (find_registered(name).image_shape is None) == tables]
    return tuple(sorted({*fitting, *coders}))  # a classifier may go on from an autoencoder


def _spark_params(kind: type[Any]) -> dict[str, Param[Any]]:
    return {name: value for name, value in inspect.getmembers(kind) if isinstance(value, Param)}


def _spark_fields(kind: type[Any]) -> Iterator[Field]:
    defaults = inspect.signature(kind.__init__).parameters
    for name, param in _spark_params(kind).items():
        input_kind = _spark_input(name, param)
        if input_kind and name in defaults:
            choices = _spark_choices(param) if input_kind == TEXT else ()
            depth = _spark_level(name)
            title = depth if depth == LEVELS[0] else "Columns" if name.endswith("Col") else _SPARK_SUBJECT
            kind_of_input = CHOICE if choices else input_kind
            yield Field(name, kind_of_input, defaults[name].default, param.doc.rstrip("."), depth, title, choices)


def _spark_level(name: str) -> str:
    if name in _SPARK_ESSENTIAL or name in ESSENTIAL:
        return LEVELS[0]
    return LEVELS[2] if name in _SPARK_EXPERT else LEVELS[1]


def _spark_input(name: str, param: Param[Any]) -> str:
    """Return the kind of input for a Param of Spark's; empty for vectors and matrices."""
    if name in _READ:
        return COLUMN
    return _BY_CONVERTER.get(param.typeConverter, "")


def _spark_choices(param: Param[Any]) -> tuple[str, ...]:
    """Return the names that a Param of Spark's takes by its documentation; empty where it says none, or others too."""
    listed = _SUPPORTED.search(param.doc)
    return tuple(re.split(r",\s*", listed[1])) if listed else ()


def _unfit(kind: type[Any]) -> dict[str, str]:
    """Return the Params of an estimator of Spark's that get no field, and the reason."""
    defaults = inspect.signature(kind.__init__).parameters
    found = {}
    for name, param in _spark_params(kind).items():
        if not _spark_input(name, param):
            found[name] = "a vector or matrix"
        elif name not in defaults:
            found[name] = "not for this estimator"
    return found


def shown_default(field: Field) -> str:
    """Return a field's default in words."""
    if field.default is None:
        return "not set"
    if isinstance(field.default, bool):
        return "yes" if field.default else "no"
    if isinstance(field.default, str):
        return field.default or "none"
    return repr(field.default) if field.default != [] else "none"
