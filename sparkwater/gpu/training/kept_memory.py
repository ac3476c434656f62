"""Freed memory kept by the process between the steps of a training."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

#: Bytes that may stay free at the heap's end while it is kept; blocks up to the second number come from the heap.
#: 32 MiB is the most that glibc takes, and what it may arrive at by itself, with twice as much for the first number.
_KEPT, _LARGEST = 512 << 20, 32 << 20


@contextmanager
def kept_heap() -> Iterator[None]:
    """Keep freed memory for the next allocation inside the ``with`` block, and give it back after it.

    A step frees what the next one needs again. By glibc's defaults much of that goes back to the kernel, and
    each step pays for thousands of page faults: a quarter of its time for a small network, by
    ``benchmarks/bench_train.py``. After the block the process has the thresholds at which glibc, which
    raises them as a process frees larger blocks, would end. Where the C library is another one, nothing happens.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield
        return
    assert library is not None  # it has what is needed
    library.mallopt(_MMAP_THRESHOLD, _LARGEST)
    library.mallopt(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
        library.malloc_trim(0)
