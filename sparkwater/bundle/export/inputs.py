"""Columns of DataFrames as inputs of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.bundle.graph.column import Column, number, string, vector
from sparkwater.conversions.stages.columns import find_field, tensor_spec
from sparkwater.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def input_columns(frame: DataFrame, names: Sequence[str] | None = None) -> dict[str, Column]:
    """Return the columns of numbers, strings, vectors and tensors of a DataFrame, as inputs of a graph.

    Integers and decimals are float64, so that NaN can be a missing one; floats stay float32, as a decimal fraction of
    a float is another number than that of a double. The length of vectors comes from the column's metadata, or from
    the first row, in a Spark job. Columns of other types are left out.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    names : sequence of str or None
        The columns; without it all.

    Raises
    ------
    DataError
        If the length of vectors is unknown, since there is no row.
    """
    fields = [find_field(frame.schema, name) for name in (frame.columns if names is None else names)]
    unknown = [field.name for field in fields if isinstance(field.dataType, VectorUDT) and not _known_size(field)]
    sizes = _first_sizes(frame, unknown) if unknown else {}
    found = {field.name: _column(field, sizes) for field in fields}
    return {name: column for name, column in found.items() if column is not None}


def _column(field: T.StructField, sizes: dict[str, int]) -> Column | None:
    name, kind, spec = field.name, field.dataType, tensor_spec(field)
    if spec is not None:
        return Column(name, "tensor", spec.dtype, spec.shape)
    if isinstance(kind, (T.StringType, T.CharType, T.VarcharType)):
        return string(name)
    if isinstance(kind, VectorUDT):
        return vector(name, _known_size(field) or sizes[name])
    if isinstance(kind, T.BooleanType):
        return number(name)
    if isinstance(kind, T.FloatType):
        return number(name, "float32")
    if isinstance(kind, T.DecimalType):
        return Column(name, "number", "float64", (), places=kind.scale)
    if isinstance(kind, T.NumericType):
        return Column(name, "number", "float64", (), isinstance(kind, T.IntegralType))
    return None


def _known_size(field: T.StructField) -> int | None:
    size = (field.metadata or {}).get("ml_attr", {}).get("num_attrs")
    return int(size) if size else None


def _first_sizes(frame: DataFrame, names: Sequence[str]) -> dict[str, int]:
    row = frame.select(*(F.size(vector_to_array(F.col(f"`{name}`"))).alias(name) for name in names)).first()
    if row is None:
        raise DataError(f"column {names[0]!r} holds vectors of unknown length, as there is no row; give one")
    return {name: int(row[name]) for name in names}
