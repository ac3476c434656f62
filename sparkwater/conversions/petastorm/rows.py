"""The index of a petastorm dataset for streaming: its columns, and its row groups from the Parquet footers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sparkwater.conversions.files.filesystems import open_filesystem
from sparkwater.conversions.files.s3 import explained
from sparkwater.conversions.petastorm.schema import (
    COMMON_METADATA,
    PetastormField,
    choose_fields,
    read_common_metadata,
)
from sparkwater.conversions.tensors.spec import DTYPES, TensorSpec
from sparkwater.errors import DataError, SchemaError

#: Footers that are read at once; most of the time goes into waiting for storage.
_READERS = 8


@dataclass(frozen=True)
class PetastormColumn:
    """A column of the stream.

    Attributes
    ----------
    name : str
    dtype : str
        Of the arrays; ``object`` for strings.
    shape : tuple of int
        Of one row; ``()`` for a plain column.
    codec : str or None
        petastorm's codec of a tensor column; None for a plain one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    codec: str | None = None

    @property
    def row_bytes(self) -> int:
        """The memory that a row takes; a guess for strings."""
        return 64 if self.dtype == "object" else TensorSpec(self.dtype, self.shape).nbytes

    def empty(self, rows: int) -> npt.NDArray[np.generic]:
        """Return an array for so many rows, uninitialised."""
        return np.empty((rows, *self.shape), self.dtype)


@dataclass(frozen=True)
class RowGroup:
    """Rows of one row group of a file.

    Attributes
    ----------
    path : str
        The file, relative to the dataset's folder.
    index : int
        The row group in the file.
    start, stop : int
        The rows in the row group, `stop` not included.
    """

    path: str
    index: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.stop - self.start


@dataclass(frozen=True)
class PetastormRows:
    """The rows of a dataset: a small value that the driver makes and every rank gets.

    Attributes
    ----------
    url : str
        The dataset's folder.
    columns : tuple of PetastormColumn
        The columns of each batch.
    row_groups : tuple of RowGroup
        All row groups in the order of the rows' numbers: by file name, then by row group.
    """

    url: str
    columns: tuple[PetastormColumn, ...]
    row_groups: tuple[RowGroup, ...]

    @cached_property
    def rows(self) -> int:
        """The number of rows."""
        return sum(group.rows for group in self.row_groups)

    @cached_property
    def row_bytes(self) -> int:
        """The memory that a decoded row takes."""
        return sum(column.row_bytes for column in self.columns)


def describe_petastorm(
    url: str, columns: Sequence[str] | None = None, *, shapes: Mapping[str, Sequence[int]] | None = None
) -> PetastormRows:
    """Read a dataset's schema and footers; on the driver or anywhere else, without pyspark.

    Parameters
    ----------
    url : str
        A local path; a ``file``, ``hdfs``, ``s3``, ``gs`` or ``dbfs`` URL; any other that fsspec knows.
    columns : sequence of str, optional
        The columns to stream: tensor columns, booleans, numbers, strings. All by default.
    shapes : mapping of str to sequence of int, optional
        The one shape that all rows have, for fields that leave sizes open.

    Raises
    ------
    ConfigurationError
        If nothing here reads the URL's scheme.
    DataError
        If it is no petastorm dataset, has no rows, or can't be read.
    SchemaError
        If there is no such column, or its type can't be streamed.
    UnsafeLoadError
        If the stored schema is anything but a schema.
    """
    shapes = shapes or {}
    filesystem, root = open_filesystem(url)
    try:
        with filesystem.open_input_file(f"{root}/{COMMON_METADATA}") as file:
            stored = read_common_metadata(file.read())
        paths = _data_files(filesystem, root)
        with ThreadPoolExecutor(_READERS) as pool:
            footers = list(pool.map(lambda path: _footer(filesystem, f"{root}/{path}"), paths))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{url!r} can't be read as a petastorm dataset: {explained(error)}") from error
    groups = tuple(
        RowGroup(path, index, 0, footer.row_group(index).num_rows)
        for path, footer in zip(paths, footers, strict=True)
        for index in range(footer.num_row_groups)
    )
    if not any(group.rows for group in groups):
        raise DataError(f"{url!r} has no rows")
    schema = footers[0].schema.to_arrow_schema()
    chosen = choose_fields(stored, columns, shapes)
    return PetastormRows(url, tuple(_column(field, schema, shapes.get(field.name)) for field in chosen), groups)


def _data_files(filesystem: fs.FileSystem, root: str) -> list[str]:
    """Return the paths of a dataset's files, relative to it and sorted; hidden ones are left out, as Spark does."""
    found = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    paths = [info.path[len(root) :].lstrip("/") for info in found if info.type == fs.FileType.File]
    return sorted(path for path in paths if not any(part.startswith(("_", ".")) for part in path.split("/")))


def _footer(filesystem: fs.FileSystem, path: str) -> pq.FileMetaData:
    with filesystem.open_input_file(path) as file:
        return pq.read_metadata(file)


def _column(field: PetastormField, schema: pa.Schema, shape: Sequence[int] | None) -> PetastormColumn:
    spec = field.tensor_spec(shape)
    if spec is not None:
        return PetastormColumn(field.name, spec.dtype, spec.shape, field.codec)
    place = schema.get_field_index(field.name)
    kind = schema.field(place).type if place >= 0 else None
    if kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return PetastormColumn(field.name, "object")
    dtype = "" if kind is None or pa.types.is_nested(kind) else np.dtype(kind.to_pandas_dtype()).name
    if dtype not in DTYPES:
        stored = "not in the files (a folder's name holds it)" if kind is None else str(kind)
        raise SchemaError(
            f"column {field.name!r} is {stored}; tensors, booleans, numbers and strings are streamed: "
            "name the columns that you need"
        )
    return PetastormColumn(field.name, dtype)
