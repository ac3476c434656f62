"""A threaded TCP server with a bound on connections, the base of the package's servers."""

from __future__ import annotations

import logging
import socketserver
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 1_024
#: From one address: no stranger takes the room of all, and no host has so many ranks.
MAX_CONNECTIONS_FROM_ONE = MAX_CONNECTIONS // 4


class BoundedServer(socketserver.ThreadingTCPServer):
    """A server with a thread for each connection; beyond a bound, in all or from one address, they are closed unread.

    It serves while the ``with`` block runs; connections from before it wait for it. `server_close` frees the port
    of one that never served.

    Parameters
    ----------
    name : str
        Name of the serving thread.
    address : str
        The IPv4 address to listen on; the port is chosen by the system.
    handler : type
        The handler of a connection.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CONNECTIONS  # all ranks connect at the same moment

    def __init__(self, name: str, address: str, handler: type[socketserver.BaseRequestHandler]) -> None:
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()
        # It ends at its next look, and leaving the block waits for that.
        looks = {"poll_interval": 0.02}
        self._thread = threading.Thread(target=self.serve_forever, kwargs=looks, name=name, daemon=True)
        super().__init__((address, 0), handler)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Return whether there is a slot, which is taken then."""
        with self._counting:
            free = self._open.total() < MAX_CONNECTIONS and self._open[client_address[0]] < MAX_CONNECTIONS_FROM_ONE
            self._open[client_address[0]] += free
        return free

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self._open[client_address[0]] -= 1
                self._open += Counter()  # addresses without connections are forgotten

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log broken connections at DEBUG only: the other end reports them."""
        logger.debug("a connection from %s: %s", client_address, sys.exc_info()[1])
