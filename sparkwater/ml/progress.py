"""Progress of a training on the driver: rank 0 reports over a socket of its own.

It reports each epoch, and within an epoch where it is, every two seconds.

It is best effort. A report that doesn't arrive costs a log line, never the training.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sparkwater.gpu.observer import NOBODY, Observer
from sparkwater.gpu.records import EpochRecord, StepRecord

logger = logging.getLogger(__name__)

_MAX_LINE_BYTES = 4096
_TIMEOUT_SECONDS = 2.0
_SECONDS_BETWEEN_STEPS = 2.0


@dataclass(frozen=True)
class ProgressAddress:
    """Where to report, and the word that lets a report in; it travels in Spark's own channel."""

    host: str
    port: int
    token: str

    def __repr__(self) -> str:
        return f"ProgressAddress({self.host}:{self.port})"


class LastReport:
    """Where a training was when it last told the driver: a rank that is lost can't say where it was.

    Parameters
    ----------
    batch_size : int
        Rows of a step.

    Attributes
    ----------
    epoch, step : int or None
        Counted from 0; None before the first report.
    observer : Observer
        Who is to be told.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self.epoch: int | None = None
        self.step: int | None = None
        self.observer = Observer(
            lambda record: self._move(record.epoch + 1, 0),
            lambda record: self._move(record.epoch, record.rows // self._batch_size),
        )

    def __str__(self) -> str:
        return "before its first report" if self.epoch is None else f"in epoch {self.epoch}, step {self.step} or later"

    def _move(self, epoch: int, step: int) -> None:
        if (epoch, step) > (self.epoch or 0, self.step or 0):  # reports may overtake each other
            self.epoch, self.step = epoch, step


@contextmanager
def listen(host: str, observer: Observer) -> Iterator[ProgressAddress | None]:
    """Receive reports while the ``with`` block runs; gives None where the driver can't listen.

    Parameters
    ----------
    host : str
        The driver's own address, as executors know it.
    observer : Observer
        Told in other threads, of each report.
    """
    token = secrets.token_hex(16)
    try:
        server = _ProgressServer(host, token, observer)
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

    def __init__(self, host: str, token: str, observer: Observer) -> None:
        self.token = token
        self.observer = observer
        super().__init__((host, 0), _ProgressHandler)


class _ProgressHandler(socketserver.StreamRequestHandler):
    server: _ProgressServer
    timeout = _TIMEOUT_SECONDS

    def handle(self) -> None:
        try:
            message = json.loads(self.rfile.readline(_MAX_LINE_BYTES))
            if not secrets.compare_digest(str(message["token"]), self.server.token):
                return
            if "step" in message:
                self.server.observer.on_step(StepRecord(**message["step"]))
            else:
                self.server.observer.on_epoch(EpochRecord.from_dict(message["epoch"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.debug("ignored a report: %s", error)


def reporter(address: ProgressAddress | None) -> Observer:
    """Return who tells the driver, on rank 0."""
    if address is None:
        return NOBODY
    channel = _Channel(address)
    return Observer(channel.report_epoch, channel.report_step)


class _Channel:
    """The way to the driver; where it can't be reached, only the epochs try again."""

    def __init__(self, address: ProgressAddress) -> None:
        self._address = address
        self._next_step = time.monotonic() + _SECONDS_BETWEEN_STEPS

    def report_epoch(self, record: EpochRecord) -> None:
        try:
            self._send(epoch=asdict(record))
        except OSError as error:
            logger.warning("epoch %d could not be reported to the driver: %s", record.epoch, error)

    def report_step(self, record: StepRecord) -> None:
        if time.monotonic() < self._next_step:
            return
        try:
            self._send(step=asdict(record))
            self._next_step = time.monotonic() + _SECONDS_BETWEEN_STEPS
        except OSError as error:
            logger.warning("no progress within epochs: the driver can't be reached (%s)", error)
            self._next_step = math.inf

    def _send(self, **report: dict[str, Any]) -> None:
        message = json.dumps({"token": self._address.token, **report}) + "\n"
        place = (self._address.host, self._address.port)
        with socket.create_connection(place, timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(message.encode())
