"""Correspondence of Spark types and tensor dtypes: the table in docs/tensor_columns.md."""

from __future__ import annotations

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import types as T

from sparkwater.conversions.tensors.spec import DTYPES

#: The dtype whose values are those of a Spark type.
DTYPE_OF: dict[type[T.DataType], str] = {
    T.BooleanType: "bool",
    T.ByteType: "int8",
    T.ShortType: "int16",
    T.IntegerType: "int32",
    T.LongType: "int64",
    T.FloatType: "float32",
    T.DoubleType: "float64",
    VectorUDT: "float64",
}

#: The smallest Spark type that holds every value of a dtype.
SPARK_TYPE_OF: dict[str, T.DataType] = {
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
assert tuple(SPARK_TYPE_OF) == DTYPES

ACCEPTED_NUMBERS = "booleans, byte to long, float, double, arrays of these (nested too), ML vectors"


def dtype_of(data_type: T.DataType) -> str | None:
    """Return the dtype that holds a Spark type's numbers exactly; None where it holds no numbers.

    Decimals have none: their values are no floats; cast them to double first where that will do.
    """
    inner, _ = element_and_depth(data_type)
    return DTYPE_OF.get(type(inner))


def stored_dtype(dtype: str) -> str:
    """Return the dtype of the Spark type that holds a dtype: int16 for uint8, float32 for float16, else its own."""
    return DTYPE_OF[type(SPARK_TYPE_OF[dtype])]


def element_and_depth(data_type: T.DataType) -> tuple[T.DataType, int]:
    """Return the innermost element type of nested arrays, and their depth."""
    depth = 0
    while isinstance(data_type, T.ArrayType):
        data_type = data_type.elementType
        depth += 1
    return data_type, depth


def array_type(dtype: str, depth: int) -> T.DataType:
    """Return the Spark type of a tensor as nested arrays; a plain number at depth 0."""
    data_type = SPARK_TYPE_OF[dtype]
    for _ in range(depth):
        data_type = T.ArrayType(data_type)
    return data_type
