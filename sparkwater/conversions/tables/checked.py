"""Rows as tensors by a fitted encoder: a function of columns, that runs on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import CHECKED_TENSOR, checked_frame, find_field, series_runs, tensor_spec
from sparkwater.conversions.stages.executor_functions import executor_function
from sparkwater.conversions.tables.encoding.categories import MISSING, RARE, CategoryColumn
from sparkwater.conversions.tables.encoding.column import FittedColumn
from sparkwater.conversions.tables.encoding.encoder import TableEncoder
from sparkwater.conversions.tables.encoding.numbers import TensorColumn
from sparkwater.conversions.tables.encoding.time_column import TimeColumn
from sparkwater.conversions.tables.inputs import form_of, handed_over
from sparkwater.conversions.tensors.vectors import DENSE, NULL, vectors_of
from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Forms that a fitted column takes, by its kind.
_TAKES = {
    "number": ("fraction", "whole", "boolean"),
    "category": ("string", "whole", "boolean"),
    "time": ("date", "instant", "clock"),
    "vector": ("vector", "array"),
    "tensor": ("tensor",),
}

#: Types of training columns that only their like stands in for.
_FAMILIES = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "float", "double"), "number"),
    **dict.fromkeys(("timestamp", "timestamp_ntz"), "instant"),
    **{name: name for name in ("string", "boolean", "date")},
}

_ARROW = {"number": pa.float64(), "time": pa.float64(), "category": pa.string(), "tensor": pa.binary()}


def checked_rows(frame: DataFrame, encoder: TableEncoder) -> Column:
    """Return the rows of a DataFrame as `CHECKED_TENSOR`; no job runs.

    Raises
    ------
    SchemaError
        If a column isn't there, or is of another kind than in training.
    """
    vectors = tuple(form_of(find_field(frame.schema, column.name)) == "vector" for column in encoder.columns)
    columns = [_handed_over(frame, column) for column in encoder.columns]
    flat = [
        part
        for column, is_vector in zip(columns, vectors, strict=True)
        for part in (_vector_parts(column) if is_vector else [column])
    ]
    # Numbers are doubles until they are scaled.
    encode = executor_function(_encode(encoder, vectors), CHECKED_TENSOR, pd.DataFrame, 2 * encoder.spec.nbytes)
    return encode(F.struct(*(part.alias(f"c{place}") for place, part in enumerate(flat))))


def unknown_categories(frame: DataFrame, encoder: TableEncoder) -> DataFrame:
    """Return how many rows lack a category, or have a rare or unseen one; no job runs before the result is read.

    Returns
    -------
    pyspark.sql.DataFrame
        A row for each column of categories: ``name``, ``rows``, ``missing``, ``unknown``.

    Raises
    ------
    SchemaError
        If a column isn't there, or is of another kind than in training.
    """
    columns = [column for column in encoder.columns if isinstance(column, CategoryColumn)]

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ids = [column.find_ids(batch.column(place)) for place, column in enumerate(columns)]
            counts = [[len(found), int((found == MISSING).sum()), int((found == RARE).sum())] for found in ids]
            arrays = [pa.array([column.name for column in columns], pa.string())]
            arrays += [pa.array(values, pa.int64()) for values in np.array(counts, np.int64).reshape(-1, 3).T]
            yield pa.RecordBatch.from_arrays(arrays, ["name", "rows", "missing", "unknown"])

    given = frame.select(*(_handed_over(frame, column).alias(column.name) for column in columns))
    parts = given.mapInArrow(count, "name string, rows bigint, missing bigint, unknown bigint")
    return parts.groupBy("name").agg(*(F.sum(name).alias(name) for name in ("rows", "missing", "unknown")))


def _vector_parts(vectors: Column) -> list[Column]:
    """Return Spark's vectors as lengths, indices and values, for pandas has no structs within structs."""
    size = F.when(vectors["type"] == 0, vectors["size"]).otherwise(DENSE)
    return [
        F.when(vectors.isNotNull(), size).otherwise(NULL),
        F.coalesce(vectors["indices"], F.array().cast("array<int>")),
        F.coalesce(vectors["values"], F.array().cast("array<double>")),
    ]


def _handed_over(frame: DataFrame, column: FittedColumn) -> Column:
    field = find_field(frame.schema, column.name)
    form = form_of(field)
    if form is None or form not in _TAKES[column.kind] or _family(form) != _FAMILIES.get(column.type, _family(form)):
        raise SchemaError(
            f"column {column.name!r} is {field.dataType.simpleString()}; in training it was {column.type}, "
            f"a {column.kind}"
        )
    if isinstance(column, TensorColumn) and tensor_spec(field) != column.spec:
        raise SchemaError(f"column {column.name!r} holds tensors {tensor_spec(field)}; in training {column.spec}")
    zone = column.zone if isinstance(column, TimeColumn) else "UTC"
    return handed_over(column.name, form, column.kind, zone)


def _family(form: str) -> str:
    return {"whole": "number", "fraction": "number", "clock": "instant", "array": "vector"}.get(form, form)


def _encode(encoder: TableEncoder, vectors: Sequence[bool]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def encode(batch: pd.DataFrame) -> pd.DataFrame:
        given = (batch.iloc[:, place] for place in range(batch.shape[1]))
        arrays = [
            _vectors(next(given), next(given), next(given)) if is_vector else _arrow(next(given), column.kind)
            for column, is_vector in zip(encoder.columns, vectors, strict=True)
        ]
        names = [column.name for column in encoder.columns]
        return checked_frame(encoder.encode(pa.RecordBatch.from_arrays(arrays, names)))

    return encode


def _vectors(lengths: pd.Series[Any], indices: pd.Series[Any], values: pd.Series[Any]) -> pa.StructArray:
    return vectors_of(lengths.to_numpy(np.int64), _lists(indices, np.int32), _lists(values, np.float64))


def _lists(column: pd.Series[Any], dtype: npt.DTypeLike) -> pa.ListArray:
    runs = series_runs(column)
    offsets = np.concatenate([[0], np.cumsum(runs.lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(runs.flat.astype(dtype, copy=False)))


def _arrow(column: pd.Series[Any], kind: str) -> pa.Array:
    if kind in ("number", "time"):
        return pa.array(column.to_numpy(np.float64))
    if kind == "vector":
        return pa.array(column, pa.list_(pa.float64()), from_pandas=False)
    return pa.array(column, _ARROW[kind], from_pandas=True)
