"""What the package's servers have in common: bounded, quiet, and gone with their process."""

from __future__ import annotations

import logging
import socketserver
import sys
import threading
from typing import Any

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 1_024


class BoundedThreads(socketserver.ThreadingMixIn):
    """Serves each connection in a thread, so many of them at a time; what is too much is closed unread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CONNECTIONS  # all ranks connect at the same moment

    def __init__(self, *arguments: Any) -> None:
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(*arguments)

    def verify_request(self, _request: Any, _client_address: Any) -> bool:
        """Return whether there is a slot, which is taken then."""
        return self._slots.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Say nothing aloud of connections that break; who is at the other end does."""
        logger.debug("a connection from %s: %s", client_address, sys.exc_info()[1])
