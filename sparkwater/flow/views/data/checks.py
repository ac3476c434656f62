"""Checks of tables before they are read: values that a type has no place for, and JSON that is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.errors import DataError
from sparkwater.flow.workbook.column_types import TYPES, TypeChange, converted, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Characters of an example.
_TEXT = 80

#: The column that Spark makes of lines that are no JSON.
_NO_JSON = "_corrupt_record"


@dataclass(frozen=True)
class BadValues:
    """Values of a column that its new type has no place for.

    Attributes
    ----------
    column, type : str
        Column and type.
    given, bad : int
        Rows with a value, and those whose value becomes missing.
    example : str
        One of these values.
    """

    column: str
    type: str
    given: int
    bad: int
    example: str

    def __str__(self) -> str:
        """Return it as a sentence."""
        wanted = TYPES[self.type]
        if self.bad == self.given:
            return f"Column {self.column!r}: no value fits the type {wanted!r}, such as {self.example!r}"
        return (
            f"Column {self.column!r}: {self.bad:,} of {self.given:,} values don't fit the type {wanted!r} and become "
            f"missing, such as {self.example!r}"
        )


def check_objects(frame: DataFrame) -> None:
    """Refuse a table of JSON in which there are no objects.

    Raises
    ------
    DataError
        With what is expected.
    """
    if set(frame.columns) <= {_NO_JSON}:
        raise DataError(
            "there are no JSON objects in the file: each line must be one, or with 'Each file is one document' the "
            "whole file an object or a list of them"
        )


def bad_values(frame: DataFrame, changes: Sequence[TypeChange]) -> tuple[BadValues, ...]:
    """Return the columns with values that their new types have no place for.

    A Spark job counts them, and where there are some another one looks for an example of each column.

    Raises
    ------
    ConfigurationError
        If a type is unknown, or a format isn't one.
    """
    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    alike: dict[str, list[TypeChange]] = {}
    for change in sorted(changes, key=lambda one: one[1:]):
        if converted("value", change) and change[1] != "text":  # each is checked; as texts no values are lost
            alike.setdefault(types.get(change[0], ""), []).append(change)
    if not alike:
        return ()
    groups = list(alike.values())
    values = reduce(lambda one, other: one.union(other), (_values(frame, *each) for each in enumerate(groups)))
    counts = values.groupBy("group", "place").agg(F.count("*").alias("given"), F.count_if("lost").alias("bad"))
    bad = counts.where("bad > 0").collect()
    if not bad:
        return ()
    lost = values.where("lost").groupBy("group", "place").agg(F.min("text").alias("example")).collect()
    examples = {(row["group"], row["place"]): row["example"] for row in lost}
    found = {}
    for row in bad:
        name, kind, _ = groups[row["group"]][row["place"]]
        found[name] = BadValues(name, kind, row["given"], row["bad"], examples[row["group"], row["place"]])
    return tuple(found[name] for name, _, _ in changes if name in found)


def _values(frame: DataFrame, number: int, group: Sequence[TypeChange]) -> DataFrame:
    """Return a row for each value of columns of one type: the column's place, the text, and whether it is lost.

    Spark takes minutes to plan expressions for each of thousands of columns. So the columns are the parts of a list,
    which becomes rows; and those that get the same type, which are neighbours, share an expression.
    """
    names = ", ".join(quoted(name) for name, _, _ in group)
    cases, end = "", 0
    for _, same in groupby(group, key=lambda one: one[1:]):
        alike = list(same)
        end += len(alike)
        cases += f" when place < {end} then ({converted('value', alike[0])}) is null"
    return (
        frame.select(F.expr(f"posexplode(array({names}))").alias("place", "value"))
        .where("value is not null")
        .selectExpr(
            f"{number} as group",
            "place",
            f"substring(cast(value as string), 1, {_TEXT}) as text",
            f"case{cases} end as lost",
        )
    )


def checked_types(found: Iterable[BadValues]) -> list[str]:
    """Return values that don't fit as remarks.

    Raises
    ------
    DataError
        If no value of a column fits its type.
    """
    found = tuple(found)
    useless = [str(one) for one in found if one.bad == one.given]
    if useless:
        raise DataError(f"{'; '.join(useless[:5])}. Choose another type.")
    return [str(one) for one in found]
