"""MNIST's idx file format, and PNG trees made of such files."""

from __future__ import annotations

import gzip
import math
import shutil
import uuid
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sparkwater.errors import ConfigurationError, DataError

#: For each folder of a tree the beginning of the names of its idx files, as MNIST's are called.
PARTS = {"training": "train", "testing": "t10k"}


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Return the array in an idx file of unsigned bytes, plain or gzipped.

    Raises
    ------
    ConfigurationError
        If there is no such file.
    DataError
        If it isn't one, or is cut short.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except FileNotFoundError:
        raise ConfigurationError(f"there is no file {str(path)!r}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{str(path)!r} can't be read: {error}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{str(path)!r} is no idx file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4)]
    if len(content) - start != math.prod(shape):
        raise DataError(f"{str(path)!r} has {len(content) - start} values where its header says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_idx_pair(folder: Path, prefix: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return pictures, ``(rows, height, width)``, and labels, ``(rows,)``, of ``<prefix>-images-idx3-ubyte[.gz]``."""
    images, labels = (_find(folder, f"{prefix}-{name}") for name in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    pictures, classes = read_idx(images), read_idx(labels)
    if pictures.ndim != 3 or classes.ndim != 1 or len(pictures) != len(classes):
        raise DataError(f"{prefix}: pictures of shape {pictures.shape} and labels of shape {classes.shape} don't pair")
    return pictures, classes


def write_png_tree(source: Path, target: Path) -> int:
    """Write ``target/{training,testing}/<label>/<number>.png`` from MNIST's four idx files.

    The tree appears complete or not at all.

    Returns
    -------
    int
        The number of pictures written.

    Raises
    ------
    ConfigurationError
        If the target is there already, or a file is missing.
    """
    if target.exists():
        raise ConfigurationError(f"{str(target)!r} exists already; remove it or leave the idx files out")
    pairs = {part: read_idx_pair(source, prefix) for part, prefix in PARTS.items()}
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        for part, (pictures, labels) in pairs.items():
            write_pngs(beside / part, pictures, labels, np.arange(len(labels)))
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return sum(len(labels) for _, labels in pairs.values())


def write_pngs(
    folder: Path, pictures: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]
) -> None:
    """Write some of the pictures as ``folder/<label>/<row>.png``."""
    for label in np.unique(labels[rows]):
        (folder / str(label)).mkdir(parents=True)
    for row in rows:
        Image.fromarray(pictures[row]).save(folder / str(labels[row]) / f"{row:05d}.png", optimize=True)


def _find(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.exists() else folder / f"{name}.gz"
