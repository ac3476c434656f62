"""Declared settings as values: their types by annotation, their Spark Params, signatures and documentation."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.conversions.stages.accepts import Accepts

_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "float": TypeConverters.toFloat,
    "int": TypeConverters.toInt,
    "bool": TypeConverters.toBoolean,
    "str": TypeConverters.toString,
    "list[float]": TypeConverters.toListFloat,
    "list[int]": TypeConverters.toListInt,
    "list[str]": TypeConverters.toListString,
}


@dataclass(frozen=True)
class Declaration:
    """One declared setting: its type, default, documentation and accepted values.

    Attributes
    ----------
    default : object
        The default; None where the setting needs no value.
    doc : str
        The explanation; its first sentence is the short one.
    accepts : Accepts, optional
        The accepted values, where the type doesn't say them.
    convert : callable, optional
        Converter of given values to the Param's; by default the annotation's.
    field : str, optional
        The dataclass field that takes the value.
    only_with : mapping of str to tuple, optional
        Other settings, and the values of each beside which this one has an effect.
    is_param : bool
        False for an argument of the constructor that is no Param.
    name : str
        The attribute's name.
    annotation : str
        The type of its values, without ``Setting[...]``.
    """

    default: Any
    doc: str
    accepts: Accepts | None = None
    convert: Callable[[Any], Any] | None = None
    field: str | None = None
    only_with: Mapping[str, tuple[Any, ...]] | None = None
    is_param: bool = True
    name: str = ""
    annotation: str = ""

    @property
    def alternatives(self) -> list[str]:
        """The types of its values, None left out."""
        return [part for part in _alternatives(ast.parse(self.annotation, mode="eval").body) if part != "None"]

    @property
    def accepted(self) -> str:
        """The accepted values in words; empty where the type alone says them."""
        words = self.accepts.words if self.accepts else ""
        return words.replace("numbers", "integers", 1) if self.alternatives == ["int"] else words

    @property
    def explanation(self) -> str:
        """The whole text on the setting."""
        return f"{self.doc}. Accepted: {self.accepted}" if self.accepted else self.doc

    def param(self) -> Param[Any]:
        """Return the Spark Param for a class body.

        Raises
        ------
        TypeError
            If the annotation is of a type without a converter, and none is given.
        """
        convert = self.convert or _CONVERTERS.get(" | ".join(self.alternatives))
        if convert is None:
            raise TypeError(f"{self.name}: Setting[{self.annotation}] needs convert=, from given values to the Param's")
        return Param(Params._dummy(), self.name, self.explanation, convert)


def annotated_type(annotation: Any) -> str:
    """Return ``X`` of an annotation ``Setting[X]``, which may be a string."""
    if not isinstance(annotation, str):
        return inspect.formatannotation(get_args(annotation)[0])
    node = ast.parse(annotation, mode="eval").body
    if not isinstance(node, ast.Subscript):
        raise TypeError(f"{annotation}: a setting is annotated as Setting[type]")
    return ast.unparse(node.slice)


def signature(declarations: Iterable[Declaration]) -> inspect.Signature:
    """Return the signature of a constructor that takes these by keyword."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [inspect.Parameter(one.name, kind, default=one.default, annotation=one.annotation) for one in declarations]
    )


def documented(text: str, declarations: Iterable[Declaration]) -> str:
    """Return a class's docstring with a ``Parameters`` section of these, before its other sections."""
    text = inspect.cleandoc(text)
    entries = "\n".join(map(_entry, declarations))
    section = f"Parameters\n----------\n{entries}"
    if not entries:
        return text
    other = re.search(r"^\w[\w ]*\n-+$", text, re.MULTILINE)
    if other is None:
        return f"{text}\n\n{section}\n"
    return f"{text[: other.start()]}{section}\n\n{text[other.start() :]}\n"


def _entry(one: Declaration) -> str:
    choices = one.accepts.choices if one.accepts else ()
    kind = f"{{{', '.join(map(repr, choices))}}}" if choices else " or ".join(one.alternatives)
    sentences = one.doc if choices else one.explanation
    if one.default is None:
        kind = f"{kind}, optional"
    else:
        sentences += f". Default {one.default!r}"
    lines = textwrap.wrap(f"{sentences[0].upper()}{sentences[1:]}.", 110)
    return "\n".join([f"{one.name} : {kind}", *(f"    {line}" for line in lines)])


def _alternatives(node: ast.expr) -> list[str]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_alternatives(node.left), *_alternatives(node.right)]
    return [ast.unparse(node)]
