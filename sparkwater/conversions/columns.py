"""Tensor columns of a DataFrame: how a column says what it holds, and the way in and out.

A tensor column is a ``BinaryType`` column whose `TensorSpec` travels in the field's metadata.
Everything here is built on the driver and runs on the executors; nothing starts a job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.functions import pandas_udf

from sparkwater.conversions.spec import TensorSpec
from sparkwater.errors import DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

METADATA_KEY = "sparkwater.tensor"

#: What a conversion gives per row: the tensor, or the reason why there is none.
CHECKED_TENSOR = T.StructType([T.StructField("tensor", T.BinaryType()), T.StructField("problem", T.StringType())])

_ELEMENT_TYPES: dict[str, T.DataType] = {
    "bool": T.BooleanType(),
    "uint8": T.ShortType(),
    "int8": T.ByteType(),
    "int16": T.ShortType(),
    "int32": T.IntegerType(),
    "int64": T.LongType(),
    "float16": T.FloatType(),
    "float32": T.FloatType(),
    "float64": T.DoubleType(),
}


def tensor_spec(field: T.StructField) -> TensorSpec | None:
    """Return what a field says it holds, or None where it is no tensor column."""
    text = field.metadata.get(METADATA_KEY)
    if text is None or not isinstance(field.dataType, T.BinaryType):
        return None
    return TensorSpec.from_json(text)


def with_tensor_spec(frame: DataFrame, name: str, spec: TensorSpec) -> DataFrame:
    """Return the DataFrame with a spec attached to one of its binary columns."""
    return frame.withMetadata(name, {**frame.schema[name].metadata, METADATA_KEY: spec.to_json()})


def find_field(schema: T.StructType, name: str) -> T.StructField:
    """Return a field by its name.

    Raises
    ------
    SchemaError
        If there is none; the message lists the columns there are.
    """
    if name not in schema.names:
        raise SchemaError(f"there is no column {name!r}; the columns are {', '.join(schema.names)}")
    return schema[name]


def to_tensor_column(column: Column, spec: TensorSpec, *, channels_last: bool = False) -> Column:
    """Return a column of arrays of numbers as tensor bytes.

    Attach the spec with `with_tensor_spec` to make the result a tensor column; the Transformers
    do both.

    Parameters
    ----------
    column : pyspark.sql.Column
        Arrays with ``spec.size`` values, row-major, cast to ``spec.dtype`` as NumPy does. Use
        ``vector_to_array`` on ML vectors, ``array`` on numbers.
    spec : TensorSpec
        What to make.
    channels_last : bool
        Whether the values of a ``(channels, height, width)`` spec come as height, width, channels.

    Returns
    -------
    pyspark.sql.Column
        Binary; null where the input is null. A row of another length, or one that holds a null,
        fails the job, on the executor.
    """
    holds_null = F.exists(column, lambda value: value.isNull())
    column = F.when(holds_null, F.raise_error(F.lit("the array holds a null value"))).otherwise(column)
    return executor_function(_pack_or_raise(spec, channels_last), T.BinaryType())(column)


def from_tensor_column(column: Column, spec: TensorSpec) -> Column:
    """Return a tensor column as arrays of numbers, row-major; null where it is null.

    The element type is the smallest Spark type that holds every value of the dtype: uint8 comes
    as short, float16 as float.
    """
    return executor_function(_unpack(spec), T.ArrayType(_ELEMENT_TYPES[spec.dtype]))(column)


def checked_tensors(column: Column, spec: TensorSpec, *, channels_last: bool = False) -> Column:
    """Return numbers or arrays as `CHECKED_TENSOR`: like `to_tensor_column`, with reasons in place of errors."""
    return executor_function(_pack_checked(spec, channels_last), CHECKED_TENSOR)(column)


def executor_function(
    function: Callable[[Any], Any], returns: T.DataType, takes: type[Any] = pd.Series
) -> Callable[[Column], Column]:
    """Return a function of one pandas batch as a function of a column; it runs on the executors.

    Parameters
    ----------
    function : callable
        From a batch, a Series, to as many rows: a DataFrame where ``returns`` is a struct, else a Series.
    returns : pyspark.sql.types.DataType
        What it gives.
    takes : type
        ``pandas.DataFrame`` for a column of structs.
    """
    gives = pd.DataFrame if isinstance(returns, T.StructType) else pd.Series
    # Spark reads the kind of function from its annotations, and doesn't take the typed pd.Series[Any].
    function.__annotations__ = {function.__code__.co_varnames[0]: takes, "return": gives}
    # Spark pushes filters through deterministic functions and so evaluates them twice.
    as_udf: Any = pandas_udf  # its type knows annotated functions only
    called: Callable[[Column], Column] = as_udf(function, returns).asNondeterministic()
    return called


def vector_values(frame: DataFrame, name: str) -> Column:
    """Return a column of vectors (dense or sparse), arrays or numbers as arrays without nulls.

    A row is null where it, or a number in it, is: pandas would show a null number as NaN.
    """
    column = F.col(f"`{name}`")
    data_type = frame.schema[name].dataType
    if isinstance(data_type, VectorUDT):
        return F.when(column.isNotNull(), vector_to_array(column))
    if isinstance(data_type, T.ArrayType):
        return F.when(~F.exists(column, lambda value: value.isNull()), column)
    return F.when(column.isNotNull(), F.array(column))


def is_number_or_array(data_type: T.DataType) -> bool:
    """Return whether values of this Spark type become a tensor without decoding."""
    return (
        isinstance(data_type, (VectorUDT, T.BooleanType))
        or (isinstance(data_type, T.NumericType) and not isinstance(data_type, T.DecimalType))
        or (isinstance(data_type, T.ArrayType) and isinstance(data_type.elementType, T.NumericType))
    )


def _pack(value: Any, spec: TensorSpec, channels_last: bool) -> bytes:
    values = np.asarray(value)
    if values.size != spec.size:
        raise DataError(f"the row has {values.size} values where {spec} has {spec.size}")
    if channels_last:
        channels, height, width = spec.shape
        values = values.reshape(height, width, channels).transpose(2, 0, 1)
    return values.astype(spec.numpy_dtype).tobytes()


def _pack_or_raise(spec: TensorSpec, channels_last: bool) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    def pack(column: pd.Series[Any]) -> pd.Series[Any]:
        return pd.Series([None if _is_null(value) else _pack(value, spec, channels_last) for value in column])

    return pack


def _pack_checked(spec: TensorSpec, channels_last: bool) -> Callable[[pd.Series[Any]], pd.DataFrame]:
    def pack(column: pd.Series[Any]) -> pd.DataFrame:
        return checked_rows(column, lambda value: _pack(value, spec, channels_last))

    return pack


def _unpack(spec: TensorSpec) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    def unpack(column: pd.Series[Any]) -> pd.Series[Any]:
        return pd.Series([None if _is_null(value) else np.frombuffer(value, spec.numpy_dtype) for value in column])

    return unpack


def checked_rows(rows: Iterable[Any], convert: Callable[[Any], bytes]) -> pd.DataFrame:
    """Return the rows of `CHECKED_TENSOR`: each row's tensor bytes, or why it has none."""
    pairs = list(_convert_each(rows, convert))
    return pd.DataFrame(
        {"tensor": [tensor for tensor, _ in pairs], "problem": [problem for _, problem in pairs]}, dtype=object
    )


def _convert_each(rows: Iterable[Any], convert: Callable[[Any], bytes]) -> Iterator[tuple[bytes | None, str | None]]:
    for row in rows:
        if _is_null(row):
            yield None, "the value is null"
            continue
        try:
            yield convert(row), None
        except DataError as error:
            yield None, str(error)


def _is_null(value: Any) -> bool:
    # Rows are bytes, strings, arrays or structs here; pandas 3 shows a missing string as a float NaN.
    return value is None or isinstance(value, float)
