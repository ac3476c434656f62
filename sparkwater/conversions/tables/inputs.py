"""Input columns by the schema: their roles, and the forms in which Spark hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field, tensor_spec
from sparkwater.conversions.stages.shapes import find_shape
from sparkwater.conversions.stages.spark_types import dtype_of
from sparkwater.conversions.tables.encoding.times import PARTS
from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ACCEPTED = "numbers, decimals, booleans, strings, dates, timestamps, vectors, flat arrays of numbers, tensor columns"

#: Forms of fields with their roles. Booleans and whole numbers have the other one on request.
ROLES = {
    "fraction": "number",
    "whole": "number",
    "boolean": "category",
    "string": "category",
    "date": "time",
    "instant": "time",
    "clock": "time",
    "vector": "vector",
    "array": "vector",
    "tensor": "tensor",
}

_FORMS: tuple[tuple[type[T.DataType], str], ...] = (
    (T.IntegralType, "whole"),
    (T.NumericType, "fraction"),
    (T.BooleanType, "boolean"),
    (T.StringType, "string"),
    (T.DateType, "date"),
    (T.TimestampType, "instant"),
    (T.TimestampNTZType, "clock"),
    (VectorUDT, "vector"),
)


def form_of(field: T.StructField) -> str | None:
    """Return the form of a field's values; None where a table takes none of them.

    It is ``fraction`` (decimals too), ``whole``, ``boolean``, ``string``, ``date``, ``instant``, ``clock``
    (timestamps without a time zone), ``vector``, ``array`` (of
    numbers) or ``tensor``.
    """
    kind = field.dataType
    if tensor_spec(field) is not None:
        return "tensor"
    if isinstance(kind, T.ArrayType):
        is_flat = not isinstance(kind.elementType, (T.ArrayType, VectorUDT)) and dtype_of(kind) is not None
        return "array" if is_flat else None
    return next((form for types, form in _FORMS if isinstance(kind, types)), None)


def check_columns(
    schema: T.StructType, names: Sequence[str], numbers: Sequence[str], categories: Sequence[str]
) -> None:
    """Refuse columns that can't be read, or not in the role that was asked for; no job runs.

    Parameters
    ----------
    schema : pyspark.sql.types.StructType
        Schema of the DataFrame.
    names : sequence of str
        The input columns.
    numbers, categories : sequence of str
        Those of them that are to be numbers or categories.

    Raises
    ------
    SchemaError
        If one isn't there, or is of another type.
    ConfigurationError
        If one is named twice, or is no input.
    """
    if not names:
        raise ConfigurationError("there are no input columns; set inputCols, or exclude fewer columns")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"inputCols names {twice!r} twice")
    for param, asked, forms in (
        ("numericCols", numbers, ("boolean", "whole", "fraction")),
        ("categoricalCols", categories, ("whole", "boolean", "string")),
    ):
        for name in asked:
            if name not in names:
                raise ConfigurationError(f"{param} names {name!r}, which is no input column")
            field = find_field(schema, name)
            if form_of(field) not in forms:
                raise SchemaError(
                    f"{param} names column {name!r}, which is {field.dataType.simpleString()}; accepted: "
                    f"{'booleans and numbers' if param == 'numericCols' else 'strings, booleans and whole numbers'}"
                )
    both = set(numbers) & set(categories)
    if both:
        raise ConfigurationError(f"{min(both)!r} is in numericCols and in categoricalCols")
    for name in names:
        field = find_field(schema, name)
        if form_of(field) is None:
            raise SchemaError(f"column {name!r} is {field.dataType.simpleString()}; accepted: {ACCEPTED}")


def input_column(frame: DataFrame, name: str, *, is_number: bool, is_category: bool) -> InputColumn:
    """Return an input column; a look at one row where a vector's length is in no metadata."""
    field = frame.schema[name]
    form = form_of(field)
    assert form is not None  # as checked
    role = "number" if is_number else "category" if is_category else ROLES[form]
    size = {"number": 1, "time": len(PARTS)}.get(role, 0)
    return InputColumn(
        name=name,
        type=field.dataType.simpleString(),
        role=role,
        form=form,
        asked=is_number or is_category,
        size=find_shape(frame, name)[0] if role == "vector" else size,
        spec=tensor_spec(field),
    )


def handed_over(name: str, form: str, role: str, zone: str) -> Column:
    """Return a column as Python gets it.

    Numbers are doubles, categories strings, arrays those of double, dates and timestamps the seconds of the clock on
    the wall. So neither the session's time zone nor pandas, which has no null integers, changes anything. Vectors are
    the structs that Spark keeps them as: sparse ones stay sparse.

    Parameters
    ----------
    name : str
        The column.
    form : str
        Its form, as `form_of` names it.
    role : str
        The role of its `InputColumn`.
    zone : str
        Time zone of the clock that instants are read by.
    """
    column = F.col(f"`{name}`")
    if role == "number":
        return column.cast("double")
    if role == "category":
        return column.cast("string")
    if role == "time":
        return _wall_seconds(column, form, zone)
    if form == "vector":
        return F.unwrap_udt(column)
    return column.cast("array<double>") if form == "array" else column


def _wall_seconds(column: Column, form: str, zone: str) -> Column:
    days = F.unix_date(column.cast("date")).cast("double") * 86_400
    if form == "date":
        return days
    if form == "instant":
        local = column if zone == "UTC" else F.from_utc_timestamp(column, zone)
        return F.unix_micros(local).cast("double") / 1e6
    seconds = F.date_part(F.lit("SECOND"), column).cast("double")
    return days + F.hour(column) * 3600 + F.minute(column) * 60 + seconds
