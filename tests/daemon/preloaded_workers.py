"""Spark's daemon for Python workers, with what all of them need loaded once: each is a fork of it.

Workers of their own load torch, pandas and pyarrow in two to three seconds each. A test of what a fresh worker loads
takes Spark's own daemon, ``pyspark.daemon``.
"""

from __future__ import annotations

import gc

import numpy  # noqa: F401
import pandas  # noqa: F401
import pyarrow  # noqa: F401
import torch  # noqa: F401
from pyspark import worker  # noqa: F401
from pyspark.daemon import manager

if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # workers collect after every task, and would copy the pages of all modules
    manager()
