"""Python made of checked names and plain values alone: nothing that a browser or a file says becomes code."""

from __future__ import annotations

import ast
import builtins
import keyword
import math
from dataclasses import dataclass
from typing import Any

from sparkwater.errors import ConfigurationError

#: Names that a variable may not take: the session's, and Python's own.
RESERVED = frozenset({"spark", *dir(builtins)})

#: Containers in containers beyond this depth are no values of an action.
_DEEPEST = 16

#: Letters of a variable's name at most: pages and scripts show it everywhere.
LONGEST_NAME = 60

#: Lines of an action's Python that a page shows.
_SHOWN = 60


@dataclass(frozen=True)
class Code:
    """The Python of an action.

    Attributes
    ----------
    imports : tuple of str
        Lines of imports, each ``from module import Name``.
    lines : tuple of str
        Lines of statements; the variable ``spark`` is the session.
    """

    imports: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Imports and statements, as a program that has ``spark``."""
        return "\n".join([*self.imports, "", *self.lines] if self.imports else self.lines) + "\n"

    @property
    def shown(self) -> str:
        """The program for a page: of very many lines, such as one for each of thousands of columns, the first ones."""
        lines = self.text.strip().splitlines()
        more = f"# ... and {len(lines) - _SHOWN:,} more lines, which scripts have."
        return "\n".join(lines if len(lines) <= _SHOWN + 1 else [*lines[:_SHOWN], more])

    @property
    def imported(self) -> frozenset[str]:
        """Names that the imports bind."""
        nodes = [node for line in self.imports for node in ast.parse(line).body]
        found = [alias for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
        return frozenset(alias.asname or alias.name.split(".")[0] for alias in found)

    @property
    def assigned(self) -> frozenset[str]:
        """Names of the variables that the statements make; those that begin with ``_`` are passing ones."""
        nodes = ast.walk(ast.parse("\n".join(self.lines)))
        names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        return frozenset(name for name in names if not name.startswith("_"))


def literal(value: Any) -> str:
    """Return Python that gives a plain value again, exactly.

    Parameters
    ----------
    value : None, bool, int, float, str, or a list, tuple or dict of these
        The value; keys of dicts are str. Subclasses of these types are refused.

    Raises
    ------
    ConfigurationError
        If the value is of another type, or a number is infinite or not a number.
    """
    return _literal(value, 0)


def _literal(value: Any, depth: int) -> str:
    if depth > _DEEPEST:
        raise ConfigurationError(f"a value has more than {_DEEPEST} containers within one another")
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return repr(value)
    if kind is float:
        if not math.isfinite(value):
            raise ConfigurationError(f"a number is {value}: only finite numbers are values of an action")
        return repr(value)
    if kind in (list, tuple):
        inner = ", ".join(_literal(each, depth + 1) for each in value)
        return f"[{inner}]" if kind is list else f"({inner}{',' if len(value) == 1 else ''})"
    if kind is dict and all(type(key) is str for key in value):
        return "{" + ", ".join(f"{key!r}: {_literal(each, depth + 1)}" for key, each in value.items()) + "}"
    raise ConfigurationError(f"a {kind.__name__} is no plain value; an action takes text, numbers, lists and dicts")


def variable(name: Any) -> str:
    """Return the name where it may be a variable's.

    Raises
    ------
    ConfigurationError
        If it isn't a str, not a Python identifier of ASCII letters, a keyword, reserved, too long, or begins with
        ``_``.
    """
    if type(name) is str and len(name) > LONGEST_NAME:
        raise ConfigurationError(
            f"{name[:LONGEST_NAME]!r}... can't name a variable: it has {len(name):,} letters, of {LONGEST_NAME} at most"
        )
    good = type(name) is str and name.isascii() and name.isidentifier()
    if not good or keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in RESERVED or name[0] == "_":
        raise ConfigurationError(
            f"{name!r} can't name a variable: take letters, digits and _, with a letter first, such as digits_1; "
            f"Python's own words and 'spark' are taken"
        )
    return str(name)


def call(function: str, *arguments: str, **keywords: Any) -> str:
    """Return a call: arguments are Python already, the values of keywords become literals."""
    return f"{function}({', '.join([*arguments, *(f'{name}={literal(value)}' for name, value in keywords.items())])})"


def comment(text: str) -> str:
    """Return text as one line of a comment: what can't be printed in it becomes blanks."""
    words = "".join(letter if letter.isprintable() else " " for letter in text)
    return f"# {' '.join(words.split())}".rstrip()
