"""Filesystems by URL, without Spark: local paths, pyarrow's filesystems, fsspec's.

Credentials come from where the code runs: the environment, a profile, an instance's role.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sparkwater.conversions.files.s3 import environment_settings, open_bucket
from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyarrow import fs

#: Schemes of paths that the operating system opens.
LOCAL_SCHEMES = ("", "file", "dbfs")

#: URL schemes that pyarrow reads where it was built for them: what it calls them, and its class.
_PYARROW_SCHEMES = {
    "hdfs": ("hdfs", "HadoopFileSystem"),
    "s3": ("s3", "S3FileSystem"),
    "s3a": ("s3", "S3FileSystem"),
    "gs": ("gs", "GcsFileSystem"),
    "gcs": ("gs", "GcsFileSystem"),
    "abfs": ("abfs", "AzureFileSystem"),
    "abfss": ("abfss", "AzureFileSystem"),
}

#: URL schemes of stores of objects: to rename a folder there is to copy and delete it, file by file. Azure's renames
#: are whole in some accounts only.
_STORE_SCHEMES = frozenset(
    ("s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "wasb", "wasbs", "oss", "cosn", "obs", "swift", "oci")
)

#: What fsspec calls a scheme that it doesn't know without the package that reads it.
_FSSPEC_NAMES = {"abfss": "abfs"}


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in small letters; an empty string for a path."""
    return url.partition(":")[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:/", url) else ""


def local_path(url: str) -> Path:
    """Return the path of a local file: of a path, a ``file:`` URL, or ``dbfs:/`` by its mount ``/dbfs``.

    Names in URLs are taken as Spark lists them, without escapes; where there is no such file, ``%20`` and
    the like are resolved.
    """
    scheme = scheme_of(url)
    if not scheme:
        return Path(url)
    path = "/" + url.partition(":")[2].lstrip("/")
    if scheme == "dbfs" and not path.startswith("/Volumes/"):
        path = f"/dbfs{path}"
    return Path(path) if Path(path).exists() else Path(unquote(path))


def is_local(filesystem: fs.FileSystem) -> bool:
    """Return whether a filesystem is the operating system's."""
    from pyarrow import fs

    return isinstance(filesystem, fs.LocalFileSystem)


def create_private(filesystem: fs.FileSystem, folder: str) -> None:
    """Create a folder and those it is in, unless they are there; on a local disk only their owner can read new ones."""
    if not is_local(filesystem):
        filesystem.create_dir(folder, recursive=True)
        return
    for path in (*reversed(Path(folder).parents), Path(folder)):  # with parents=True those would be open to all
        path.mkdir(0o700, exist_ok=True)


def is_store(url: str) -> bool:
    """Return whether a URL is of a store of objects, where one file appears as a whole but no folder does."""
    return scheme_of(url) in _STORE_SCHEMES


def is_pyarrows(scheme: str) -> bool:
    """Return whether this pyarrow reads a scheme."""
    from pyarrow import fs

    return scheme in _PYARROW_SCHEMES and _PYARROW_SCHEMES[scheme][1] in dir(fs)


def split_authority(url: str) -> tuple[str, str]:
    """Return the host (or bucket) of a URL, and the name of the file there."""
    rest = url.partition(":")[2]
    authority, _, name = rest.removeprefix("//").partition("/")
    return authority, name


def pyarrow_filesystem(scheme: str, authority: str, settings: str = "") -> tuple[fs.FileSystem, str]:
    """Return a filesystem, and how paths on it begin; opened once a process.

    To open one may take requests: S3 looks for the bucket, and for its region where nothing says it.

    Parameters
    ----------
    scheme, authority : str
        Beginning of a URL.
    settings : str
        Settings of pyarrow's filesystem, as the query of a URL; those of the environment where it is empty.

    Raises
    ------
    ConfigurationError
        If it can't be opened.
    """
    own = _PYARROW_SCHEMES[scheme][0]
    return opened(own, authority, settings or (environment_settings() if own == "s3" else ""))


@lru_cache(maxsize=64)
def opened(scheme: str, authority: str, settings: str) -> tuple[fs.FileSystem, str]:
    """Return a filesystem with these settings and no others; see `pyarrow_filesystem`."""
    from pyarrow import fs

    if scheme == "s3":
        return open_bucket(authority, settings)
    try:
        given: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(
            f"{scheme}://{authority}/{'?' if settings else ''}{settings}"
        )
    except OSError as error:
        hint = "; install Hadoop's native libhdfs and set CLASSPATH to `hadoop classpath --glob`"
        raise ConfigurationError(
            f"{scheme}://{authority} can't be opened: {error}{hint if scheme == 'hdfs' else ''}"
        ) from error
    return given


def check_fsspec(scheme: str) -> None:
    """Refuse a scheme that fsspec doesn't read.

    Raises
    ------
    ConfigurationError
        With the package to install.
    """
    import fsspec
    from fsspec.registry import known_implementations

    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        known = known_implementations.get(_FSSPEC_NAMES.get(scheme, scheme), {})
        hint = known.get("err") or f"{error}; install the fsspec package that reads it"
        raise ConfigurationError(f"nothing here reads {scheme}:// URIs: {hint}") from error


def open_filesystem(url: str) -> tuple[fs.FileSystem, str]:
    """Return the filesystem of a folder, as pyarrow's, and the folder's path on it.

    Raises
    ------
    ConfigurationError
        If nothing here reads the scheme, with the package to install; or the filesystem can't be opened.
    """
    from pyarrow import fs

    scheme = scheme_of(url)
    if scheme in LOCAL_SCHEMES:
        return fs.LocalFileSystem(), str(local_path(url))
    if is_pyarrows(scheme):
        plain, _, settings = url.partition("?")
        authority, name = split_authority(plain)
        filesystem, root = pyarrow_filesystem(scheme, authority, settings)
        return filesystem, f"{root.rstrip('/')}/{name.rstrip('/')}"
    check_fsspec(scheme)
    from fsspec.core import url_to_fs

    own: Any
    own, path = url_to_fs(url.rstrip("/"))
    return fs.PyFileSystem(fs.FSSpecHandler(own)), path
