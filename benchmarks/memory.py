"""The largest memory of a session's Python processes while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

MEBIBYTE = 2**20


class Peaks:
    """Largest memory of this process, and of any of Spark's Python workers below it, in MiB."""

    def __init__(self) -> None:
        self.driver = self.worker = 0.0

    def look(self) -> None:
        """Note the memory of now."""
        own = psutil.Process()
        self.driver = max(self.driver, own.memory_info().rss / MEBIBYTE)
        for process in own.children(recursive=True):
            with suppress(psutil.Error):  # it ended meanwhile
                if "pyspark.daemon" in process.cmdline():
                    self.worker = max(self.worker, process.memory_info().rss / MEBIBYTE)


@contextmanager
def watched() -> Iterator[Peaks]:
    """Give the memory's peaks while the ``with`` block runs."""
    peaks, done = Peaks(), threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            peaks.look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()
