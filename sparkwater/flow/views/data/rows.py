"""First rows of a DataFrame as short texts and small pictures.

Driver side; one Spark job. Values are cut, and pictures made small, on the executors.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.images.columns import checked_images, image_spec
from sparkwater.conversions.stages.columns import tensor_spec, vector_numbers
from sparkwater.errors import DataError
from sparkwater.flow.views.data.types import kind_of
from sparkwater.flow.views.data_urls import PNG, data_url
from sparkwater.plots.drawing.pictures import channels_last, is_picture

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.conversions.tensors.spec import TensorSpec

#: Characters of a text, and numbers of a list or vector, that are shown.
_TEXT, _NUMBERS = 120, 6

#: Height and width of a picture in pixels.
SIDE = 96

#: Encoded pictures with more bytes or pixels, and tensors with more numbers, aren't decoded.
_BYTES, _PIXELS, _TENSOR = 16 * 1024 * 1024, 40_000_000, 4_000_000

#: Columns, and columns of pictures, that are read at most.
MOST_COLUMNS, MOST_PICTURES = 100, 4


@dataclass(frozen=True)
class Cell:
    """A value.

    Attributes
    ----------
    text : str
        The value's beginning as plain text; an empty one where it is missing.
    missing : bool
        Whether there is no value.
    picture : str
        A ``data:`` URL with a PNG of at most `SIDE` by `SIDE` pixels; empty where the value is no picture.
    problem : str
        The reason why a picture can't be shown.
    """

    text: str = ""
    missing: bool = False
    picture: str = ""
    problem: str = ""


@dataclass(frozen=True)
class RowsView:
    """First rows.

    Attributes
    ----------
    names : tuple of str
        Columns that were read.
    pictures : tuple of bool
        Which of them hold pictures.
    rows : tuple of tuple of Cell
        The rows.
    left_out : int
        Columns after them that weren't read.
    """

    names: tuple[str, ...]
    pictures: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0


@dataclass(frozen=True)
class _Reading:
    """A column to read, and a function from its value to a cell."""

    column: Column
    cell: Callable[[Any], Cell]
    is_picture: bool = False
    size: Column | None = None

    def shown(self, value: Any) -> Cell:
        """Return a value as a cell."""
        return Cell(missing=True) if value is None else self.cell(value)

    def parts(self, place: int) -> list[Column]:
        """Return what is read of the column: its value, and beside one that is to be decoded its size."""
        value = F.col(f"c{place}")
        if self.size is None:
            return [value]
        return [F.when(self.size <= _BYTES, value).alias(f"c{place}"), self.size.alias(f"size{place}")]


def first_rows(frame: DataFrame, rows: int = 24, columns: int = MOST_COLUMNS) -> RowsView:
    """Return the first rows of the first columns; one Spark job.

    Tensors of one or three channels, bytes and Spark's image struct are pictures, in the first four such columns. Bytes
    that are no picture are marked. A string is text, also where it is a URI: nothing is read for it.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Rows with columns of any types. Names may hold dots, or be there twice.
    rows, columns : int
        Rows and columns at most.
    """
    fields = frame.schema.fields[:columns]
    plain = frame.toDF(*(f"c{place}" for place in range(len(frame.columns))))
    readings: list[_Reading] = []
    for place, field in enumerate(fields):
        allowed = sum(reading.is_picture for reading in readings) < MOST_PICTURES
        named = T.StructField(f"c{place}", field.dataType, metadata=field.metadata)
        readings.append((_picture_reading(named) if allowed else None) or _text_reading(named))
    # Only these rows are decoded, and nothing of those that are too large.
    chosen = plain.select(*(part for at, reading in enumerate(readings) for part in reading.parts(at))).limit(rows)
    found = chosen.select(*(reading.column.alias(f"c{place}") for place, reading in enumerate(readings))).collect()
    return RowsView(
        names=tuple(field.name for field in fields),
        pictures=tuple(reading.is_picture for reading in readings),
        rows=tuple(tuple(map(_Reading.shown, readings, row)) for row in found),
        left_out=len(frame.columns) - len(fields),
    )


def picture_url(pixels: Any) -> str:
    """Return pixels, as `sparkwater.plots.Picture` has them, as a ``data:`` URL with a PNG; at most `SIDE` a side.

    Raises
    ------
    DataError
        If they are of another shape, or hold no finite numbers.
    """
    shown = channels_last(np.asarray(pixels))
    if shown.dtype != np.uint8:
        shown = np.round(255 * np.nan_to_num(shown)).astype(np.uint8)
    image = Image.fromarray(shown)
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return data_url(PNG, buffer.getvalue())


def _picture_reading(field: T.StructField) -> _Reading | None:
    """Return how a column of pictures is read; None of other columns."""
    column, spec = F.col(field.name), tensor_spec(field)
    if spec is not None:
        if not is_picture(spec.shape) or spec.size > _TENSOR:
            return None
        return _Reading(column, partial(_tensor_cell, spec=spec), is_picture=True)
    if kind_of(field) not in ("bytes", "picture"):
        return None
    small, size = image_spec(SIDE, SIDE, 3), F.col(f"size{field.name[1:]}")
    checked = F.struct(checked_images(field, small, "fit", _PIXELS).alias("checked"), size.alias("size"))
    return _Reading(
        column=F.when(size.isNotNull(), checked),
        cell=partial(_decoded_cell, spec=small),
        is_picture=True,
        size=F.octet_length(column if kind_of(field) == "bytes" else column["data"]),
    )


def _tensor_cell(value: Any, spec: TensorSpec) -> Cell:
    text = f"{spec.dtype} {' x '.join(map(str, spec.shape))}"
    try:
        pixels = np.frombuffer(bytes(value), spec.numpy_dtype).reshape(spec.shape)
        return Cell(text, picture=picture_url(pixels))
    except (DataError, ValueError) as error:
        return Cell(text, problem=str(error))


def _decoded_cell(value: Any, spec: TensorSpec) -> Cell:
    text, checked = f"{value['size']:,} bytes", value["checked"]
    if value["size"] > _BYTES:
        return Cell(text, problem="more than 16 MB, not decoded")
    if checked["tensor"] is None:
        return Cell(text, problem=checked["problem"])
    return Cell(text, picture=picture_url(np.frombuffer(bytes(checked["tensor"]), np.uint8).reshape(spec.shape)))


def _text_reading(field: T.StructField) -> _Reading:
    """Return how a column is read as text."""
    column, kind, spec = F.col(field.name), kind_of(field), tensor_spec(field)
    if spec is not None:
        words = f"{spec.dtype} {' x '.join(map(str, spec.shape))}"
        return _Reading(F.when(column.isNotNull(), F.lit(words)), Cell)
    if kind == "vector":
        numbers = vector_numbers(column)
        parts = F.struct(F.slice(numbers, 1, _NUMBERS).alias("some"), F.size(numbers).alias("size"))
        return _Reading(F.when(column.isNotNull(), parts), _vector_cell)
    if kind == "bytes":
        return _Reading(F.concat(F.octet_length(column).cast("string"), F.lit(" bytes")), Cell)
    if kind == "picture":
        return _Reading(F.when(column.isNotNull(), F.lit("picture")), Cell)
    text = column.cast("string")
    cut = F.concat(F.substring(text, 1, _TEXT), F.lit("…"))
    return _Reading(F.when(F.length(text) > _TEXT, cut).otherwise(text), Cell)


def _vector_cell(value: Any) -> Cell:
    shown = ", ".join(f"{number:.4g}" for number in value["some"])
    return Cell(f"[{shown}, … ({value['size']:,} numbers)]" if value["size"] > _NUMBERS else f"[{shown}]")
