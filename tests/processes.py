"""The processes of a session, what they leave behind, and what happens at the same time."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")


def begun(work: Callable[[], T]) -> Future[T]:
    """Do something in a thread that a test need not wait for; what is returned knows how it ended."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextlib.contextmanager
def little_room() -> Iterator[None]:
    """Let no file of this process grow beyond 20 kB: the system refuses that as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the ``with`` block takes longer, also where it raises what was expected."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def await_during(work: Future[Any], holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds; fail with what work came to where it ended before."""
    assert eventually(lambda: work.done() or holds(), seconds)
    assert not work.done(), work.exception() or work.result()


def python_workers(above: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the Python processes below a process: by default all workers of this process's session."""
    found = []
    for process in (above or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [process] if process.name().startswith("python") else []
    return found


def files_left() -> set[Path]:
    """Return what lies in shared memory, and what this package has in the folder for temporary files."""
    # Locks of Python's multiprocessing, which no training uses, are those of other tests.
    shared = {path for path in Path("/dev/shm").iterdir() if not path.name.startswith("sem.mp-")}
    return {*shared, *Path(tempfile.gettempdir()).glob("sparkwater*")}


def shares_memory(process: int) -> bool:
    """Return whether a process has memory that ranks share, mapped or not; once nobody has it, it is gone."""
    here, held = Path(f"/proc/{process}"), []
    with contextlib.suppress(OSError):  # it has ended
        held.append((here / "maps").read_text())
        for descriptor in (here / "fd").iterdir():
            with contextlib.suppress(OSError):  # it was closed just now
                held.append(str(descriptor.readlink()))
    return any("memfd:sparkwater" in each for each in held)


def traces() -> set[str]:
    """Return ports that this process and its workers listen on, workers that stand still, files and memory left."""
    found = {str(path) for path in files_left()}
    for process in [psutil.Process(), *python_workers()]:
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.parent().name() == "java":
                continue  # Spark's own, which starts workers: an executor in place of a lost one has a new one
            ports = [entry.laddr.port for entry in process.net_connections() if entry.status == psutil.CONN_LISTEN]
            found |= {f"process {process.pid} listens on {port}" for port in ports}
            found |= {f"process {process.pid} shares memory"} if shares_memory(process.pid) else set()
            found |= {f"process {process.pid} stands"} if process.status() == psutil.STATUS_STOPPED else set()
    return found


def is_clean(before: set[str]) -> bool:
    """Return whether within ten seconds nothing is left but what was there before."""
    return eventually(lambda: traces() <= before)
