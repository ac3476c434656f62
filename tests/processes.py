"""The processes of a session, and waiting for something to happen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psutil


def running_executors() -> list[psutil.Process]:
    """Return the executor JVMs of this process's session."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [process] if "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()) else []
    return found


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Return whether something holds within some seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
