"""Plain values: columns that Spark hashes alike for equal values, whatever their types, files and settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column

#: All digits that a decimal may have after its point, without the zeros at its end.
_ALL_DIGITS = "0." + 38 * "#"

#: Types of array elements that are cast at once; others are changed one by one, which is slower.
_ELEMENTS: dict[type[T.DataType], str] = {
    **dict.fromkeys((T.ByteType, T.ShortType, T.IntegerType), "array<bigint>"),
    **dict.fromkeys((T.StringType, T.VarcharType), "array<binary>"),
}

#: Types whose values have one form only.
_PLAIN = (
    T.LongType, T.FloatType, T.DoubleType, T.BooleanType, T.BinaryType, T.DateType, T.TimestampType, T.TimestampNTZType,
)  # fmt: skip


def hash_columns(schema: T.StructType, names: Sequence[str], *salt: int) -> Column:
    """Return a 64-bit hash of some columns: the same for equal values, whatever their types.

    Raises
    ------
    SchemaError
        If a column holds a variant.
    """
    columns = [plain_column(schema, name) for name in names]
    # A null leaves Spark's hash as it is, so (null, 1) would equal (1, null).
    nulls = [F.col(f"`{name}`").isNull() for name in names]
    return F.xxhash64(*columns, *nulls, *(F.lit(value) for value in salt))


def plain_column(schema: T.StructType, name: str) -> Column:
    """Return a column's plain value."""
    return plain_value(F.col(f"`{name}`"), schema[name].dataType, name)


def plain_value(column: Column, data_type: T.DataType, name: str) -> Column:
    """Return a column in a form that `pyspark.sql.functions.xxhash64` maps to the same number for equal values.

    Integers are equal at any width, strings at any collation (byte by byte), decimals at any precision and scale,
    maps in any order, vectors whether dense or sparse. A float never equals a double: 0.1 as a float is another
    number than 0.1 as a double. Spark's hash takes -0.0 for 0.0 and every NaN for the same. It passes over nulls:
    those in arrays, maps and structs are marked here, that of the whole value is not.

    Parameters
    ----------
    column : pyspark.sql.Column
        The value.
    data_type : pyspark.sql.types.DataType
        Its type.
    name : str
        Its name, for messages.

    Raises
    ------
    SchemaError
        If it holds a variant, whose equal values have many forms.
    """
    if isinstance(data_type, VectorUDT):
        return _plain_vector(column)
    if isinstance(data_type, T.UserDefinedType):
        return plain_value(F.unwrap_udt(column), type(data_type).sqlType(), name)
    if isinstance(data_type, T.StructType):
        return _plain_struct(column, data_type, name)
    if isinstance(data_type, T.ArrayType):
        return _plain_array(column, data_type, name)
    if isinstance(data_type, T.MapType):
        return _plain_map(column, data_type, name)
    if isinstance(data_type, T.VariantType):
        raise SchemaError(f"column {name!r} holds a variant, which has no hash; name the rows with idCol, or cast it")
    return _plain_atom(column, data_type)


def _plain_atom(column: Column, data_type: T.DataType) -> Column:
    if isinstance(data_type, T.IntegralType):
        return column.cast("bigint")
    if isinstance(data_type, T.CharType):
        return F.rtrim(column.cast("string")).cast("binary")  # blanks at its end only fill it up
    if isinstance(data_type, (T.StringType, T.VarcharType)):
        return column.cast("binary")
    if isinstance(data_type, T.DecimalType):
        return F.call_function("format_number", column, F.lit(_ALL_DIGITS)).cast("binary")
    return column


def _plain_vector(column: Column) -> Column:
    """Return the length, the places and the values of what isn't zero: equal for dense and sparse vectors."""
    stored = F.unwrap_udt(column)
    values, dense = stored["values"], stored["type"] == 1
    # Null places are passed over.
    own = F.transform(values, lambda value, place: F.when(value != 0.0, place))
    named = F.transform(values, lambda value, place: F.when(value != 0.0, F.get(stored["indices"], place)))
    return F.struct(
        F.when(dense, F.array_size(values)).otherwise(stored["size"]).alias("size"),
        F.when(dense, own).otherwise(named).alias("places"),
        F.array_remove(values, 0.0).alias("values"),
    )


def _plain_struct(column: Column, data_type: T.StructType, name: str) -> Column:
    parts = []
    for place, field in enumerate(data_type.fields):
        value = column.getItem(field.name)
        parts += [
            plain_value(value, field.dataType, name).alias(f"value{place}"),
            value.isNull().alias(f"null{place}"),
        ]
    return F.struct(*parts)


def _plain_array(column: Column, data_type: T.ArrayType, name: str) -> Column:
    """Return the elements, their number, and which of them are null where any is."""
    element = data_type.elementType
    together = _ELEMENTS.get(type(element))
    if together is not None:
        elements = column.cast(together)
    elif isinstance(element, _PLAIN):
        elements = column
    else:
        elements = F.transform(column, lambda value: plain_value(value, element, name))
    nulls = F.lit(None).cast("array<boolean>")
    if data_type.containsNull:
        nulls = F.when(F.exists(column, _is_null), F.transform(column, _is_null))
    return F.struct(elements.alias("elements"), F.array_size(column).alias("size"), nulls.alias("nulls"))


def _plain_map(column: Column, data_type: T.MapType, name: str) -> Column:
    """Return the hashes of the entries in the order of these hashes, and their number."""

    def hashed(entry: Column) -> Column:
        key, value = entry["key"], entry["value"]
        plain = [plain_value(key, data_type.keyType, name), plain_value(value, data_type.valueType, name)]
        return F.xxhash64(*plain, value.isNull())

    hashes = F.array_sort(F.transform(F.map_entries(column), hashed))
    return F.struct(hashes.alias("entries"), F.array_size(hashes).alias("size"))


def _is_null(value: Column) -> Column:
    return value.isNull()
