"""DataFrames to and from petastorm's Parquet datasets.

A tensor is stored as petastorm's ``NdarrayCodec`` does it: one binary cell with what ``numpy.save``
writes. That serves both of petastorm's readers, and Spark writes it without Python: the header is
the same for all tensors of a column, so the cell is a constant followed by the tensor column's bytes.

- ``make_reader(url)`` gives a row at a time, tensors with their dtype and shape.
- ``make_batch_reader(url)`` never decodes; ``transform_spec=tensor_transform(specs)`` decodes for it.

Reading works without petastorm, whose package needs pyarrow < 15 and numpy < 2; writing pickles its
classes and needs it (``pip install sparkwater[petastorm]``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

from sparkwater.conversions.files.session_files import check_spark_reaches, files_of, read_bytes, replacing, write_bytes
from sparkwater.conversions.petastorm.codecs import NDARRAY, decode_npy_or_raw, decode_tensors, npy_header
from sparkwater.conversions.petastorm.schema import (
    COMMON_METADATA,
    ROW_GROUPS_KEY,
    UNISCHEMA_KEY,
    PetastormField,
    choose_fields,
    read_common_metadata,
)
from sparkwater.conversions.petastorm.schema_pickle import dump_unischema, petastorm_is_missing
from sparkwater.conversions.stages.columns import METADATA_KEY, tensor_spec, with_tensor_spec
from sparkwater.conversions.stages.executor_functions import arrow_series, executor_function
from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: petastorm's own default for DataFrames.
ROW_GROUP_BYTES = 32 * 1024 * 1024

#: The NumPy dtype that petastorm's readers give for a Spark type.
_PLAIN_DTYPES: dict[type[T.DataType], str] = {
    T.BooleanType: "bool",
    T.ByteType: "int8",
    T.ShortType: "int16",
    T.IntegerType: "int32",
    T.LongType: "int64",
    T.FloatType: "float32",
    T.DoubleType: "float64",
    T.StringType: "str",
    T.BinaryType: "bytes",
    T.DateType: "datetime64",
    T.TimestampType: "datetime64",
    T.DecimalType: "Decimal",
}


def write_petastorm(frame: DataFrame, url: str, *, mode: str = "error", row_group_bytes: int = ROW_GROUP_BYTES) -> None:
    """Write a DataFrame as a petastorm dataset; driver side, the executors write the files.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Tensor columns become fields with the ``NdarrayCodec``; booleans, numbers, strings, binary,
        dates and timestamps become scalars. A field is nullable where the column is; petastorm
        gives None for a null tensor, `stream` refuses it. There is a file a partition.
    url : str
        A folder on any filesystem that Spark knows. Files are written beside it and swapped in at
        the end: a failed write leaves what was there. On a store of objects, which renames nothing, they are
        written in place, the schema last, and nothing that is there is replaced.
    mode : {"error", "overwrite"}
        Treatment of an existing dataset at the URL.
    row_group_bytes : int
        Size of a row group in memory, about: the unit in which petastorm reads, shuffles and shards.

    Raises
    ------
    ConfigurationError
        If a parameter isn't accepted, something is at the URL, Spark doesn't reach it, or petastorm can't be imported.
    SchemaError
        If a column can't be a field: its type has no counterpart, or its name is no identifier.
    """
    if mode not in ("error", "overwrite"):
        raise ConfigurationError(f"mode={mode!r} is not a mode; accepted: 'error', 'overwrite'")
    if isinstance(row_group_bytes, bool) or not isinstance(row_group_bytes, int) or row_group_bytes < 1:
        raise ConfigurationError(f"row_group_bytes={row_group_bytes!r} must be a positive integer")
    fields = [_field_of(field) for field in frame.schema]
    pickled = dump_unischema([astuple(field) for field in fields])
    spark = frame.sparkSession
    check_spark_reaches(spark, url)
    with replacing(spark, url, mode == "overwrite") as beside:
        writer = frame.select([_encoded(field) for field in frame.schema]).write
        writer.options(**_parquet_options(fields, row_group_bytes)).parquet(beside)
        groups = json.dumps(files_of(spark).count_row_groups(beside)).encode()
        metadata = {UNISCHEMA_KEY: pickled, ROW_GROUPS_KEY: groups}
        write_bytes(spark, f"{beside}/{COMMON_METADATA}", _parquet_metadata(frame.schema, metadata))


def read_petastorm(
    spark: SparkSession,
    url: str,
    columns: Sequence[str] | None = None,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> DataFrame:
    """Read a petastorm dataset as a DataFrame; petastorm itself isn't needed.

    Fields with the ``NdarrayCodec``, ``CompressedNdarrayCodec`` and ``CompressedImageCodec`` become
    tensor columns, decoded on the executors; a cell that can't be decoded fails the job, a null stays
    null. The others come as the Parquet files have them. Pictures keep petastorm's own shape, ``(height,
    width)`` or ``(height, width, 3)``.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session that reads.
    url : str
        The dataset's folder, on any filesystem that Spark knows.
    columns : sequence of str, optional
        The columns to read, in this order; all by default.
    shapes : mapping of str to sequence of int, optional
        The one shape that all rows have, for fields that leave sizes open.

    Raises
    ------
    ConfigurationError
        If Spark doesn't reach the folder, with the connector to add.
    DataError
        If it is no petastorm dataset.
    SchemaError
        If there is no such column, a field leaves sizes open, or no tensor has its dtype.
    UnsafeLoadError
        If the stored schema is anything but a schema.
    """
    shapes = shapes or {}
    check_spark_reaches(spark, url)
    stored = _stored_schema(spark, url)
    fields = choose_fields(stored, columns, shapes)
    specs = {field.name: field.tensor_spec(shapes.get(field.name)) for field in fields}
    frame = spark.read.parquet(url)
    frame = frame.select([_decoded(field, specs[field.name]) for field in fields])
    for name, spec in specs.items():
        frame = with_tensor_spec(frame, name, spec) if spec else frame
    return frame


def _stored_schema(spark: SparkSession, url: str) -> tuple[PetastormField, ...]:
    try:
        stored = read_bytes(spark, f"{url.rstrip('/')}/{COMMON_METADATA}", DataError)
    except DataError as error:
        raise DataError(f"{url!r} is no petastorm dataset: {error}") from error
    return read_common_metadata(stored)


def tensor_transform(specs: Mapping[str, TensorSpec]) -> Any:
    """Return a petastorm ``TransformSpec`` that decodes tensor columns for ``make_batch_reader``.

    Parameters
    ----------
    specs : mapping of str to TensorSpec
        The tensor columns, as `write_petastorm` or Spark's own Parquet writer stored them; without
        nulls. Other columns stay as they are.

    Returns
    -------
    petastorm.transform.TransformSpec
        For ``petastorm.make_batch_reader(url, transform_spec=...)``.

    Raises
    ------
    ConfigurationError
        If petastorm can't be imported here; it needs pyarrow < 15 and numpy < 2.
    """
    try:
        from petastorm.transform import TransformSpec
    except (ImportError, AttributeError) as error:
        raise petastorm_is_missing(error) from error

    def decode(frame: pd.DataFrame) -> pd.DataFrame:
        for name, spec in specs.items():
            frame[name] = [decode_npy_or_raw(value, spec) for value in frame[name]]
        return frame

    fields = [(name, np.dtype(spec.dtype).type, spec.shape, False) for name, spec in specs.items()]
    return TransformSpec(decode, edit_fields=fields)


def _field_of(field: T.StructField) -> PetastormField:
    # petastorm makes named tuples of the rows, whose fields are so limited.
    if not field.name.isidentifier() or field.name.startswith("_"):
        raise SchemaError(f"column {field.name!r} can't be a petastorm field: letters and digits only, a letter first")
    spec = tensor_spec(field)
    if spec is not None:
        return PetastormField(field.name, spec.dtype, spec.shape, NDARRAY, field.nullable)
    dtype = _PLAIN_DTYPES.get(type(field.dataType))
    if dtype is None:
        raise SchemaError(
            f"column {field.name!r} is {field.dataType.simpleString()}; petastorm fields are tensor columns, booleans, "
            "numbers, strings, binary, dates and timestamps: make a tensor column of it, or drop it"
        )
    return PetastormField(field.name, dtype, (), None, field.nullable)


def _encoded(field: T.StructField) -> Column:
    spec, column = tensor_spec(field), F.col(field.name)
    if spec is None:
        return column
    problem = F.concat(F.lit(f"column {field.name}: a tensor has "), F.octet_length(column).cast("string"))
    problem = F.concat(problem, F.lit(f" bytes where {spec} has {spec.nbytes}"))
    checked = F.when(F.octet_length(column) != spec.nbytes, F.raise_error(problem)).otherwise(column)
    metadata = {key: value for key, value in field.metadata.items() if key != METADATA_KEY}
    return F.concat(F.lit(npy_header(spec)), checked).alias(field.name, metadata=metadata)


def _parquet_options(fields: Sequence[PetastormField], row_group_bytes: int) -> dict[str, str]:
    # Parquet looks at sizes, also at a row group's, every 100 rows at the earliest: large tensors would pass it by far.
    options = {"parquet.block.size": str(row_group_bytes), "parquet.page.size.row.check.min": "1"}
    # A dictionary of tensors that hardly repeat costs memory and time until Parquet gives it up.
    return options | {f"parquet.enable.dictionary#{field.name}": "false" for field in fields if field.codec}


def _parquet_metadata(schema: T.StructType, metadata: Mapping[bytes, bytes]) -> bytes:
    fields = [pa.field(field.name, to_arrow_type(field.dataType), field.nullable) for field in schema]
    stream = pa.BufferOutputStream()
    pq.write_metadata(pa.schema(fields, metadata), stream)
    return bytes(stream.getvalue())


def _decoded(field: PetastormField, spec: TensorSpec | None) -> Column:
    column = F.col(f"`{field.name}`")
    if spec is None or field.codec is None:
        return column
    decode = executor_function(_decoder(field.name, field.codec, spec), T.BinaryType(), row_bytes=spec.nbytes)
    return decode(column).alias(field.name)


def _decoder(name: str, codec: str, spec: TensorSpec) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    def decode(column: pd.Series[Any]) -> pd.Series[Any]:
        cells = pa.array(column, pa.binary(), from_pandas=True)
        valid = np.asarray(cells.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
        try:
            tensors = decode_tensors(codec, cells.drop_null(), spec)
        except DataError as error:
            raise DataError(f"column {name!r}: {error}") from error
        return arrow_series(tensors_to_arrow(tensors, valid))

    return decode
