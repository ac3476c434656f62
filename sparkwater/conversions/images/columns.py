"""Picture columns - URIs, encoded bytes, Spark's image struct - to tensors, on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.images.decoding import MAX_PIXELS, decode_image, pixels_to_tensor
from sparkwater.conversions.images.uris import check_uris, read_ahead, reader_of
from sparkwater.conversions.stages.columns import CHECKED_TENSOR, checked_frame, tensor_spec
from sparkwater.conversions.stages.executor_functions import executor_function
from sparkwater.conversions.tensors.arrow import TensorRows
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_STRUCT_FIELDS = ("height", "width", "nChannels", "mode", "data")

#: OpenCV's type numbers, as Spark's image source writes them, and their channels.
_OPENCV_CHANNELS = {0: 1, 16: 3, 24: 4}
_OPENCV_MODES = {1: 0, 3: 16}

_Pixels = npt.NDArray[np.uint8]


def image_spec(height: int, width: int, channels: int) -> TensorSpec:
    """Return the spec of a decoded picture: uint8, channels first."""
    return TensorSpec("uint8", (channels, height, width))


def is_image_field(field: T.StructField) -> bool:
    """Return whether a column can hold pictures: URIs, encoded bytes or Spark's image struct."""
    if isinstance(field.dataType, T.StructType):
        return set(_STRUCT_FIELDS) <= set(field.dataType.names)
    if isinstance(field.dataType, T.BinaryType):
        return tensor_spec(field) is None
    return isinstance(field.dataType, T.StringType)


def checked_images(
    field: T.StructField, spec: TensorSpec, resize: str = "stretch", max_pixels: int = MAX_PIXELS
) -> Column:
    """Return a column of pictures as `CHECKED_TENSOR`.

    Parameters
    ----------
    field : pyspark.sql.types.StructField
        The column.
    spec : TensorSpec
        The spec of the result: uint8 ``(channels, height, width)``.
    resize : str
        One of `sparkwater.conversions.images.decoding.RESIZES`.
    max_pixels : int
        Encoded pictures with more pixels are refused.

    Raises
    ------
    SchemaError
        If the column is none of the three kinds.
    ConfigurationError
        If it holds URIs in a block of `sparkwater.conversions.images.uris.no_uris`.
    """
    if not is_image_field(field):
        raise SchemaError(
            f"column {field.name!r} is {field.dataType.simpleString()}; pictures come as a string (URI), "
            "as binary (encoded bytes) or as Spark's image struct"
        )
    channels, height, width = spec.shape
    column = F.col(f"`{field.name}`")
    size: dict[str, Any] = {"height": height, "width": width, "channels": channels, "resize": resize}
    if isinstance(field.dataType, T.StructType):
        from_pixels = partial(pixels_to_tensor, **size)
        return executor_function(_decode_structs(from_pixels, spec), CHECKED_TENSOR, pd.DataFrame, spec.nbytes)(column)
    if isinstance(field.dataType, T.StringType):
        check_uris(field.name)
    decode = partial(decode_image, **size, max_pixels=max_pixels)
    kind = _decode_uris if isinstance(field.dataType, T.StringType) else _decode_bytes
    return executor_function(kind(decode, spec), CHECKED_TENSOR, row_bytes=spec.nbytes)(column)


def check_schemes(frame: DataFrame, name: str) -> None:
    """Refuse a column of URIs that nothing reads: a job looks at its first 100 rows.

    Does nothing where the DataFrame is a stream. Other schemes further down fail on the executor.

    Raises
    ------
    ConfigurationError
        With the scheme, and what to install.
    """
    check_uris(name)
    if frame.isStreaming:
        return
    for (uri,) in frame.select(F.col(f"`{name}`")).take(100):
        if uri is not None:
            reader_of(uri)


def image_structs(frame: DataFrame, name: str, origin: Column) -> Column:
    """Return a tensor column as Spark's image struct; null where it is null.

    A row of another length than its column's spec fails the job, on the executor.

    Raises
    ------
    SchemaError
        If the column doesn't hold uint8 tensors ``(1 or 3, height, width)``.
    """
    spec = tensor_spec(frame.schema[name])
    if spec is None or spec.dtype != "uint8" or len(spec.shape) != 3 or spec.shape[0] not in _OPENCV_MODES:
        raise SchemaError(
            f"column {name!r} holds {spec or frame.schema[name].dataType.simpleString()}; accepted: a tensor column of "
            "uint8 [channels, height, width] with 1 or 3 channels, as ImageToTensor makes it"
        )
    channels, height, width = spec.shape
    tensor = F.col(f"`{name}`")
    parts = {
        "origin": origin,
        "height": F.lit(height),
        "width": F.lit(width),
        "nChannels": F.lit(channels),
        "mode": F.lit(_OPENCV_MODES[channels]),
        "data": executor_function(_interleave(spec), T.BinaryType(), row_bytes=spec.nbytes)(tensor),
    }
    return F.when(tensor.isNotNull(), F.struct(*(part.alias(key) for key, part in parts.items())))


def _decode_bytes(decode: Callable[[bytes], _Pixels], spec: TensorSpec) -> Callable[[pd.Series[Any]], pd.DataFrame]:
    def decode_batch(column: pd.Series[Any]) -> pd.DataFrame:
        return _checked_rows(column, len(column), decode, spec)

    return decode_batch


def _decode_uris(decode: Callable[[bytes], _Pixels], spec: TensorSpec) -> Callable[[pd.Series[Any]], pd.DataFrame]:
    def decode_batch(column: pd.Series[Any]) -> pd.DataFrame:
        return _checked_rows(read_ahead(column), len(column), lambda read: decode(read()), spec)

    return decode_batch


def _decode_structs(
    from_pixels: Callable[[_Pixels], _Pixels], spec: TensorSpec
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def decode_batch(column: pd.DataFrame) -> pd.DataFrame:
        rows = (None if row.data is None else row for row in column[list(_STRUCT_FIELDS)].itertuples())
        return _checked_rows(rows, len(column), lambda row: from_pixels(struct_pixels(row)), spec)

    return decode_batch


def _checked_rows(rows: Iterable[Any], count: int, decode: Callable[[Any], _Pixels], spec: TensorSpec) -> pd.DataFrame:
    """Return the rows of `CHECKED_TENSOR`; all tensors of a batch are decoded into one Arrow buffer."""
    tensors = np.empty((count, *spec.shape), np.uint8)
    problems: list[str | None] = []
    usable = 0
    for row in rows:
        problems.append(None)
        if row is None:
            problems[-1] = "the value is null"
            continue
        try:
            tensors[usable] = decode(row)
            usable += 1
        except DataError as error:
            problems[-1] = str(error)
    valid = np.array([problem is None for problem in problems], dtype=bool)
    known = {row: problem for row, problem in enumerate(problems) if problem is not None}
    return checked_frame(TensorRows(tensors[:usable], valid, known))


def _interleave(spec: TensorSpec) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    def interleave(column: pd.Series[Any]) -> pd.Series[Any]:
        return pd.Series([None if data is None else _bgr(data, spec) for data in column], dtype=object)

    return interleave


def _bgr(data: bytes, spec: TensorSpec) -> bytes:
    if len(data) != spec.nbytes:
        raise DataError(f"the tensor has {len(data)} bytes where {spec} has {spec.nbytes}")
    return np.frombuffer(data, np.uint8).reshape(spec.shape)[::-1].transpose(1, 2, 0).tobytes()


def struct_pixels(row: Any) -> _Pixels:
    """Return the pixels of an image struct as grey or RGB; Spark stores blue, green, red."""
    channels = _OPENCV_CHANNELS.get(int(row.mode))
    if channels is None:
        raise DataError(f"the image struct has mode {row.mode}; accepted: 0 (grey), 16 (BGR), 24 (BGRA)")
    expected = int(row.height) * int(row.width) * channels
    if len(row.data) != expected or expected == 0:
        raise DataError(f"the image struct is damaged: {len(row.data)} bytes where its header says {expected}")
    pixels = np.frombuffer(row.data, np.uint8).reshape(int(row.height), int(row.width), channels)
    return np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels[:, :, 2::-1])
