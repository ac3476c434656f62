"""Petastorm datasets as batches for training ranks: from storage, in bounded memory, without pyspark.

A dataset's rows are numbered by file name, row group and place in it. Each rank has a contiguous
range of those numbers, so any number of ranks shares the rows out to one more or less, however few
row groups there are. An epoch visits the pieces of row groups in the range in a seeded order and
shuffles the rows within windows of several pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sparkwater.conversions.files.filesystems import open_filesystem
from sparkwater.conversions.petastorm.codecs import decode_tensors
from sparkwater.conversions.petastorm.rows import PetastormColumn, PetastormRows, RowGroup
from sparkwater.conversions.tensors.arrow import finite_rows
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, DataError

Batch = dict[str, npt.NDArray[np.generic]]

#: Decoded bytes of the rows that are shuffled together.
WINDOW_BYTES = 128 * 1024 * 1024

#: What is decoded at a time, and read from a file at a time.
_READ_BYTES = 8 * 1024 * 1024


def rank_rows(total: int, rank: int, size: int) -> range:
    """Return the numbers of the rows that a rank has: contiguous, as many as any other rank's or one less or more."""
    return range(total * rank // size, total * (rank + 1) // size)


def stream(
    dataset: PetastormRows,
    rank: int,
    size: int,
    epoch: int,
    seed: int,
    sizes: Sequence[int],
    *,
    window_bytes: int = WINDOW_BYTES,
) -> Iterator[Batch]:
    """Return a rank's batches of one epoch: each of its rows once.

    Two windows are in memory at most: the one that batches are taken from, and the next one, which
    a thread reads ahead. Closing the iterator ends the thread.

    Parameters
    ----------
    dataset : PetastormRows
        From `describe_petastorm`.
    rank, size : int
        The rank, and the number of ranks; `rank_rows` are its rows.
    epoch, seed : int
        Seeds of the order. The same dataset, rank, size, epoch, seed and window give the
        same batches, bit for bit.
    sizes : sequence of int
        The rows of each step, zeros included; together the rank's rows.
    window_bytes : int
        About the decoded bytes of a window, at least one row. Row groups that are larger are cut.

    Returns
    -------
    iterator of dict of str to numpy.ndarray
        For each step the columns, ``(rows, *shape)``; writable, no view of anything.

    Raises
    ------
    ConfigurationError
        At once, if the sizes don't add up.
    DataError
        From the iterator: for a null, a NaN or an infinity, and cells that can't be decoded, with
        file and row group.
    """
    rows = rank_rows(dataset.rows, rank, size)
    if sum(sizes) != len(rows) or min(sizes, default=0) < 0:
        raise ConfigurationError(f"sizes add up to {sum(sizes)}; rank {rank} of {size} has {len(rows)} rows")
    generator = _generator(seed, epoch, rank, size)
    window_rows = max(1, window_bytes // dataset.row_bytes)
    pieces = _cut(_clip(dataset.row_groups, rows), window_rows)
    windows = _windows([pieces[place] for place in generator.permutation(len(pieces))], window_rows)
    orders = [generator.permutation(sum(piece.rows for piece in window)) for window in windows]
    return _batches(dataset, windows, orders, sizes)


def _generator(seed: int, *purpose: int) -> np.random.Generator:
    """Return a generator that is as good as independent of those for other epochs and ranks."""
    text = "/".join(str(part) for part in (seed, "stream", *purpose))
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")))


def _clip(groups: Sequence[RowGroup], rows: range) -> list[RowGroup]:
    """Return the parts of row groups that lie in a range of row numbers."""
    clipped, first = [], 0
    for group in groups:
        start, stop = max(rows.start - first, 0), min(rows.stop - first, group.rows)
        if start < stop:
            clipped.append(RowGroup(group.path, group.index, group.start + start, group.start + stop))
        first += group.rows
    return clipped


def _cut(pieces: Sequence[RowGroup], most: int) -> list[RowGroup]:
    """Return the pieces in parts of so many rows at most."""
    return [
        RowGroup(piece.path, piece.index, start, min(start + most, piece.stop))
        for piece in pieces
        for start in range(piece.start, piece.stop, most)
    ]


def _windows(pieces: Sequence[RowGroup], most: int) -> list[list[RowGroup]]:
    """Return the pieces, in their order, in windows of so many rows at most."""
    windows: list[list[RowGroup]] = []
    rows = most
    for piece in pieces:
        if rows + piece.rows > most:
            windows.append([])
            rows = 0
        windows[-1].append(piece)
        rows += piece.rows
    return windows


def _batches(
    dataset: PetastormRows,
    windows: Sequence[Sequence[RowGroup]],
    orders: Sequence[npt.NDArray[np.int64]],
    sizes: Sequence[int],
) -> Iterator[Batch]:
    with closing(_read_ahead(dataset, windows)) as loaded:
        waiting = iter(orders)
        held: Batch = {}
        order = np.empty(0, np.int64)
        for size in sizes:
            batch = {column.name: column.empty(size) for column in dataset.columns}
            filled = 0
            while filled < size:
                if not len(order):
                    held = {}  # before the next window comes, so that there are never three
                    held, order = next(loaded), next(waiting)
                taken, order = order[: size - filled], order[size - filled :]
                for name, values in held.items():
                    batch[name][filled : filled + len(taken)] = values[taken]
                filled += len(taken)
            yield batch


def _read_ahead(dataset: PetastormRows, windows: Sequence[Sequence[RowGroup]]) -> Generator[Batch, None, None]:
    if not windows:
        return
    filesystem, root = open_filesystem(dataset.url)
    with ThreadPoolExecutor(1, "petastorm") as pool:
        coming = pool.submit(_read_window, filesystem, root, dataset, windows[0])
        for window in windows[1:]:
            loaded = coming.result()
            coming = pool.submit(_read_window, filesystem, root, dataset, window)
            yield loaded
            del loaded
        yield coming.result()


def _read_window(filesystem: fs.FileSystem, root: str, dataset: PetastormRows, window: Sequence[RowGroup]) -> Batch:
    rows = {column.name: column.empty(sum(piece.rows for piece in window)) for column in dataset.columns}
    filled = 0
    for piece in window:
        _read_piece(filesystem, root, dataset, piece, {name: values[filled:] for name, values in rows.items()})
        filled += piece.rows
    return rows


def _read_piece(
    filesystem: fs.FileSystem,
    root: str,
    dataset: PetastormRows,
    piece: RowGroup,
    into: Mapping[str, npt.NDArray[np.generic]],
) -> None:
    """Decode a piece into the first rows of the arrays, a few megabytes at a time."""
    names = [column.name for column in dataset.columns]
    batch_rows = max(1, _READ_BYTES // dataset.row_bytes)
    try:
        with filesystem.open_input_file(f"{root}/{piece.path}") as opened:
            file = pq.ParquetFile(opened, buffer_size=_READ_BYTES, pre_buffer=False)
            first = 0
            for batch in file.iter_batches(batch_rows, row_groups=[piece.index], columns=names, use_threads=False):
                start, stop = max(piece.start - first, 0), min(piece.stop - first, len(batch))
                if start < stop:
                    place = first + start - piece.start
                    _decode_batch(dataset.columns, batch.slice(start, stop - start), place, into)
                first += len(batch)
                if first >= piece.stop:
                    break
    except (DataError, OSError, pa.ArrowException) as error:
        raise DataError(f"{dataset.url}/{piece.path}, row group {piece.index}: {error}") from error
    if first < piece.stop:
        raise DataError(f"{dataset.url}/{piece.path}, row group {piece.index}: {first} rows where there were more")


def _decode_batch(
    columns: Sequence[PetastormColumn], batch: pa.RecordBatch, place: int, into: Mapping[str, npt.NDArray[np.generic]]
) -> None:
    for column in columns:
        array = batch.column(column.name)
        try:
            values = _values(column, array)
        except DataError as error:
            raise DataError(f"column {column.name!r} from row {place} on: {error}") from error
        into[column.name][place : place + len(array)] = values


def _values(column: PetastormColumn, array: pa.Array) -> npt.NDArray[np.generic]:
    if array.null_count:
        raise DataError(f"row {array.is_null().to_pylist().index(True)}: the value is null; write the dataset without")
    if column.codec is None:
        values = np.asarray(array.to_numpy(zero_copy_only=False))
    else:
        values = decode_tensors(column.codec, array, TensorSpec(column.dtype, column.shape))
    finite = finite_rows(values)
    if not finite.all():
        raise DataError(f"row {np.flatnonzero(~finite)[0]}: the value holds a NaN or an infinity")
    return values
