"""Petastorm datasets made by hand: the pickled schema opcode by opcode, the Parquet files by pyarrow."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

try:
    import petastorm
except (ImportError, AttributeError):
    petastorm = None

#: Numbers of a field: (name, NumPy type's name, shape, codec's class name or None, nullable).
Field = tuple[str, str, tuple[int | None, ...], str | None, bool]

EMPTY, NEW, BUILD, REDUCE, STOP = b")", b"\x81", b"b", b"R", b"."
PROTOCOL = b"\x80\x02"


def name(module: str, qualified: str) -> bytes:
    return f"c{module}\n{qualified}\n".encode()


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def value(given: Any) -> bytes:
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return text(given)
    if isinstance(given, tuple):
        return b"(" + b"".join(value(part) for part in given) + b"t"
    return (
        {None: b"N", True: b"\x88", False: b"\x89"}[given]
        if type(given) is not int
        else b"J" + struct.pack("<i", given)
    )


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b"(" + b"".join(text(key) + item for key, item in items.items()) + b"u"


def field_pickle(field: Sequence[Any]) -> bytes:
    own, dtype, shape, codec, nullable = field
    made = name("petastorm.codecs", codec) + EMPTY + NEW if isinstance(codec, str) else value(codec)
    numpy_type = name("numpy", dtype) if isinstance(dtype, str) else dtype
    return name("petastorm.unischema", "UnischemaField") + value((own, numpy_type, shape, made, nullable)) + NEW


def schema_pickle(fields: Iterable[Sequence[Any]]) -> bytes:
    """Return a pickled Unischema as petastorm writes it in protocol 2."""
    ordered = name("collections", "OrderedDict") + EMPTY + REDUCE + mapping({f[0]: field_pickle(f) for f in fields})
    state = b"}" + mapping({"_name": text("Hand"), "_fields": ordered})
    return PROTOCOL + name("petastorm.unischema", "Unischema") + EMPTY + NEW + state + BUILD + STOP


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, arr=array)
    return stream.getvalue()


def picture(array: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def write_dataset(
    folder: Path,
    fields: Sequence[Field],
    files: Mapping[str, pa.Table],
    rows_a_group: int,
    pickled: bytes | None = None,
) -> str:
    """Write Parquet files and ``_common_metadata`` as petastorm does; return the folder's URL."""
    folder.mkdir(parents=True)
    for file, table in files.items():
        pq.write_table(table, folder / file, row_group_size=rows_a_group)
    groups = {file: pq.read_metadata(folder / file).num_row_groups for file in files}
    metadata = {
        "dataset-toolkit.unischema.v1": pickled or schema_pickle(fields),
        "dataset-toolkit.num_row_groups_per_file.v1": json.dumps(groups),
    }
    schema = next(iter(files.values())).schema.with_metadata(metadata)
    pq.write_metadata(schema, folder / "_common_metadata")
    return folder.as_uri()
