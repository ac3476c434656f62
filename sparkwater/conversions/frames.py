"""Whole DataFrames to torch and back, for notebooks and for feeding other programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.categories import check_categories
from sparkwater.conversions.image_stages import ImageToTensor
from sparkwater.conversions.images.columns import is_image_field
from sparkwater.conversions.stages.columns import find_field, tensor_spec, with_tensor_spec
from sparkwater.conversions.stages.executor_functions import BATCH_BYTES
from sparkwater.conversions.stages.shapes import find_shape
from sparkwater.conversions.stages.spark_types import ACCEPTED_NUMBERS, dtype_of, stored_dtype
from sparkwater.conversions.tensors.arrow import as_torch, tensors_to_arrow
from sparkwater.conversions.tensors.buffer import TensorBuffer
from sparkwater.conversions.tensors.record_batches import ColumnReader, tensor_batches, torch_batches
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, SchemaError, raised_on_executor

if TYPE_CHECKING:
    import torch
    from pyspark.sql import DataFrame, SparkSession

_DECODED = "__sparkwater_decoded"


def to_tensors(
    frame: DataFrame,
    columns: Sequence[str] | None = None,
    *,
    dtypes: Mapping[str, str] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    image_shape: Sequence[int] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    handle_invalid: str = "error",
) -> DataFrame:
    """Turn columns of any kind into tensor columns of the same names; the others are left out.

    Tensor columns stay as they are. Numbers, arrays and vectors become tensors of their own dtype;
    pictures (URIs, encoded bytes, Spark's image struct) are decoded; strings with ``categories``
    become numbers.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    columns : sequence of str, optional
        The columns to convert; by default all.
    dtypes : mapping of str to str, optional
        Dtypes for columns of numbers that shall not keep their own.
    shapes : mapping of str to sequence of int, optional
        Shapes for vectors and arrays; by default that of the first row, which takes a small job.
    image_shape : sequence of int, optional
        Height, width and channels of pictures; columns of strings and bytes are pictures where it
        is given.
    categories : mapping of str to sequence of str, optional
        For columns of strings: the strings that become 0, 1, ... (see `find_categories`).
    handle_invalid : {"error", "skip"}
        Treatment of rows that can't be used; a tensor has no null, so they can't be kept.

    Raises
    ------
    SchemaError
        If a column isn't there or nothing turns it into tensors.
    ConfigurationError
        If an argument names another column, or ``handle_invalid`` is something else.
    """
    source, readers, skip = _plan(
        frame,
        columns,
        dtypes=dtypes,
        shapes=shapes,
        image_shape=image_shape,
        categories=categories,
        handle_invalid=handle_invalid,
    )

    def convert(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return tensor_batches(batches, readers, skip=skip)

    tensors = source.mapInArrow(convert, T.StructType([T.StructField(name, T.BinaryType()) for name in readers]))
    for name, reader in readers.items():
        tensors = with_tensor_spec(tensors, name, reader.spec)
    return tensors


def iter_torch_batches(
    frame: DataFrame,
    columns: Sequence[str] | None = None,
    batch_size: int = 256,
    *,
    drop_last: bool = False,
    **how: Any,
) -> Iterator[dict[str, torch.Tensor]]:
    """Iterate over a DataFrame's rows as batches of torch tensors, on the driver.

    The rows stream: at most two partitions are on the driver at a time, the one that is read and
    the next, in its JVM. Repartition a DataFrame whose partitions are too large for that. Rows come
    in the order of the DataFrame.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Any that `to_tensors` takes.
    columns : sequence of str, optional
        The columns to convert; by default all.
    batch_size : int
        Rows of each batch but the last.
    drop_last : bool
        Leave out the last batch where it is smaller.
    **how
        As `to_tensors`: dtypes, shapes, image_shape, categories, handle_invalid.

    Returns
    -------
    iterator of dict of str to torch.Tensor
        Each of shape ``(rows, *shape)``; they may share memory, so copy before you write to them.

    Raises
    ------
    DataError
        From the iterator, for a row that can't be used.
    ConfigurationError, SchemaError
        At once, as `to_tensors`.
    """
    if batch_size < 1:
        raise ConfigurationError(f"batch_size={batch_size!r}; accepted: 1 or more")
    batches, specs = _collected(frame, columns, **how)
    return torch_batches(batches, specs, batch_size, drop_last=drop_last)


def to_torch(frame: DataFrame, columns: Sequence[str] | None = None, **how: Any) -> dict[str, torch.Tensor]:
    """Collect a DataFrame's columns on the driver as one torch tensor each.

    All rows must fit into the driver's memory, once; `iter_torch_batches` streams larger data.

    Parameters
    ----------
    frame, columns, **how
        As for `iter_torch_batches`.

    Returns
    -------
    dict of str to torch.Tensor
        Each of shape ``(rows, *shape)``; writable.
    """
    batches, specs = _collected(frame, columns, **how)
    buffers = {name: TensorBuffer(spec) for name, spec in specs.items()}
    for batch in torch_batches(batches, specs):
        for name, values in batch.items():
            buffers[name].append(values.numpy())
    return {name: as_torch(buffer.tensors()) for name, buffer in buffers.items()}


def from_torch(spark: SparkSession, tensors: Mapping[str, torch.Tensor]) -> DataFrame:
    """Make a DataFrame with a row for each index of the tensors' first dimension.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session that gets the DataFrame.
    tensors : mapping of str to torch.Tensor
        Of equal lengths, on any device. One of one dimension becomes a plain column where Spark has
        the type (not for uint8 and float16); every other one a tensor column.

    Raises
    ------
    SchemaError
        If lengths differ, a tensor has no dimension, or its dtype isn't one of `DTYPES`.
    """
    return from_numpy(spark, {name: values.detach().cpu().numpy() for name, values in tensors.items()})


def from_numpy(spark: SparkSession, arrays: Mapping[str, npt.NDArray[np.generic]]) -> DataFrame:
    """Make a DataFrame with a row for each index of the arrays' first axis; as `from_torch`."""
    lengths = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    if not arrays or len(set(lengths.values())) != 1 or None in lengths.values():
        raise SchemaError(f"arrays need at least one axis, and the same length; got {lengths}")
    specs = {name: TensorSpec(array.dtype.name, array.shape[1:]) for name, array in arrays.items()}
    columns = {name: _arrow_column(np.asarray(array), specs[name]) for name, array in arrays.items()}
    frame = spark.createDataFrame(pa.table(columns))
    for name, spec in specs.items():
        if not _is_plain(spec):
            frame = with_tensor_spec(frame, name, spec)
    return frame


def _is_plain(spec: TensorSpec) -> bool:
    # A column of one number a row needs no tensor column where Spark has the type.
    return spec.shape == () and stored_dtype(spec.dtype) == spec.dtype


def _arrow_column(array: npt.NDArray[np.generic], spec: TensorSpec) -> pa.ChunkedArray:
    if _is_plain(spec):
        return pa.chunked_array([pa.array(array.astype(spec.numpy_dtype, copy=False))])
    rows = max(1, BATCH_BYTES // spec.nbytes)
    pieces = [tensors_to_arrow(array[start : start + rows]) for start in range(0, len(array), rows)]
    return pa.chunked_array(pieces, pa.binary())


def _plan(
    frame: DataFrame,
    columns: Sequence[str] | None,
    *,
    dtypes: Mapping[str, str] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    image_shape: Sequence[int] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    handle_invalid: str = "error",
) -> tuple[DataFrame, dict[str, ColumnReader], bool]:
    """Return the columns with their pictures decoded, how to read each, and whether to skip rows; see `to_tensors`."""
    names = list(frame.columns if columns is None else columns)
    if handle_invalid not in ("error", "skip"):
        raise ConfigurationError(f"handle_invalid={handle_invalid!r}; accepted: error, skip")
    for argument, given in (("dtypes", dtypes), ("shapes", shapes), ("categories", categories)):
        unknown = sorted(set(given or ()) - set(names))
        if unknown:
            raise ConfigurationError(f"{argument} names {unknown[0]!r}; the columns are {', '.join(names)}")
    if not names:
        raise ConfigurationError("columns is empty; name at least one column")
    readers = {}
    for name in names:
        field = find_field(frame.schema, name)
        if categories is not None and name in categories:
            readers[name] = _category_reader(field, categories[name])
            continue
        if image_shape is not None and is_image_field(field):
            frame = _decoded(frame, name, image_shape, handle_invalid)
        readers[name] = _reader(frame, name, (dtypes or {}).get(name), (shapes or {}).get(name))
    return frame.select(*(F.col(f"`{name}`") for name in names)), readers, handle_invalid == "skip"


def _decoded(frame: DataFrame, name: str, image_shape: Sequence[int], handle_invalid: str) -> DataFrame:
    decode = ImageToTensor(
        inputCol=name, outputCol=_DECODED, imageShape=list(image_shape), handleInvalid=handle_invalid
    )
    return decode.transform(frame).drop(name).withColumnRenamed(_DECODED, name)


def _category_reader(field: T.StructField, categories: Sequence[str]) -> ColumnReader:
    if not isinstance(field.dataType, T.StringType):
        raise SchemaError(f"column {field.name!r} is {field.dataType.simpleString()}; categories are strings")
    return ColumnReader(TensorSpec("int64", ()), check_categories(categories))


def _reader(frame: DataFrame, name: str, dtype: str | None, shape: Sequence[int] | None) -> ColumnReader:
    field = find_field(frame.schema, name)
    spec = tensor_spec(field)
    if spec is not None:
        return ColumnReader(spec)
    own_dtype = dtype_of(field.dataType)
    if own_dtype is None:
        raise SchemaError(
            f"column {name!r} is {field.dataType.simpleString()}; accepted: tensor columns, {ACCEPTED_NUMBERS}, "
            "pictures with image_shape, strings with categories"
        )
    return ColumnReader(TensorSpec(dtype or own_dtype, find_shape(frame, name) if shape is None else shape))


def _collected(
    frame: DataFrame, columns: Sequence[str] | None, **how: Any
) -> tuple[Iterator[pa.RecordBatch], dict[str, TensorSpec]]:
    """Return a function that collects tensors on the driver, a partition ahead of the reader, and their specs."""
    source, readers, skip = _plan(frame, columns, **how)

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _packed(tensor_batches(batches, readers, skip=skip))

    def collect() -> Iterator[pa.RecordBatch]:
        packed = source.mapInArrow(pack, "batch binary")
        try:
            for row in packed.toLocalIterator(prefetchPartitions=True):
                with pa.ipc.open_stream(row["batch"]) as reader:
                    yield from reader
        except Exception as error:
            mistake = raised_on_executor(error)
            if mistake is None:
                raise
            raise mistake from error

    return collect(), {name: reader.spec for name, reader in readers.items()}


def _packed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Write each record batch into one cell: Spark's own way to the driver goes row by row."""
    for batch in batches:
        rows = max(1, batch.num_rows * BATCH_BYTES // max(batch.nbytes, 1))
        for start in range(0, batch.num_rows, rows):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch.slice(start, rows))
            yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], ["batch"])
