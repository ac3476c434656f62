"""Types that columns can be changed to, as expressions of Spark SQL: values that can't be changed become null."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.code import literal

#: A column, its new type, and for dates and times the format of the texts; an empty one for the ISO format.
TypeChange = tuple[str, str, str]

#: Types by name, with what they are in a few words.
TYPES = {
    "text": "text, or a category",
    "number": "number",
    "whole": "whole number",
    "boolean": "true or false",
    "date": "date",
    "timestamp": "date and time",
}

#: Formats are letters of Spark's date patterns and what stands between them; a quote could end the expression.
_FORMAT = re.compile(r"[A-Za-z0-9 ./:,\-\[\]]{1,60}")


def type_expression(change: TypeChange) -> str:
    """Return the expression of Spark SQL that changes a column's type.

    Raises
    ------
    ConfigurationError
        If the type is unknown, or the format isn't one.
    """
    return converted(quoted(change[0]), change)


def quoted(name: str) -> str:
    """Return a column's name as Spark SQL has it."""
    return f"`{name.replace('`', '``')}`"


def converted(value: str, change: TypeChange) -> str:
    """Return the expression of Spark SQL that changes the type of another expression's value.

    Parameters
    ----------
    value : str
        The other expression.
    change : TypeChange
        The type; the column's name is in messages alone.

    Raises
    ------
    ConfigurationError
        As `type_expression`.
    """
    name, kind, date_format = change
    if kind not in TYPES:
        raise ConfigurationError(f"column {name!r} can't become {kind!r}; accepted: {', '.join(TYPES)}")
    if kind == "text":
        return f"cast({value} as string)"
    if kind == "whole":
        # A cast to bigint would drop the fraction; 3.0 and 1e3 are whole.
        number = f"try_cast({value} as decimal(38, 9))"
        return f"if({number} = floor({number}), try_cast({number} as bigint), null)"
    if date_format and kind in ("date", "timestamp"):
        if not _FORMAT.fullmatch(date_format):
            raise ConfigurationError(
                f"the format {date_format[:80]!r} of column {name!r} is not accepted; give Spark's letters, such as "
                "dd.MM.yyyy or yyyy-MM-dd HH:mm:ss"
            )
        time = f"try_to_timestamp(cast({value} as string), '{date_format}')"
        return f"cast({time} as date)" if kind == "date" else time
    return f"try_cast({value} as {'double' if kind == 'number' else kind})"


def change_lines(variable: str, frame: str, changes: Iterable[TypeChange]) -> tuple[str, ...]:
    """Return the lines of Python that change columns of a DataFrame; none where nothing changes."""
    changes = tuple(changes)
    if not changes:
        return ()
    entries = [f"    {literal(change[0])}: F.expr({literal(type_expression(change))})," for change in changes]
    return (f"{variable} = {frame}.withColumns({{", *entries, "})")
