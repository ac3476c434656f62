"""A signed channel from the ranks to the driver: short JSON messages over a socket.

Both sides sign what they say with a key that only this training's tasks have. The key itself travels in
Spark's own channel, never over this one. A message counts once: one that is sent again as it was is ignored.
Where the driver can't listen, or a rank can't reach it, a training goes on without.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sparkwater.errors import UnreachableError
from sparkwater.gpu.collective.servers import BoundedServer

logger = logging.getLogger(__name__)

#: Called in a thread of its own with a message's content; what it returns is the answer, None for no answer.
Handler = Callable[[Any], Any]

MAX_MESSAGE_BYTES = 64 * 1024
#: The messages of a thousand ranks.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_TIMEOUT_SECONDS = 2.0
#: An answer may be long, and the asking rank needs it.
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class DriverChannel:
    """The driver's address, and the key of signatures."""

    host: str
    port: int
    key: bytes

    def __repr__(self) -> str:
        return f"DriverChannel({self.host}:{self.port})"

    def tell(self, kind: str, content: Any) -> None:
        """Send a message without an answer.

        Raises
        ------
        UnreachableError
            If the driver can't be reached within two seconds.
        OSError
            If the connection breaks.
        """
        with self._connected() as connection:
            connection.sendall(self._request(kind, content))

    def ask(self, kind: str, content: Any) -> Any:
        """Send a message, and return the answer.

        Raises
        ------
        UnreachableError
            If the driver can't be reached within two seconds.
        OSError
            If there is silence for a minute, the connection breaks, or what arrives isn't the driver's answer; it
            may have received the message.
        """
        request = self._request(kind, content)
        with self._connected() as connection:
            connection.sendall(request)
            connection.settimeout(_ANSWER_SECONDS)
            with connection.makefile("rb") as answers:
                line = answers.readline(MAX_ANSWER_BYTES)
        try:
            return _opened(line, self.key, about=request)
        except ValueError as error:
            raise ConnectionError(f"the driver gave no answer: {error}") from error

    def answers(self) -> bool:
        """Return whether the driver takes a connection; nothing is said."""
        try:
            self._connected().close()
        except OSError:
            return False
        return True

    def _connected(self) -> socket.socket:
        try:
            return socket.create_connection((self.host, self.port), timeout=_TIMEOUT_SECONDS)
        except OSError as error:
            raise UnreachableError(f"{self.host}:{self.port}: {error}") from error

    def _request(self, kind: str, content: Any) -> bytes:
        return _signed({"kind": kind, "content": content, "once": secrets.token_hex(8)}, self.key)


@contextmanager
def listen(host: str, handlers: Mapping[str, Handler]) -> Iterator[DriverChannel | None]:
    """Receive messages while the ``with`` block runs; gives None where the driver can't listen.

    Parameters
    ----------
    host : str
        The driver's own address, as executors know it.
    handlers : mapping of str to callable
        Handlers by kind of message, called with its content.
    """
    key = secrets.token_bytes(32)
    try:
        server = _Server(host, key, handlers)
    except OSError as error:
        logger.warning("the ranks can't report to the driver, which can't listen on %s: %s", host, error)
        yield None
        return
    with server:
        yield DriverChannel(host, server.server_address[1], key)


class _Server(BoundedServer):
    def __init__(self, host: str, key: bytes, handlers: Mapping[str, Handler]) -> None:
        self.key = key
        self.handlers = handlers
        self._heard: set[str] = set()
        self._hearing = threading.Lock()
        super().__init__("driver channel", host, _Connection)

    def is_new(self, once: str) -> bool:
        """Return whether no message had this mark before; only those with a signature are asked about."""
        with self._hearing:
            known = len(self._heard)
            self._heard.add(once)
            return len(self._heard) > known


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    timeout = _TIMEOUT_SECONDS

    def handle(self) -> None:
        try:
            request = self.rfile.readline(MAX_MESSAGE_BYTES)
            message = _opened(request, self.server.key)
            if not self.server.is_new(message["once"]):
                raise ValueError("a message that was heard before")
            answer = self.server.handlers[message["kind"]](message["content"])
            if answer is not None:
                self.connection.settimeout(_ANSWER_SECONDS)
                self.wfile.write(_signed(answer, self.server.key, about=request))
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.debug("ignored a message: %s", error)


def _signed(content: Any, key: bytes, about: bytes = b"") -> bytes:
    """Return a line signed with the key; an answer's signature holds for one request."""
    text = json.dumps(content).encode()
    return b"%s %s\n" % (_signature(text, key, about), text)


def _opened(line: bytes, key: bytes, about: bytes = b"") -> Any:
    signature, _, text = line.rstrip(b"\n").partition(b" ")
    if not hmac.compare_digest(signature, _signature(text, key, about)):
        raise ValueError("a line without a valid signature")
    return json.loads(text)


def _signature(text: bytes, key: bytes, about: bytes) -> bytes:
    return hmac.digest(key, about + text, "sha256").hex().encode()
