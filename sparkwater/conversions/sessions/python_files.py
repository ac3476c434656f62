"""Files without a JVM: by pyarrow's and fsspec's filesystems, in this process."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sparkwater.conversions.files.filesystems import is_local, is_store, open_filesystem
from sparkwater.conversions.files.s3 import explained
from sparkwater.conversions.sessions.shipping import Inline, Shipped
from sparkwater.errors import CheckpointError, SparkwaterError

#: Far below what gRPC takes in a message, 128 MiB.
_PIECE_BYTES = 16 * 1024 * 1024


class PythonFiles:
    """Files by Python's filesystems; each method is one piece of work on a URL, which may run elsewhere."""

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder."""
        return self._run(path, _exists) == [b"1"]

    def is_store(self, path: str) -> bool:
        """Return whether a path is on a store of objects, which has no renames."""
        return is_store(self._url(path))

    def read(self, path: str, failure: type[SparkwaterError]) -> bytes:
        """Return a file's content; ``failure`` is raised where it can't be read."""
        said, *pieces = self._run(path, _read)
        if said:
            raise failure(f"{path!r} can't be read: {said.decode()}")
        return b"".join(pieces)

    def write(self, path: str, content: bytes) -> None:
        """Write a file, and the folders above it; on a store it takes the place of one that is there, as a whole.

        Raises
        ------
        CheckpointError
            If it can't be written.
        """
        sent = self._sent(path, content)
        said = self._run(path, lambda url: _write(url, sent.get()))
        if said:
            raise CheckpointError(f"{path!r} can't be written: {said[0].decode()}")

    def make_private_folder(self, path: str) -> None:
        """Make a folder that its owner alone may enter, where the filesystem knows permissions."""
        self._run(path, _make_private_folder)

    def delete(self, path: str) -> None:
        """Delete a file or a whole folder, where it is there."""
        self._run(path, _delete)

    def move(self, source: str, target: str) -> bool:
        """Rename a file or folder, and make the folders above the target; return whether it was done.

        A filesystem without renames, as object stores are, copies a folder file by file: where that fails, both are
        there in part.
        """
        new = self._url(target)
        return self._run(source, lambda url: _move(url, new)) == [b"1"]

    def list_files(self, path: str) -> dict[str, str]:
        """Return the full paths of all files in a folder and in those within, by their names relative to it."""
        said, *names = self._run(path, _list)
        if said:
            raise CheckpointError(f"{path!r} can't be listed: {said.decode()}")
        return {name.decode(): f"{path.rstrip('/')}/{name.decode()}" for name in names}

    def count_row_groups(self, path: str) -> dict[str, int]:
        """Return the row groups of each Parquet file in a folder, by its name."""
        counts: dict[str, int] = {}
        for line in self._run(path, _count_row_groups):
            count, _, name = line.decode().partition(" ")
            counts[name] = int(count)
        return counts

    @contextmanager
    def temporary_folder(self) -> Iterator[str]:
        """Give the path of a folder that is not there yet, in a private one; it is deleted at the end."""
        with tempfile.TemporaryDirectory(prefix="sparkwater-") as local:
            yield f"file:{local}/model"

    def _url(self, path: str) -> str:
        return path

    def _sent(self, path: str, content: bytes) -> Inline | Shipped:  # noqa: ARG002 - what is sent elsewhere differs
        return Inline(content)

    def _run(self, path: str, work: Callable[[str], list[bytes]]) -> list[bytes]:
        return done(work, path, path)


def done(work: Callable[[str], list[bytes]], path: str, url: str) -> list[bytes]:
    """Return what a piece of work on a URL gives.

    Raises
    ------
    CheckpointError
        If the filesystem refuses, with the path and what to do.
    """
    try:
        return work(url)
    except OSError as error:
        raise CheckpointError(f"{path!r}: {explained(error)}") from error


def _exists(url: str) -> list[bytes]:
    from pyarrow.fs import FileType

    filesystem, path = open_filesystem(url)
    return [b"0" if filesystem.get_file_info(path).type == FileType.NotFound else b"1"]


def _read(url: str) -> list[bytes]:
    """Return what went wrong, or nothing, and the content."""
    try:
        filesystem, path = open_filesystem(url)
        with filesystem.open_input_stream(path) as stream:
            return [b"", *iter(lambda: stream.read(_PIECE_BYTES), b"")]
    except OSError as error:
        return [explained(error).encode() or b"error"]


def _write(url: str, content: bytes) -> list[bytes]:
    """Return what went wrong, or nothing."""
    try:
        filesystem, path = open_filesystem(url)
        if is_store(url):
            # An object appears as a whole, once all of it has arrived.
            with filesystem.open_output_stream(path) as stream:
                stream.write(content)
            return []
        filesystem.create_dir(_above(path), recursive=True)
        # Another attempt of the same task may be at it, and be killed.
        part = f"{path}.{uuid.uuid4().hex}"
        with filesystem.open_output_stream(part) as stream:
            stream.write(content)
        filesystem.move(part, path)
    except OSError as error:
        return [explained(error).encode() or b"error"]
    return []


def _make_private_folder(url: str) -> list[bytes]:
    filesystem, path = open_filesystem(url)
    filesystem.create_dir(path, recursive=True)
    if is_local(filesystem):
        Path(path).chmod(0o700)
    return []


def _delete(url: str) -> list[bytes]:
    from pyarrow.fs import FileType

    filesystem, path = open_filesystem(url)
    kind = filesystem.get_file_info(path).type
    with suppress(FileNotFoundError):
        if kind == FileType.Directory:
            filesystem.delete_dir(path)
        elif kind != FileType.NotFound:
            filesystem.delete_file(path)
    return []


def _move(url: str, target: str) -> list[bytes]:
    from pyarrow.fs import FileType, copy_files

    filesystem, old = open_filesystem(url)
    _, new = open_filesystem(target)
    filesystem.create_dir(_above(new), recursive=True)
    if filesystem.get_file_info(new).type != FileType.NotFound:
        # An earlier attempt of the same task may have done it.
        return [b"1" if filesystem.get_file_info(old).type == FileType.NotFound else b"0"]
    try:
        filesystem.move(old, new)
    except (NotImplementedError, OSError):
        if filesystem.get_file_info(old).type != FileType.Directory or is_local(filesystem):
            return [b"0"]
        copy_files(old, new, source_filesystem=filesystem, destination_filesystem=filesystem)
        filesystem.delete_dir(old)
    return [b"1"]


def _list(url: str) -> list[bytes]:
    """Return what went wrong, or nothing, and the names."""
    from pyarrow.fs import FileSelector, FileType

    try:
        filesystem, path = open_filesystem(url)
        found = filesystem.get_file_info(FileSelector(path, recursive=True))
    except OSError as error:
        return [explained(error).encode() or b"error"]
    start = len(path.rstrip("/")) + 1
    return [b"", *(one.path[start:].encode() for one in found if one.type == FileType.File)]


def _count_row_groups(url: str) -> list[bytes]:
    import pyarrow.parquet as pq

    filesystem, path = open_filesystem(url)
    names = [name.decode() for name in _list(url)[1:] if name.endswith(b".parquet")]
    counts = [pq.ParquetFile(f"{path}/{name}", filesystem=filesystem).metadata.num_row_groups for name in names]
    return [f"{count} {name}".encode() for count, name in zip(counts, names, strict=True)]


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"
