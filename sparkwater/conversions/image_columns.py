"""Columns of pictures - URIs, encoded bytes, Spark's image struct - to tensors, on the executors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.columns import CHECKED_TENSOR, checked_rows, executor_function, tensor_spec
from sparkwater.conversions.spec import TensorSpec
from sparkwater.errors import DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column

_STRUCT_FIELDS = ("height", "width", "nChannels", "mode", "data")

#: OpenCV's type numbers, as Spark's image source writes them, and their channels.
_OPENCV_CHANNELS = {0: 1, 16: 3, 24: 4}


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


def checked_images(field: T.StructField, spec: TensorSpec) -> Column:
    """Return a column of pictures as `CHECKED_TENSOR`.

    Raises
    ------
    SchemaError
        If the column is none of the three kinds.
    """
    if not is_image_field(field):
        raise SchemaError(
            f"column {field.name!r} is {field.dataType.simpleString()}; pictures come as a string (URI), "
            "as binary (encoded bytes) or as Spark's image struct"
        )
    channels, height, width = spec.shape
    decode: Callable[[Any], pd.DataFrame]
    if isinstance(field.dataType, T.StructType):
        decode = _decode_structs(height, width, channels)
    elif isinstance(field.dataType, T.StringType):
        decode = _decode_uris(height, width, channels)
    else:
        decode = _decode_bytes(height, width, channels)
    takes = pd.DataFrame if isinstance(field.dataType, T.StructType) else pd.Series
    return executor_function(decode, CHECKED_TENSOR, takes)(F.col(f"`{field.name}`"))


def _decode_bytes(height: int, width: int, channels: int) -> Callable[[pd.Series[Any]], pd.DataFrame]:
    def decode(column: pd.Series[Any]) -> pd.DataFrame:
        from sparkwater.conversions.images import decode_image

        return checked_rows(column, lambda data: decode_image(data, height, width, channels).tobytes())

    return decode


def _decode_uris(height: int, width: int, channels: int) -> Callable[[pd.Series[Any]], pd.DataFrame]:
    def decode(column: pd.Series[Any]) -> pd.DataFrame:
        from sparkwater.conversions.images import decode_image
        from sparkwater.conversions.uris import read_uri

        return checked_rows(column, lambda uri: decode_image(read_uri(uri), height, width, channels).tobytes())

    return decode


def _decode_structs(height: int, width: int, channels: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def decode(column: pd.DataFrame) -> pd.DataFrame:
        from sparkwater.conversions.images import pixels_to_tensor

        rows = (None if row.data is None else row for row in column[list(_STRUCT_FIELDS)].itertuples())
        return checked_rows(rows, lambda row: pixels_to_tensor(_pixels(row), height, width, channels).tobytes())

    return decode


def _pixels(row: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the pixels of an image struct as grey or RGB; Spark stores blue, green, red."""
    channels = _OPENCV_CHANNELS.get(int(row.mode))
    if channels is None:
        raise DataError(f"the image struct has mode {row.mode}; accepted: 0 (grey), 16 (BGR), 24 (BGRA)")
    expected = int(row.height) * int(row.width) * channels
    if len(row.data) != expected or expected == 0:
        raise DataError(f"the image struct has {len(row.data)} bytes where its header says {expected}")
    pixels = np.frombuffer(row.data, np.uint8).reshape(int(row.height), int(row.width), channels)
    return np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels[:, :, 2::-1])
