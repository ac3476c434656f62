"""Tests in a process of their own, over Spark Connect: a process has one kind of sessions only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def run_remotely(*tests: str | Path, seconds: int, **environment: str) -> None:
    """Run tests in another process; its words are the failure's, where it fails or skips all of them.

    Parameters
    ----------
    tests : str or pathlib.Path
        Files, or names of tests.
    seconds : int
        The most that it may take.
    environment : str
        More variables; ``SPARKWATER_TEST_REMOTE`` is the server of its sessions.
    """
    options = ["-q", "-p", "no:cacheprovider", "--durations=5", "-o", f"faulthandler_timeout={seconds // 2}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *map(str, tests)],
        env={**os.environ, "SPARKWATER_TEST_REMOTE": "local[2]", **environment},
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    said = f"{done.stdout[-20_000:]}\n{done.stderr[-10_000:]}"
    assert done.returncode == 0, said
    assert re.search(r"\b[1-9]\d* passed\b.* in \d", done.stdout), said
