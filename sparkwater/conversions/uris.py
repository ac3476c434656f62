"""Read files by URI, wherever they are: the local disk, pyarrow's filesystems, fsspec."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from sparkwater.errors import ConfigurationError, DataError

#: URI schemes that pyarrow reads, and what it calls them.
_PYARROW_SCHEMES = {"hdfs": "hdfs", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}


def read_uri(uri: str) -> bytes:
    """Return the content of a file.

    Local paths, ``file:`` URIs and ``dbfs:/`` (by its mount ``/dbfs``) are opened directly;
    ``hdfs``, ``s3``, ``s3a`` and ``gs`` by pyarrow; every other scheme by fsspec.

    Raises
    ------
    DataError
        If the file can't be read.
    ConfigurationError
        If nothing here reads the scheme; the message names the package to install.
    """
    parts = urlsplit(uri)
    try:
        if parts.scheme in ("", "file"):
            return Path(uri if not parts.scheme else unquote(parts.path)).read_bytes()
        if parts.scheme == "dbfs":
            return Path("/dbfs", unquote(parts.path).lstrip("/")).read_bytes()
        if parts.scheme in _PYARROW_SCHEMES:
            return _read_with_pyarrow(_PYARROW_SCHEMES[parts.scheme] + uri[len(parts.scheme) :])
        return _read_with_fsspec(uri)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise DataError(f"can't be read: {error}") from error


def _read_with_pyarrow(uri: str) -> bytes:
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(uri)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read())


def _read_with_fsspec(uri: str) -> bytes:
    import fsspec

    try:
        opened = fsspec.open(uri, "rb")
    except (ImportError, ValueError) as error:  # fsspec's own words name the package, or the scheme
        raise ConfigurationError(f"no reader for {uri!r}: {error}") from error
    with opened as stream:
        return bytes(stream.read())
