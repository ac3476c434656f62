"""The server of the web face, in a thread beside a Spark session."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from nicegui import run, ui

from sparkwater.errors import ConfigurationError
from sparkwater.flow.guard import Guard
from sparkwater.flow.pages import shell
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.jobs import Jobs
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.workbook import Workbook

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PORT = 54321
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ALL = ("0.0.0.0", "::")  # noqa: S104 - asked for by the caller
_START_SECONDS = 30.0
#: Seconds for which a page waits for its browser, and keeps what was typed. NiceGUI takes 0.4 of them for the answer to
#: a ping, after which it closes the connection with the presses that are on their way: a machine that trains is slow.
_RECONNECT_SECONDS = 60.0
_THREADS = 64

#: NiceGUI has one application a process.
_served: list[Served] = []


class Served:
    """A running server.

    Attributes
    ----------
    desk : Desk
        The flow's variables, jobs and cells.
    url : str
        The address. It opens for browsers that have been there by an address of `invite`.
    """

    def __init__(self, url: str, desk: Desk, guard: Guard, server: uvicorn.Server) -> None:
        self.url, self.desk = url, desk
        self._guard, self._server = guard, server
        self._thread = threading.Thread(target=self._run, name="sparkwater flow", daemon=True)

    def invite(self) -> str:
        """Return a new address to open, with a token for one browser; the latest ten are good."""
        return f"{self.url}?token={self._guard.invite()}"

    def __repr__(self) -> str:
        state = "invite() gives an address to open" if self.running else "it has ended"
        return f"sparkwater flow at {self.url}: {state}"

    @property
    def running(self) -> bool:
        """True while it answers."""
        return self._thread.is_alive()

    @property
    def has_unused_invite(self) -> bool:
        """True where there is an address that nobody has opened yet."""
        return self._guard.has_unused_invite

    def start(self, listening: socket.socket) -> None:
        """Serve in a thread, and return when it answers."""
        self._listening = listening
        self._thread.start()
        until = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self.running or time.monotonic() > until:
                raise ConfigurationError("the server of the web face did not start; its log says why")
            time.sleep(0.02)

    def attach(self, spark: SparkSession) -> None:
        """Give the pages the session that they wait for."""
        shell.load()
        self.desk.workspace.attach(spark)

    def _run(self) -> None:
        self._server.run([self._listening])

    def stop(self) -> None:
        """End the server; jobs and the session go on."""
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)


def serve(
    spark: SparkSession | None,
    folders: Iterable[str | Path],
    *,
    port: int = PORT,
    host: str = "127.0.0.1",
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    plain_text: bool = False,
) -> Served:
    """Serve the web face beside a Spark session, from a thread of this process.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession or None
        The session, classic or Connect. None for pages that wait until `Served.attach` is called.
    folders : iterable of str or Path
        Folders of this machine whose files the pages may read and write; nothing outside of them.
    port : int
        Port; 0 for any free one.
    host : str
        Address to listen at. Others than loopback need a certificate, or ``plain_text``.
    certificate, key : str or Path, optional
        Files of a TLS certificate and its key, in PEM.
    plain_text : bool
        True to serve at another address than loopback without TLS: all that passes can be read on the way.

    Returns
    -------
    Served
        Its `Served.invite` gives addresses to open. One server runs in a process.

    Raises
    ------
    ConfigurationError
        If the port is taken, another server runs in this process, a folder isn't there, or TLS is missing.
    """
    _check_address(host, certificate, key, plain_text)
    if any(other.running for other in _served):
        raise ConfigurationError("a flow is served by this process already: invite() a browser to it, or stop() it")
    workspace, workbook = Workspace(None, Folders(folders)), Workbook()
    desk = Desk(workspace, Jobs(workspace, workbook), workbook)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    # A server that ends takes NiceGUI's threads along; and pages of many windows may wait for jobs at the same time.
    run.thread_pool = ThreadPoolExecutor(_THREADS, "work of pages")
    shell.register(desk)
    app = _application()
    guard = Guard(app, server_names(host, port, certificate is not None), port, secure=certificate is not None)
    tls: dict[str, Any] = {} if certificate is None else {"ssl_certfile": certificate, "ssl_keyfile": key}
    config = uvicorn.Config(guard, log_level="warning", lifespan="on", server_header=False, proxy_headers=False, **tls)
    # No browser may open the address that stands for all of them.
    shown = socket.gethostname() if host in _ALL else f"[{host}]" if ":" in host else host
    url = f"{'http' if certificate is None else 'https'}://{shown}:{port}/"
    served = Served(url, desk, guard, uvicorn.Server(config))
    served.start(listening)
    _served[:] = [served]
    if spark is not None:
        served.attach(spark)
    return served


@cache
def _application() -> FastAPI:
    """Return the application; NiceGUI takes one a process, and servers one after the other."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        app,
        title="sparkwater",
        dark=None,
        language="en-US",
        show_welcome_message=False,
        reconnect_timeout=_RECONNECT_SECONDS,
    )
    return app


def _check_address(host: str, certificate: str | Path | None, key: str | Path | None, plain_text: bool) -> None:
    if (certificate is None) != (key is None):
        raise ConfigurationError("TLS needs both a certificate and its key")
    for file in (certificate, key):
        if file is not None and not Path(file).is_file():
            raise ConfigurationError(f"there is no file {str(file)!r}")
    if host not in _LOOPBACK and certificate is None and not plain_text:
        raise ConfigurationError(
            f"host {host!r} is not loopback: give a certificate and its key, or allow plain text, which all on the "
            f"way can read"
        )


def server_names(host: str, port: int, secure: bool) -> set[str]:
    """Return the hosts that requests may name."""
    if host in _LOOPBACK:
        names = {"127.0.0.1", "localhost", "[::1]"}
    elif host in _ALL:
        names = {"127.0.0.1", "localhost", "[::1]", socket.gethostname(), socket.getfqdn(), *_addresses()}
    else:
        names = {f"[{host}]" if ":" in host else host}
    plain = names if port == (443 if secure else 80) else set()  # browsers leave out the usual port
    return {f"{name}:{port}" for name in names} | plain


def _addresses() -> set[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return set()
    return {f"[{where[4][0]}]" if where[0] == socket.AF_INET6 else str(where[4][0]) for where in found}


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigurationError(
            f"can't listen at {host}, port {port}: {error}; take another port, or 0 for any free one"
        ) from error
    return listening
