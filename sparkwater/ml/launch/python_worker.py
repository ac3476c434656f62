"""Garbage collection in Spark's Python workers, relieved of torch's modules."""

from __future__ import annotations

import gc
from functools import cache


@cache
def exempt_modules() -> None:
    """Let Python's garbage collector pass over all that is loaded by now; on an executor, once in a process.

    After each task a worker collects garbage. From the first training or scoring on it would walk through the
    150,000 objects of torch's modules each time: a tenth of a second a task, of whichever job of the session.
    No module ever becomes garbage. What else there is goes when nobody refers to it, as everything does; only if
    it refers to itself it stays. So this is called when work is done that loads all modules.
    """
    gc.collect()
    gc.freeze()
