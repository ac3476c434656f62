"""The programs in jobs/, run by spark-submit, or in this process on the session of the tests."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DAEMON, DAEMONS, ROOT, options, start_session
from pyspark.sql import SparkSession

SPARK_SUBMIT = Path(sys.executable).with_name("spark-submit")


def submit(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program by spark-submit with the settings for one machine, plans and workers as those of other tests."""
    settings = ROOT / "conf" / "spark-defaults-local.conf"
    given = ["--properties-file", settings, "--load-spark-defaults"]
    command = [SPARK_SUBMIT, *given, *options(DAEMON), ROOT / "jobs" / program, *arguments]
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "PYTHONPATH": DAEMONS}
    environment = {**os.environ, **python}
    # spark-submit itself sends a program's standard error to its standard output.
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, **both, text=True, check=False, env=environment)


def run_here(program: str, *arguments: object) -> int:
    """Run a program in the session that is there, which it is to stop and the next test still needs; its exit code."""
    start_session("local[2]")
    stopped: list[SparkSession] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [program, *map(str, arguments)])
        patch.setattr(SparkSession, "stop", lambda session: stopped.append(session))
        code = exit_code(program)
    assert len(stopped) == 1
    return code


def exit_code(program: str) -> int:
    """Run a program with the arguments that there are, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "jobs" / program), run_name="__main__")
    assert isinstance(ended.value.code, int)
    return ended.value.code


def last_line(text: str) -> str:
    """Return what a program says last."""
    return [line for line in text.splitlines() if line.strip()][-1]
