"""Readers of files by URI: the local disk, HTTP, pyarrow's filesystems, fsspec."""

from __future__ import annotations

import re
import string
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache, partial
from http.client import HTTPException
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote
from urllib.request import urlopen

from sparkwater.conversions.files.filesystems import (
    LOCAL_SCHEMES,
    check_fsspec,
    is_pyarrows,
    local_path,
    pyarrow_filesystem,
    scheme_of,
    split_authority,
)
from sparkwater.conversions.files.s3 import explained
from sparkwater.errors import ConfigurationError, DataError

#: Reads in flight in one task. A remote read waits, some 20-100 ms; a decode takes about one.
READS_IN_FLIGHT = 32

#: Seconds that an HTTP server may stay silent.
HTTP_TIMEOUT = 60

_lock = Lock()
_refused: ContextVar[str] = ContextVar("reason to refuse URIs", default="")


@contextmanager
def no_uris(reason: str) -> Iterator[None]:
    """Refuse columns of URIs while the ``with`` block runs, on the driver: also in threads of cross-fitting.

    A URI names any file and any host, also those that a caller may not read.

    Parameters
    ----------
    reason : str
        The reason, for the message.
    """
    token = _refused.set(reason)
    try:
        yield
    finally:
        _refused.reset(token)


def check_uris(name: str) -> None:
    """Refuse a column of URIs where `no_uris` says so."""
    if reason := _refused.get():
        raise ConfigurationError(f"column {name!r} holds URIs of pictures: {reason}")


def read_uri(uri: str) -> bytes:
    """Return the content of a file.

    Local paths, ``file:`` URIs, ``/Volumes/...`` and ``dbfs:/`` (by its mount ``/dbfs``) are opened
    directly; ``http`` and ``https`` by the standard library; ``hdfs``, ``s3``, ``s3a``, ``gs`` and,
    from pyarrow 16 on, ``abfs`` and ``abfss`` by pyarrow; every other scheme by fsspec. Credentials
    come from where the code runs: the environment, a profile, an instance's role.

    Names are taken as Spark lists them, without escapes; where there is no such file, ``%20`` and
    the like are resolved.

    Raises
    ------
    DataError
        If the file can't be read.
    ConfigurationError
        If nothing here reads the scheme, or its filesystem can't be opened; the message says what
        to install.
    """
    try:
        return reader_of(uri)(uri)
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, (ConfigurationError, DataError)):
            raise
        raise DataError(f"can't be read: {explained(error)}") from error


def read_ahead(uris: Iterable[Any], in_flight: int = READS_IN_FLIGHT) -> Iterator[Callable[[], bytes] | None]:
    """Read remote files in threads, a bounded number ahead of the one that is asked for; local ones when asked.

    Parameters
    ----------
    uris : iterable of str
        The URIs; anything but a string comes out as None, in its place.
    in_flight : int
        Largest number of files being read or waiting to be taken.

    Yields
    ------
    callable
        Waits for the file, and returns its content or raises what `read_uri` raised.
    """
    pending: deque[Callable[[], bytes] | None] = deque()
    with ThreadPoolExecutor(in_flight) as pool:
        for uri in uris:
            if not isinstance(uri, str):
                pending.append(None)
            elif scheme_of(uri) in ("", "file"):  # a local disk doesn't make up for a change of threads
                pending.append(partial(read_uri, uri))
            else:
                pending.append(pool.submit(read_uri, uri).result)
            if len(pending) == in_flight:
                yield pending.popleft()
        yield from pending


def reader_of(uri: str) -> Callable[[str], bytes]:
    """Return the function that reads URIs with this one's scheme. Nothing is opened.

    Raises
    ------
    ConfigurationError
        If there is none; the message says what to install.
    """
    scheme = scheme_of(uri)
    if scheme in LOCAL_SCHEMES:
        return _read_local
    if scheme in ("http", "https"):
        return _read_http
    if is_pyarrows(scheme):
        return _read_with_pyarrow
    check_fsspec(scheme)
    return _read_with_fsspec


def _read_local(uri: str) -> bytes:
    return local_path(uri).read_bytes()


def _read_http(uri: str) -> bytes:
    # Everything that has a meaning in a URI stays, escapes included.
    with urlopen(quote(uri, safe=string.punctuation), timeout=HTTP_TIMEOUT) as response:  # noqa: S310 - http(s) only
        return bytes(response.read())


def _read_with_pyarrow(uri: str) -> bytes:
    # A question mark may be part of a name; what pyarrow takes after one are settings.
    plain, _, settings = uri.partition("?") if re.search(r"\?\w+=[^/]*$", uri) else (uri, "", "")
    authority, name = split_authority(plain)
    with _lock:
        filesystem, root = pyarrow_filesystem(scheme_of(uri), authority, settings)
    path = f"{root.rstrip('/')}/{name}"
    try:
        stream = filesystem.open_input_stream(path)
    except FileNotFoundError:
        if "%" not in name:
            raise
        stream = filesystem.open_input_stream(unquote(path))
    with stream:
        return bytes(stream.read())


def _read_with_fsspec(uri: str) -> bytes:
    with _lock:
        filesystem, turn = _fsspec_filesystem(scheme_of(uri), split_authority(uri)[0])
    with turn:
        try:
            return bytes(filesystem.cat_file(uri))
        except Exception as error:
            # Each package has exceptions of its own for a file that isn't there or can't be had.
            raise DataError(f"can't be read: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=64)
def _fsspec_filesystem(scheme: str, authority: str) -> tuple[Any, AbstractContextManager[Any]]:
    """Return a filesystem and the lock for its reads: only the asynchronous ones serve many threads."""
    from fsspec.core import url_to_fs

    filesystem, _ = url_to_fs(f"{scheme}://{authority}/")
    return filesystem, nullcontext() if filesystem.async_impl else Lock()
