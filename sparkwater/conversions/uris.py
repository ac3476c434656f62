"""Read files by URI, wherever they are: the local disk, pyarrow's filesystems, fsspec."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

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
    scheme = uri.partition(":")[0] if re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:/", uri) else ""
    try:
        if scheme in ("", "file"):
            return _local_path(uri.removeprefix("file:")).read_bytes()
        if scheme == "dbfs":
            return _local_path("/dbfs/" + uri.removeprefix("dbfs:").lstrip("/")).read_bytes()
        if scheme in _PYARROW_SCHEMES:
            return _read_with_pyarrow(_PYARROW_SCHEMES[scheme] + uri[len(scheme) :])
        return _read_with_fsspec(uri)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise DataError(f"can't be read: {error}") from error


def _local_path(path: str) -> Path:
    """Return the path as it is where it exists (Spark lists names without escapes), else with its escapes resolved."""
    literal = Path(re.sub("^/+", "/", path))
    return literal if literal.exists() else Path(unquote(str(literal)))


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
