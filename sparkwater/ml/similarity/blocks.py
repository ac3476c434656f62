"""Packed blocks of a DataFrame's vectors: rows of ids with the bytes of a matrix.

Blocks are made on the executors. A frame is shuffled by id and sorted first, so that what is in a
block is the same when a lost task runs again, and many small partitions don't make small blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field, tensor_spec, vector_numbers
from sparkwater.conversions.stages.spark_types import dtype_of
from sparkwater.conversions.tensors.arrow import finite_rows, usable_tensors
from sparkwater.conversions.tensors.casting import widens_exactly
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import DataError, SchemaError
from sparkwater.ml.similarity.measures import Block, Matrix

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Bytes of a block's matrix at most, unless a single row has more.
BLOCK_BYTES = 16 * 1024 * 1024

_ID_TYPES = (
    T.IntegralType,
    T.StringType,
    T.BinaryType,
    T.BooleanType,
    T.DateType,
    T.TimestampType,
    T.TimestampNTZType,
    T.FractionalType,
)


#: What ``mapInArrow`` runs on the executors.
ArrowFunction = Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]


@dataclass(frozen=True)
class VectorColumn:
    """The columns of one side that take part.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
        The side.
    id_field, field : pyspark.sql.types.StructField
        The ids and the vectors.
    spec : TensorSpec or None
        Spec of a tensor column.
    """

    frame: DataFrame
    id_field: T.StructField
    field: T.StructField
    spec: TensorSpec | None

    @property
    def dtype(self) -> str:
        """``float32`` where that holds every value of the column's type, else ``float64``."""
        own = dtype_of(self.field.dataType) if self.spec is None else self.spec.dtype
        return "float32" if own is not None and widens_exactly(own, "float32") else "float64"


def vector_column(frame: DataFrame, id_column: str, column: str) -> VectorColumn:
    """Return a side's columns, checked on the driver without a job.

    Raises
    ------
    SchemaError
        If a column is missing, ids have no order, or the other column holds no vectors.
    """
    id_field, field = find_field(frame.schema, id_column), find_field(frame.schema, column)
    if not isinstance(id_field.dataType, _ID_TYPES):
        raise SchemaError(
            f"idCol={id_column!r} is {id_field.dataType.simpleString()}; accepted: numbers, strings, binary, booleans, "
            "dates and timestamps"
        )
    spec = tensor_spec(field)
    element = getattr(field.dataType, "elementType", None)
    if spec is None and not isinstance(field.dataType, VectorUDT) and not isinstance(element, T.NumericType):
        raise SchemaError(
            f"featuresCol={column!r} is {field.dataType.simpleString()}; accepted: ML vectors, arrays of numbers and "
            "tensor columns"
        )
    return VectorColumn(frame, id_field, field, spec)


def packed(side: VectorColumn, prefix: str, dtype: str, invalid: str, max_rows: int) -> DataFrame:
    """Return a side as blocks: ``<prefix>Ids``, an array, and ``<prefix>Block``, the bytes of a matrix.

    Parameters
    ----------
    side : VectorColumn
        The side to pack.
    prefix : str
        Names the two columns.
    dtype : str
        ``float32`` or ``float64``, of the matrix.
    invalid : {"error", "skip", "keep"}
        Treatment of null vectors and of those with a null, a NaN or an infinity: ``error``
        fails the job, ``skip`` drops the row, ``keep`` makes it a row of NaN.
    max_rows : int
        Rows of a block at most.

    Returns
    -------
    pyspark.sql.DataFrame
        In no order.
    """
    rows = side.frame.select(F.col(f"`{side.id_field.name}`").alias("id"), _dense(side, dtype).alias("vector"))
    rows = rows.repartition("id").sortWithinPartitions("id")
    schema = T.StructType(
        [
            T.StructField(f"{prefix}Ids", T.ArrayType(side.id_field.dataType)),
            T.StructField(f"{prefix}Block", T.BinaryType()),
        ]
    )
    return rows.mapInArrow(_packer(side.spec, prefix, dtype, invalid, max_rows), schema)


def empty_block(side: VectorColumn, prefix: str) -> DataFrame:
    """Return one block without rows, as `packed` names its columns."""
    ids = F.array().cast(T.ArrayType(side.id_field.dataType)).alias(f"{prefix}Ids")
    one_row = side.frame.sparkSession.range(0, 1, 1, 1)  # unlike createDataFrame's, of a size that Spark knows
    return one_row.select(ids, F.lit(b"").alias(f"{prefix}Block"))


def every_pair(queries: DataFrame, references: DataFrame) -> DataFrame:
    """Return each block of one side with each of the other.

    Both sides are shuffled before, so that their sizes are known when Spark decides how to join, and
    so that a join of partitions with partitions doesn't pack again.
    """
    return queries.repartition(queries.columns[0]).crossJoin(references.repartition(references.columns[0]))


def read_block(batch: pa.RecordBatch, row: int, prefix: str, dtype: str) -> Block:
    """Return a block of `packed` from one row of a batch that holds its columns; nothing is copied."""
    ids = batch.column(f"{prefix}Ids")[row].values
    content = batch.column(f"{prefix}Block")[row].as_buffer()
    values = np.frombuffer(content, dtype)
    return Block(ids, values.reshape(len(ids), -1) if len(ids) else values.reshape(0, 0))


def check_lengths(queries: Block, references: Block) -> None:
    """Refuse two blocks whose vectors differ in length.

    Raises
    ------
    DataError
        The message has an id and the length of each side.
    """
    mine, theirs = queries.values.shape[1], references.values.shape[1]
    if mine != theirs:
        raise DataError(
            f"the vector of query {queries.ids[0].as_py()!r} has {mine} values and that of reference "
            f"{references.ids[0].as_py()!r} has {theirs}; all vectors must have the same length"
        )


def _dense(side: VectorColumn, dtype: str) -> Column:
    column = F.col(f"`{side.field.name}`")
    if side.spec is not None:
        return column
    if isinstance(side.field.dataType, VectorUDT):
        return vector_numbers(column)
    return column.cast(T.ArrayType(T.FloatType() if dtype == "float32" else T.DoubleType()))


def _packer(spec: TensorSpec | None, prefix: str, dtype: str, invalid: str, max_rows: int) -> ArrowFunction:
    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for ids, values in _blocks(_usable(batches, spec, dtype, invalid), max_rows):
            columns = [pa.ListArray.from_arrays([0, len(ids)], ids), pa.array([values.tobytes()], pa.binary())]
            yield pa.RecordBatch.from_arrays(columns, names=[f"{prefix}Ids", f"{prefix}Block"])

    return pack


_IdsAndValues = tuple[pa.Array, Matrix]


def _usable(
    batches: Iterable[pa.RecordBatch], spec: TensorSpec | None, dtype: str, invalid: str
) -> Iterator[_IdsAndValues]:
    """Yield ids and matrices of the rows that take part."""
    length = None if spec is None else spec.size
    for batch in batches:
        ids, vectors = batch.column(0), batch.column(1)
        if ids.null_count:
            raise DataError("a row has no id; ids are what results are found by: fill them in or drop the row")
        if spec is None:
            length = _common_length(ids, vectors, length)
            valid, values = _from_lists(vectors, length or 0, dtype)
        else:
            tensors = usable_tensors(vectors, spec)
            valid, values = tensors.valid, tensors.values.reshape(-1, spec.size).astype(dtype, copy=False)
        if invalid == "error" and not valid.all():
            name = ids[int(np.flatnonzero(~valid)[0])].as_py()
            raise DataError(f"invalid row {name}: the vector is null, damaged or holds a null, a NaN or an infinity")
        if invalid == "keep":
            everything = np.full((len(ids), values.shape[1]), np.nan, dtype)
            everything[valid] = values
            yield ids, everything
        else:
            yield ids.filter(pa.array(valid)), values


def _common_length(ids: pa.Array, vectors: pa.ListArray, length: int | None) -> int | None:
    lengths = pc.list_value_length(vectors)
    known = np.flatnonzero(lengths.is_valid().to_numpy(zero_copy_only=False))
    for row in known[:1] if length is None else ():
        length = lengths[int(row)].as_py()
    if length is None:
        return None
    others = np.flatnonzero(pc.fill_null(pc.not_equal(lengths, length), False).to_numpy(zero_copy_only=False))
    if len(others):
        row = int(others[0])
        raise DataError(
            f"the vector of row {ids[row].as_py()!r} has {lengths[row].as_py()} values where others have {length}; "
            "all vectors must have the same length"
        )
    return length


def _from_lists(vectors: pa.ListArray, length: int, dtype: str) -> tuple[npt.NDArray[np.bool_], Matrix]:
    """Return which lists are vectors, and those; a null in a list becomes NaN on the way."""
    valid = vectors.is_valid().to_numpy(zero_copy_only=False).copy()
    values = (
        vectors.flatten().to_numpy(zero_copy_only=False).reshape(int(valid.sum()), length).astype(dtype, copy=False)
    )
    finite = finite_rows(values)
    valid[np.flatnonzero(valid)] = finite
    return valid, values if finite.all() else values[finite]


def _blocks(rows: Iterator[_IdsAndValues], max_rows: int) -> Iterator[_IdsAndValues]:
    """Regroup rows into blocks of as many as fit."""
    waiting: list[_IdsAndValues] = []
    count = 0
    for ids, values in rows:
        limit = min(max_rows, max(1, BLOCK_BYTES // max(1, values.shape[1] * values.itemsize)))
        start = 0
        while start < len(ids):
            taken = min(limit - count, len(ids) - start)
            waiting.append((ids.slice(start, taken), values[start : start + taken]))
            start, count = start + taken, count + taken
            if count == limit:
                yield _merged(waiting)
                waiting, count = [], 0
    if waiting:
        yield _merged(waiting)


def _merged(parts: list[_IdsAndValues]) -> _IdsAndValues:
    return pa.concat_arrays([ids for ids, _ in parts]), np.concatenate([values for _, values in parts])
