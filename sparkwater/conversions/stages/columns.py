"""Tensor columns of a DataFrame: their specs in metadata, and conversion from and to Spark's types.

A tensor column is a ``BinaryType`` column whose `TensorSpec` travels in the field's metadata.
Everything here is built on the driver and runs on the executors; nothing starts a job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.stages.executor_functions import arrow_series, executor_function
from sparkwater.conversions.stages.spark_types import (
    ACCEPTED_NUMBERS,
    array_type,
    dtype_of,
    element_and_depth,
    stored_dtype,
)
from sparkwater.conversions.tensors.arrow import TensorRows, tensors_to_arrow
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.conversions.tensors.values import Runs, pack_runs
from sparkwater.conversions.tensors.vectors import NULL
from sparkwater.errors import DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

METADATA_KEY = "sparkwater.tensor"

#: What a conversion gives per row: the tensor, or the reason why there is none.
CHECKED_TENSOR = T.StructType([T.StructField("tensor", T.BinaryType()), T.StructField("problem", T.StringType())])


def tensor_spec(field: T.StructField) -> TensorSpec | None:
    """Return the spec in a field's metadata, or None where it is no tensor column."""
    text = field.metadata.get(METADATA_KEY)
    if text is None or not isinstance(field.dataType, T.BinaryType):
        return None
    return TensorSpec.from_json(text)


def with_tensor_spec(frame: DataFrame, name: str, spec: TensorSpec) -> DataFrame:
    """Return the DataFrame with a spec attached to one of its binary columns."""
    metadata = {**frame.schema[name].metadata, METADATA_KEY: spec.to_json()}
    # Spark's own withMetadata takes a dot in the name for a field of a struct.
    column = F.col(f"`{name}`").alias(name, metadata=metadata)
    return session_of(frame.sparkSession).with_columns(frame, {name: column})


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
    """Return a column of flat arrays of numbers as tensor bytes.

    Attach the spec with `with_tensor_spec` to make the result a tensor column; the Transformers
    do both, and take nested arrays as well.

    Parameters
    ----------
    column : pyspark.sql.Column
        Arrays with ``spec.size`` values, row-major. Use ``vector_to_array`` on ML vectors, ``array``
        on numbers.
    spec : TensorSpec
        The spec of the result.
    channels_last : bool
        Whether the values of a ``(channels, height, width)`` spec come as height, width, channels.

    Returns
    -------
    pyspark.sql.Column
        Binary; null where the input is null. A row of another length, one that holds a null, or a
        number that the dtype has no place for, fails the job, on the executor.
    """
    holds_null = F.exists(column, lambda value: value.isNull())
    column = F.when(holds_null, F.raise_error(F.lit("the array holds a null value"))).otherwise(column)
    pack = _pack_or_raise(spec, channels_last)
    return executor_function(pack, T.BinaryType(), row_bytes=spec.nbytes)(column)


def from_tensor_column(column: Column, spec: TensorSpec, *, flatten: bool = False) -> Column:
    """Return a tensor column as arrays of numbers; null where it is null.

    Parameters
    ----------
    column : pyspark.sql.Column
        Tensor bytes.
    spec : TensorSpec
        The spec of the tensors.
    flatten : bool
        One array a row, row-major, in place of arrays as nested as the shape.

    Returns
    -------
    pyspark.sql.Column
        Arrays; plain numbers where the shape is ``()``. Their type is the smallest Spark type that
        holds every value of the dtype: uint8 comes as short, float16 as float. A row of another
        length than the spec's fails the job, on the executor.
    """
    shape = (spec.size,) if flatten else spec.shape
    returns = array_type(spec.dtype, len(shape))
    # Spark's smallest type for uint8 is twice, for float16 likewise.
    return executor_function(_unpack(TensorSpec(spec.dtype, shape)), returns, row_bytes=2 * spec.nbytes)(column)


def checked_tensors(frame: DataFrame, name: str, spec: TensorSpec, *, channels_last: bool = False) -> Column:
    """Return a column of numbers, arrays or vectors as `CHECKED_TENSOR`.

    Arrays are flat, or as nested as the spec's shape.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    name : str
        The column.
    spec : TensorSpec
        The spec of the result.
    channels_last : bool
        Whether the values of a ``(channels, height, width)`` spec come as height, width, channels.

    Raises
    ------
    SchemaError
        If the column holds something else, or arrays of another depth.
    """
    values, problem = number_values(frame, name, spec.shape)
    pack = executor_function(_pack_checked(spec, channels_last), CHECKED_TENSOR, pd.DataFrame, spec.nbytes)
    return pack(F.struct(values.alias("values"), problem.alias("problem")))


def number_values(frame: DataFrame, name: str, shape: tuple[int, ...]) -> tuple[Column, Column]:
    """Return a column of numbers, arrays or vectors as flat arrays, and why a row has none.

    Rows with a problem are null: pandas would show a null number as NaN, and so round others.

    Raises
    ------
    SchemaError
        If the column holds something else, or arrays of another depth than the shape's.
    """
    column, data_type = F.col(f"`{name}`"), find_field(frame.schema, name).dataType
    _, depth = element_and_depth(data_type)
    if dtype_of(data_type) is None:
        raise SchemaError(f"column {name!r} is {data_type.simpleString()}; accepted: {ACCEPTED_NUMBERS}")
    if depth > 1 and depth != len(shape):
        raise SchemaError(
            f"column {name!r} is {data_type.simpleString()}: arrays nested {depth} deep make no tensors of shape "
            f"{list(shape)}"
        )
    is_null = F.when(column.isNull(), "the value is null")
    if isinstance(data_type, VectorUDT):
        return vector_numbers(column), is_null
    if depth == 0:
        return F.when(column.isNotNull(), F.array(column)), is_null
    flat, problem = _flat_values(column, shape[:depth])
    return F.when(problem.isNull(), flat), problem


def vector_numbers(column: Column) -> Column:
    """Return a column of ML vectors, dense or sparse, as arrays of double; null where it is null."""
    # vector_to_array makes an object of each number, where a dense vector holds them as they are.
    stored = F.unwrap_udt(column)
    numbers = F.when(stored["type"] == 1, stored["values"]).otherwise(vector_to_array(column))
    return F.when(column.isNotNull(), numbers)


def is_whole(column: Column) -> Column:
    """Return whether a double is a whole number that it has exactly; null where it is null."""
    # Not by floor: it is a bigint, and an error for larger numbers in Spark 4.3. NaN is larger than all numbers.
    return (F.abs(column) < 2.0**53) & (column == F.rint(column))


def series_runs(column: pd.Series[Any]) -> Runs:
    """Return a pandas batch of flat arrays as runs; None is a null row."""
    rows = column.to_numpy()
    lengths = np.fromiter((NULL if row is None else len(row) for row in rows), np.int64, len(rows))
    given = [row for row in rows if row is not None]
    return Runs(np.concatenate(given) if given else np.empty(0, np.uint8), lengths)


def _flat_values(column: Column, shape: tuple[int, ...]) -> tuple[Column, Column]:
    """Return nested arrays as flat ones, and what is wrong with those that can't be a tensor of the shape."""
    flat, irregular = column, F.lit(False)
    for position in range(1, len(shape)):
        size = shape[position]
        irregular = irregular | ~F.coalesce(F.forall(flat, _has_size(size)), F.lit(False))
        flat = F.flatten(flat)
    holds_null = F.coalesce(flat.isNull() | F.exists(flat, lambda value: value.isNull()), F.lit(False))
    problem = (
        F.when(column.isNull(), "the value is null")
        .when(holds_null, "the array holds a null value")
        .when(irregular, "the nested arrays don't have the lengths that the shape asks for")
    )
    return flat, problem


def _has_size(size: int) -> Callable[[Column], Column]:
    return lambda array: F.size(array) == size


def _pack(column: pd.Series[Any], spec: TensorSpec, channels_last: bool) -> TensorRows:
    if not channels_last:
        return pack_runs(series_runs(column), spec)
    channels, height, width = spec.shape
    rows = pack_runs(series_runs(column), TensorSpec(spec.dtype, (height, width, channels)))
    return TensorRows(rows.values.transpose(0, 3, 1, 2), rows.valid, rows.problems)


def _pack_or_raise(spec: TensorSpec, channels_last: bool) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    def pack(column: pd.Series[Any]) -> pd.Series[Any]:
        packed = _pack(column, spec, channels_last)
        for row, problem in packed.problems.items():
            if column.iloc[row] is not None:
                raise DataError(problem)
        return arrow_series(tensors_to_arrow(packed.values, packed.valid))

    return pack


def _pack_checked(spec: TensorSpec, channels_last: bool) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def pack(batch: pd.DataFrame) -> pd.DataFrame:
        return checked_frame(_pack(batch["values"], spec, channels_last), batch["problem"])

    return pack


def checked_frame(rows: TensorRows, problems: pd.Series[Any] | None = None) -> pd.DataFrame:
    """Return tensors as the rows of `CHECKED_TENSOR`; problems that were known before go first."""
    given = np.full(len(rows.valid), None, dtype=object) if problems is None else np.array(problems, dtype=object)
    for row, problem in rows.problems.items():
        given[row] = given[row] if isinstance(given[row], str) else problem
    tensors = arrow_series(tensors_to_arrow(rows.values, rows.valid))
    return pd.DataFrame({"tensor": tensors, "problem": pd.Series(given, dtype=object)})


def _unpack(spec: TensorSpec) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    def unpack(column: pd.Series[Any]) -> pd.Series[Any]:
        rows = column.to_numpy()
        valid = np.fromiter((not _is_null(row) for row in rows), bool, len(rows))
        given = rows[valid]
        wrong = next((len(row) for row in given if len(row) != spec.nbytes), None)
        if wrong is not None:
            raise DataError(f"a tensor has {wrong} bytes where {spec} has {spec.nbytes}")
        values = np.frombuffer(b"".join(given), spec.numpy_dtype)
        return arrow_series(nested_arrow(values, valid, spec))

    return unpack


def nested_arrow(values: npt.NDArray[np.generic], valid: npt.NDArray[np.bool_], spec: TensorSpec) -> pa.Array:
    """Return tensors, one after the other, as lists as nested as their shape; the rows that aren't valid are null."""
    array = pa.array(values.astype(stored_dtype(spec.dtype), copy=False))
    for size in reversed(spec.shape[1:]):
        array = pa.ListArray.from_arrays(np.arange(len(array) // size + 1, dtype=np.int32) * size, array)
    if not spec.shape:
        taken = np.where(valid, np.cumsum(valid) - 1, 0)
        return array.take(pa.array(taken, mask=~valid)) if len(array) else pa.nulls(len(valid), array.type)
    offsets = np.concatenate([[0], np.cumsum(valid)]) * spec.shape[0]
    # A null offset makes its row null; the last one is an end only.
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32(), mask=np.append(~valid, False)), array)


def _is_null(value: Any) -> bool:
    # Rows are bytes, strings, arrays or structs here; pandas 3 shows a missing string as a float NaN.
    return value is None or isinstance(value, float)
