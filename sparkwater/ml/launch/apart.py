"""Executors' hosts that don't reach each other: found where Spark failed to fetch rows between them."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from sparkwater.errors import ConfigurationError

_LOOK_SECONDS = 2.0
_LOOKS_AT_ONCE = 32

#: The end that a failed fetch names, as "Failed to connect to /10.0.0.3:41235" or "Connecting to ... timed out".
_FETCH = re.compile(
    r"FetchFailedException.*?(?:Failed to connect|Connecting) to (?:([^\s/]*)/)?([^\s/]+):(\d+)", re.DOTALL
)


def hosts_apart(text: str, places: Callable[[], Sequence[tuple[str, int]]]) -> ConfigurationError | None:
    """Return the mistake where the driver reaches an executor that another one fetches no rows from.

    Parameters
    ----------
    text : str
        What Spark says of a failed job.
    places : callable
        Called for host (str) and port (int) of the executors that Spark counts on.
    """
    found = _FETCH.search(text)
    if found is None:
        return None
    name, host, port = found[1], found[2], int(found[3])
    # Executors are known by the one or the other, as their cluster's settings say.
    others = sorted({other for other, _ in places()} - {name, host})
    # An executor that is lost can't be reached from here either.
    if not others or silent([(host, port)]):
        return None
    return ConfigurationError(
        f"an executor on {' or '.join(others)} can't fetch rows from the one on {host} at port {port}, which the "
        "driver reaches; let executors' hosts connect to each other at all ports, or give them a network "
        "that they share"
    )


def silent(places: Sequence[tuple[str, int]]) -> list[str]:
    """Return the hosts and ports that take no connection from the driver."""
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as threads:
        answering = list(threads.map(_answers, places))
    return [f"{host}:{port}" for (host, port), answers in zip(places, answering, strict=True) if not answers]


def _answers(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=_LOOK_SECONDS).close()
    except OSError:
        return False
    return True
