"""Memory that is kept while a training runs, and given back after it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

#: What a step of a small network does to the heap, thirty times: page faults of each, and what stays resident.
STEPS = """
import ctypes
import resource
import psutil
import torch
from contextlib import nullcontext
from sparkwater.gpu.training.kept_memory import kept_heap

def steps():
    for _ in range(30):
        blocks = [torch.ones(500_000) for _ in range(12)]
        del blocks

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

torch.set_num_threads(1)
for threshold in (-1, -3):  # those that glibc begins with; whatever was imported may have raised them
    ctypes.CDLL(None).mallopt(threshold, 128 << 10)
for context in (nullcontext(), kept_heap()):
    with context:
        steps()
        before = faults()
        steps()
        print((faults() - before) // 30)
print(psutil.Process().memory_info().rss)
with kept_heap():
    steps()
print(psutil.Process().memory_info().rss)
"""


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they see fit")
@pytest.mark.skipif(HUGE_PAGES.exists() and "[always]" in HUGE_PAGES.read_text(), reason="page faults are few here")
def test_steps_find_their_memory_again_and_it_is_given_back_in_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True, timeout=60)
    usual, kept, before, after = map(int, done.stdout.split())
    assert usual > 1000
    assert kept < 20
    assert after - before < 8 * 2**20  # of 24 MB that each step took
