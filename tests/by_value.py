"""Functions and classes of tests on executors, which can't import the modules that they are of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import cloudpickle


@contextmanager
def by_value(module: str) -> Iterator[None]:
    """Let what a module defines travel to executors whole while the ``with`` block runs."""
    cloudpickle.register_pickle_by_value(sys.modules[module])
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[module])
