"""A key-value store, through which ranks exchange addresses before they connect.

Horovod's C++ side and `RendezvousStore` speak its protocol: ``PUT`` and ``GET`` of
``/<scope>/<key>``, 404 for a key that isn't there yet. It listens on one interface, for as long as
the ranks connect, and admits only their addresses.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Collection
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import torch.distributed

from sparkwater.gpu.collective.servers import BoundedServer

#: A rank's connection data is some hundred bytes.
MAX_VALUE_BYTES = 64 * 1024
MAX_ENTRIES = 100_000
REQUEST_TIMEOUT_SECONDS = 5.0

_PATH = re.compile(r"/[\w.:\-]{1,256}/[\w.:\-/%]{1,256}", re.ASCII)


class RendezvousServer(BoundedServer):
    """Serve the store while the ``with`` block runs.

    Parameters
    ----------
    address : str
        The IPv4 address to listen on; the port is chosen by the system.
    admitted : collection of str
        The addresses of the ranks; every other connection is closed unread.
    """

    def __init__(self, address: str, admitted: Collection[str] = ()) -> None:
        self.values: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.admit(admitted)
        super().__init__("rendezvous", address, _StoreHandler)

    @property
    def endpoint(self) -> str:
        """``address:port``."""
        address, port = self.server_address[:2]
        return f"{address!s}:{port}"

    def admit(self, addresses: Collection[str]) -> None:
        """Admit these addresses, and no others; before the ``with`` block."""
        self._admitted = frozenset(addresses)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether the client is a rank and a slot is free."""
        return client_address[0] in self._admitted and super().verify_request(request, client_address)


class _StoreHandler(BaseHTTPRequestHandler):
    server: RendezvousServer
    timeout = REQUEST_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        with self.server.lock:
            value = self.server.values.get(self.path)
        if value is None:
            self._answer(404)
        else:
            self._answer(200, value)

    def do_PUT(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not _PATH.fullmatch(self.path) or not re.fullmatch(r"[0-9]{1,9}", length):
            self._answer(400)
        elif int(length) > MAX_VALUE_BYTES:
            self._answer(413)
        else:
            value = self.rfile.read(int(length))
            self._answer(200 if len(value) == int(length) and self._put(value) else 409)

    def do_DELETE(self) -> None:
        # Horovod says goodbye this way; the whole store goes when all ranks are connected.
        self._answer(200)

    def _put(self, value: bytes) -> bool:
        """Store a value under a new key; a rank may repeat itself but nobody can replace its word."""
        with self.server.lock:
            if len(self.server.values) >= MAX_ENTRIES:
                return False
            return self.server.values.setdefault(self.path, value) == value

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep standard error clean."""


class RendezvousStore(torch.distributed.Store):  # type: ignore[name-defined]
    """torch.distributed's store over the same server, so that both collectives start alike.

    Parameters
    ----------
    endpoint : str
        ``address:port`` of the server.
    timeout : datetime.timedelta
        Longest wait for a key.
    """

    def __init__(self, endpoint: str, timeout: timedelta) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._timeout = timeout

    def set(self, key: str, value: str | bytes) -> None:
        """Store a value; done once for each key."""
        body = value.encode() if isinstance(value, str) else bytes(value)
        status, _ = self._request("PUT", key, body)
        if status != 200:
            raise RuntimeError(f"the rendezvous refused {key!r}: HTTP {status}")

    def get(self, key: str) -> bytes:
        """Return a value, waiting for it."""
        deadline = time.monotonic() + self._timeout.total_seconds()
        while True:
            status, value = self._request("GET", key)
            if status == 200:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"the rendezvous has no {key!r} after {self._timeout}")
            time.sleep(0.01)

    def wait(self, keys: list[str], timeout: timedelta | None = None) -> None:  # noqa: ARG002 (torch's signature)
        """Wait until all keys are there."""
        for key in keys:
            self.get(key)

    def _request(self, method: str, key: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._endpoint, timeout=REQUEST_TIMEOUT_SECONDS)
        try:
            connection.request(method, f"/torch/{key}", body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
