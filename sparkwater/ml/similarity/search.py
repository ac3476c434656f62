"""Similarity search between two DataFrames: all values in blocks, or the nearest of each row.

Both sides are packed into blocks of rows on the executors, and every pair of blocks is computed
there. How the pairs meet is Spark's own choice for a join without keys: a side whose blocks
are smaller than ``spark.sql.autoBroadcastJoinThreshold`` (10 MiB unless set) is broadcast, as in any
join, and otherwise blocks meet block by block, a partition of one side with a partition of
the other, which touches the executors only. Starts no job before a result is used.

Memory is bounded by blocks: one of at most 16 MiB of each side, 16 MiB of scores or
8 MiB of values, and the Arrow batch that carries pairs of blocks to Python
(``spark.sql.execution.arrow.maxBytesPerBatch``). Sparse vectors become dense.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from pyspark import TaskContext
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.invalid import HANDLE_INVALID
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml.similarity.blocks import (
    ArrowFunction,
    VectorColumn,
    check_lengths,
    empty_block,
    every_pair,
    packed,
    read_block,
    vector_column,
)
from sparkwater.ml.similarity.measures import MEASURES, Block, check_measure, value_matrix
from sparkwater.ml.similarity.nearest import Candidates, add_references, no_candidates

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows of a block at most, where only the nearest leave it, and where the whole matrix does.
_ROWS_FOR_NEAREST, _ROWS_FOR_MATRIX = 4096, 1024

_OUTPUT_ROWS = 65_536


def distance_matrix(
    queries: DataFrame,
    references: DataFrame,
    measure: str,
    *,
    featuresCol: str = "features",
    idCol: str = "id",
    handleInvalid: str = "error",
) -> DataFrame:
    """Return the measure of every query and every reference, as blocks of the matrix.

    The result of H2O's ``h2o.distance(references, queries, measure)``, transposed and in blocks. For
    the rows of the matrix, one a query and block of references::

        matrix.select(F.explode(F.arrays_zip("queryIds", "values")).alias("row"), "referenceIds")

    Parameters
    ----------
    queries, references : pyspark.sql.DataFrame
        Both hold the id column and the features column: ML vectors, arrays of numbers or tensors,
        all of one length.
    measure : {"l1", "l2", "cosine", "cosine_sq", "inner"}
        Manhattan and Euclidean distance, cosine similarity and its square, inner product. A cosine
        with a zero vector is 0.
    featuresCol, idCol : str
        The columns' names.
    handleInvalid : {"error", "skip", "keep"}
        Treatment of null vectors and of those that hold a null, a NaN or an infinity: fail the
        job, leave them out, or give them values of NaN. A null id and a vector of another length
        always fail the job, with `DataError`'s message.

    Returns
    -------
    pyspark.sql.DataFrame
        One row a block of up to 1024 x 1024: ``queryIds``, ``referenceIds``, arrays, and ``values``, an
        array of double for each query with a value for each reference. Computed in float64;
        how rows fall into blocks and the order of summation depend on the partitions. No rows
        where a side is empty.

    Raises
    ------
    ConfigurationError, SchemaError
        If a parameter or a column isn't what is accepted.
    """
    mine, theirs, dtype = _checked_sides(queries, references, measure, featuresCol, idCol, handleInvalid)
    pairs = every_pair(
        packed(mine, "query", dtype, handleInvalid, _ROWS_FOR_MATRIX),
        packed(theirs, "reference", dtype, handleInvalid, _ROWS_FOR_MATRIX),
    )
    schema = T.StructType(
        [
            T.StructField("queryIds", T.ArrayType(mine.id_field.dataType)),
            T.StructField("referenceIds", T.ArrayType(theirs.id_field.dataType)),
            T.StructField("values", T.ArrayType(T.ArrayType(T.DoubleType()))),
        ]
    )
    return pairs.mapInArrow(_matrix_function(measure, dtype), schema)


def k_nearest(
    queries: DataFrame,
    references: DataFrame,
    k: int,
    measure: str,
    *,
    featuresCol: str = "features",
    idCol: str = "id",
    handleInvalid: str = "error",
) -> DataFrame:
    """Return the k references nearest to each query.

    Nearest are the smallest distances, or the largest similarities; ties go to the smaller id. The
    values are those of float64 arithmetic on each pair, and the same to the last bit for any
    partitioning: float32 products only rule out the pairs that can't be among the nearest.

    Parameters
    ----------
    queries, references : pyspark.sql.DataFrame
        As for `distance_matrix`. Ids of queries must be unique.
    k : int
        Neighbours of each query, from 1 up; a query has fewer where there are fewer references.
    measure, featuresCol, idCol
        As for `distance_matrix`.
    handleInvalid : {"error", "skip", "keep"}
        As for `distance_matrix`, but ``keep`` gives a query without neighbours one row of nulls, and
        leaves out references.

    Returns
    -------
    pyspark.sql.DataFrame
        ``queryId``, ``rank`` (int, from 1), ``referenceId``, ``value`` (double), in no order.

    Raises
    ------
    ConfigurationError, SchemaError
        If a parameter or a column isn't what is accepted.
    """
    lists = neighbor_lists(queries, references, k, measure, featuresCol, idCol, handleInvalid)
    explode = F.posexplode_outer if handleInvalid == "keep" else F.posexplode
    neighbor = F.col("neighbor")
    return lists.select("queryId", explode("neighbors").alias("position", "neighbor")).select(
        "queryId",
        (F.col("position") + 1).alias("rank"),
        neighbor["id"].alias("referenceId"),
        neighbor["value"].alias("value"),
    )


def neighbor_lists(
    queries: DataFrame, references: DataFrame, k: int, measure: str, featuresCol: str, idCol: str, handleInvalid: str
) -> DataFrame:
    """Return ``queryId`` and ``neighbors``, an array of structs ``id`` and ``value``, nearest first.

    Every query that isn't left out has a row: an empty array where there are no references, null
    where it has no usable vector. The parameters are those of `k_nearest`.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigurationError(f"k={k!r}; accepted: integers from 1 up")
    mine, theirs, dtype = _checked_sides(queries, references, measure, featuresCol, idCol, handleInvalid)
    blocks = packed(theirs, "reference", dtype, "skip" if handleInvalid == "keep" else handleInvalid, _ROWS_FOR_NEAREST)
    # Every block of queries meets the empty block once, and then says which queries it has.
    blocks = blocks.union(empty_block(theirs, "reference"))
    pairs = every_pair(packed(mine, "query", dtype, handleInvalid, _ROWS_FOR_NEAREST), blocks)
    schema = T.StructType(
        [
            T.StructField("queryId", mine.id_field.dataType),
            T.StructField("usable", T.BooleanType()),
            T.StructField("key", T.DoubleType()),
            T.StructField("id", theirs.id_field.dataType),
        ]
    )
    found = pairs.mapInArrow(_nearest_function(measure, k, dtype), schema)
    return _merge_lists(found, k, MEASURES[measure])


def _merge_lists(found: DataFrame, k: int, larger_is_nearer: bool) -> DataFrame:
    candidate = F.when(F.col("key").isNotNull(), F.struct("key", "id"))
    grouped = found.groupBy("queryId").agg(
        F.count("usable").alias("rows"),
        F.bool_and("usable").alias("usable"),
        F.slice(F.array_sort(F.collect_list(candidate)), 1, k).alias("found"),
    )
    neighbors = F.transform(
        "found",
        lambda one: F.struct(
            one["id"].alias("id"), ((F.lit(0.0) - one["key"]) if larger_is_nearer else one["key"]).alias("value")
        ),
    )
    message = F.concat(
        F.lit("the query id "), F.col("queryId").cast("string"), F.lit(" is on "), F.col("rows").cast("string"),
        F.lit(" rows; ids must be unique"),
    )  # fmt: skip
    unique = F.when(F.col("rows") == 1, F.when(F.col("usable"), neighbors)).otherwise(F.raise_error(message))
    return grouped.select("queryId", unique.alias("neighbors"))


def _checked_sides(
    queries: DataFrame, references: DataFrame, measure: str, featuresCol: str, idCol: str, handleInvalid: str
) -> tuple[VectorColumn, VectorColumn, str]:
    """Return both sides and the dtype that holds the values of both."""
    check_measure(measure)
    if handleInvalid not in HANDLE_INVALID:
        raise ConfigurationError(f"handleInvalid={handleInvalid!r}; accepted: {', '.join(HANDLE_INVALID)}")
    mine, theirs = vector_column(queries, idCol, featuresCol), vector_column(references, idCol, featuresCol)
    if mine.spec is not None and theirs.spec is not None and mine.spec.size != theirs.spec.size:
        raise SchemaError(
            f"featuresCol={featuresCol!r} holds tensors {mine.spec} in the queries and {theirs.spec} in the "
            "references; both must have the same number of values"
        )
    return mine, theirs, "float32" if mine.dtype == theirs.dtype == "float32" else "float64"


def _matrix_function(measure: str, dtype: str) -> ArrowFunction:
    def compute(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for queries, references in _pairs(batches, dtype):
            check_lengths(queries, references)
            values = value_matrix(queries, references, measure)
            columns = {
                "queryIds": _one_list(queries.ids),
                "referenceIds": _one_list(references.ids),
                "values": _one_list(_lists(values)),
            }
            yield pa.RecordBatch.from_pydict(columns)

    return compute


def _nearest_function(measure: str, k: int, dtype: str) -> ArrowFunction:
    def compute(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        current: tuple[Block, Candidates] | None = None
        for queries, references in _pairs(batches, dtype):
            if len(references.ids) == 0:
                yield from _queries_there_are(queries, references.ids.type)
                continue
            check_lengths(queries, references)
            # A block of queries meets blocks of references one after the other; what else may come costs rows only.
            if current is None or not queries.ids.equals(current[0].ids):
                yield from _found(current)
                current = queries, no_candidates(references.ids.type)
            current = queries, add_references(current[1], queries, references, measure, k)
        yield from _found(current)

    return compute


def _pairs(batches: Iterable[pa.RecordBatch], dtype: str) -> Iterator[tuple[Block, Block]]:
    """Yield the blocks of each pair, and compute with as many threads as the task has cores."""
    context = TaskContext.get()
    torch.set_num_threads(context.cpus() if context is not None else 1)
    for batch in batches:
        for row in range(batch.num_rows):
            yield read_block(batch, row, "query", dtype), read_block(batch, row, "reference", dtype)


def _found(current: tuple[Block, Candidates] | None) -> Iterator[pa.RecordBatch]:
    if current is None:
        return iter(())
    queries, found = current
    nothing = pa.nulls(len(found.rows), pa.bool_())
    ids = queries.ids.take(pa.array(found.rows))
    return _batches(ids, nothing, pa.array(found.keys), found.ids)


def _queries_there_are(queries: Block, id_type: pa.DataType) -> Iterator[pa.RecordBatch]:
    rows = len(queries.ids)
    return _batches(queries.ids, pa.array(queries.usable), pa.nulls(rows, pa.float64()), pa.nulls(rows, id_type))


def _batches(*columns: pa.Array) -> Iterator[pa.RecordBatch]:
    table = pa.table(dict(zip(("queryId", "usable", "key", "id"), columns, strict=True)))
    return iter(table.to_batches(max_chunksize=_OUTPUT_ROWS))


def _one_list(values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _lists(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> pa.ListArray:
    rows, columns = matrix.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * columns), pa.array(matrix.ravel()))
