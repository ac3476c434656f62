"""The schema of a petastorm dataset: its fields, and their tensors' specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sparkwater.conversions.petastorm.codecs import TENSOR_CODECS
from sparkwater.conversions.petastorm.schema_pickle import load_unischema
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import DataError, SchemaError

#: The file that holds the schema, and the keys under which petastorm looks for it.
COMMON_METADATA = "_common_metadata"
UNISCHEMA_KEY = b"dataset-toolkit.unischema.v1"
ROW_GROUPS_KEY = b"dataset-toolkit.num_row_groups_per_file.v1"


@dataclass(frozen=True)
class PetastormField:
    """One field of a ``Unischema``.

    Attributes
    ----------
    name : str
        The column.
    dtype : str
        As NumPy names it: ``uint8``, ``bool``, ``str``, ``datetime64``, ...; or ``Decimal``.
    shape : tuple of int or None
        None stands for a size that differs from row to row.
    codec : str or None
        The class name of petastorm's codec.
    nullable : bool
        Whether the column may hold nulls.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] = ()
    codec: str | None = None
    nullable: bool = False

    def tensor_spec(self, shape: Sequence[int] | None = None) -> TensorSpec | None:
        """Return the spec of the field's tensors, or None where its codec makes no tensors.

        Parameters
        ----------
        shape : sequence of int, optional
            Takes the place of the field's own shape, which must be compatible with it.

        Raises
        ------
        SchemaError
            If a size isn't known, the given shape doesn't fit, or no tensor has such a dtype.
        """
        if self.codec not in TENSOR_CODECS:
            return None
        if shape is None:
            if None in self.shape:
                raise SchemaError(
                    f"field {self.name!r} has the shape {self.shape}, where None differs from row to row; "
                    f"pass shapes={{{self.name!r}: (...)}} if all rows have one shape, or leave the column out"
                )
            return TensorSpec(self.dtype, [size for size in self.shape if size is not None])
        fits = len(shape) == len(self.shape) and all(
            own in (None, given) for own, given in zip(self.shape, shape, strict=True)
        )
        if not fits:
            raise SchemaError(f"shapes[{self.name!r}]={tuple(shape)} doesn't fit the field's shape {self.shape}")
        return TensorSpec(self.dtype, shape)


def read_common_metadata(content: bytes) -> tuple[PetastormField, ...]:
    """Return the fields that a ``_common_metadata`` file describes.

    Raises
    ------
    DataError
        If it is no Parquet metadata, or holds no schema of petastorm's.
    UnsafeLoadError
        If the schema in it is anything but a schema.
    """
    try:
        metadata = pq.read_metadata(pa.BufferReader(content)).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{COMMON_METADATA} is no Parquet metadata: {error}") from error
    if UNISCHEMA_KEY not in metadata:
        raise DataError(f"{COMMON_METADATA} holds no petastorm schema; write the dataset with materialize_dataset")
    return tuple(PetastormField(*record) for record in load_unischema(metadata[UNISCHEMA_KEY]))


def choose_fields(
    fields: Sequence[PetastormField], columns: Sequence[str] | None, shapes: Mapping[str, Sequence[int]]
) -> tuple[PetastormField, ...]:
    """Return the named fields in the order of the names; all of them where there are none.

    Raises
    ------
    SchemaError
        If a column or a key of the shapes isn't one of the fields.
    """
    known = {field.name: field for field in fields}
    for name in [*(columns or ()), *shapes]:
        if name not in known:
            raise SchemaError(f"there is no column {name!r}; the columns are {', '.join(known)}")
    return tuple(fields) if columns is None else tuple(known[name] for name in columns)
