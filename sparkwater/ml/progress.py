"""Progress of a training on the driver: rank 0 reports each epoch over a socket of its own.

It is best effort. A report that doesn't arrive costs a log line, never the training.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from sparkwater.gpu.records import EpochRecord

logger = logging.getLogger(__name__)

_MAX_LINE_BYTES = 4096
_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class ProgressAddress:
    """Where to report, and the word that lets a report in; it travels in Spark's own channel."""

    host: str
    port: int
    token: str

    def __repr__(self) -> str:
        return f"ProgressAddress({self.host}:{self.port})"


@contextmanager
def listen(host: str, on_epoch: Callable[[EpochRecord], None]) -> Iterator[ProgressAddress | None]:
    """Receive reports while the ``with`` block runs; gives None where the driver can't listen.

    Parameters
    ----------
    host : str
        The driver's own address, as executors know it.
    on_epoch : callable
        Called in another thread, for each report.
    """
    token = secrets.token_hex(16)
    try:
        server = _ProgressServer(host, token, on_epoch)
    except OSError as error:
        logger.warning("no progress of this training: the driver can't listen on %s (%s)", host, error)
        yield None
        return
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield ProgressAddress(host, server.server_address[1], token)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _ProgressServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, token: str, on_epoch: Callable[[EpochRecord], None]) -> None:
        self.token = token
        self.on_epoch = on_epoch
        super().__init__((host, 0), _ProgressHandler)


class _ProgressHandler(socketserver.StreamRequestHandler):
    server: _ProgressServer
    timeout = _TIMEOUT_SECONDS

    def handle(self) -> None:
        try:
            message = json.loads(self.rfile.readline(_MAX_LINE_BYTES))
            if secrets.compare_digest(str(message["token"]), self.server.token):
                self.server.on_epoch(EpochRecord.from_dict(message["record"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.debug("ignored a report: %s", error)


def reporter(address: ProgressAddress | None) -> Callable[[EpochRecord], None]:
    """Return what rank 0 calls after each epoch."""

    def report(record: EpochRecord) -> None:
        if address is None:
            return
        message = json.dumps({"token": address.token, "record": asdict(record)}) + "\n"
        try:
            with socket.create_connection((address.host, address.port), timeout=_TIMEOUT_SECONDS) as connection:
                connection.sendall(message.encode())
        except OSError as error:
            logger.warning("epoch %d could not be reported to the driver: %s", record.epoch, error)

    return report


def log_epoch(epochs: float) -> Callable[[EpochRecord], None]:
    """Return a receiver of reports that logs one line an epoch."""

    def log(record: EpochRecord) -> None:
        held_out = record.validation
        logger.info(
            "epoch %d/%g  loss %.4f  accuracy %.2f %%%s  %d rows/s  %.0f s left",
            record.epoch + 1,
            epochs,
            record.loss,
            100 * record.accuracy,
            f"  validation logloss {held_out.logloss:.4f}  error {100 * held_out.error:.2f} %" if held_out else "",
            record.rows / record.seconds,
            record.seconds * max(epochs - record.epoch - 1, 0),
        )

    return log
