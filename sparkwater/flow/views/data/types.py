"""Types of columns in plain words, and their kinds."""

from __future__ import annotations

from pyspark.sql import types as T

from sparkwater.conversions.images.columns import is_image_field
from sparkwater.conversions.stages.columns import tensor_spec
from sparkwater.conversions.tables.inputs import ROLES, form_of
from sparkwater.flow.views.numbers import counted

_WORDS: tuple[tuple[type[T.DataType], str], ...] = (
    (T.IntegralType, "whole number"),
    (T.FractionalType, "number"),
    (T.StringType, "text"),
    (T.BooleanType, "true or false"),
    (T.DateType, "date"),
    (T.TimestampType, "date and time"),
    (T.TimestampNTZType, "date and time, no time zone"),
    (T.BinaryType, "bytes"),
    (T.NullType, "nothing"),
)


def kind_of(field: T.StructField) -> str:
    """Return a column's kind.

    It is ``number``, ``category``, ``time``, ``vector``, ``list``, ``map``, ``tensor``, ``bytes``, ``picture`` (Spark's
    image struct) or ``other``.
    """
    form = form_of(field)
    if form is not None:
        return "list" if form == "array" else ROLES[form]
    if isinstance(field.dataType, T.BinaryType):
        return "bytes"
    if isinstance(field.dataType, T.StructType) and is_image_field(field):
        return "picture"
    containers = ((T.ArrayType, "list"), (T.MapType, "map"))
    return next((kind for types, kind in containers if isinstance(field.dataType, types)), "other")


def type_words(field: T.StructField) -> str:
    """Return a column's type in plain words."""
    spec = tensor_spec(field)
    if spec is not None:
        return f"tensor, {spec.dtype} {' x '.join(map(str, spec.shape)) or 'one number'}"
    kind = kind_of(field)
    if kind in ("vector", "picture"):
        return kind
    return _type_words(field.dataType)


def _type_words(data_type: T.DataType) -> str:
    if isinstance(data_type, T.DecimalType):
        return f"decimal, {data_type.precision} digits, {data_type.scale} after the point"
    if isinstance(data_type, T.ArrayType):
        return f"list of {_type_words(data_type.elementType)}"
    if isinstance(data_type, T.MapType):
        return f"map from {_type_words(data_type.keyType)} to {_type_words(data_type.valueType)}"
    if isinstance(data_type, T.StructType):
        return f"group of {counted(len(data_type), 'field')}"
    return next((words for types, words in _WORDS if isinstance(data_type, types)), data_type.simpleString())
