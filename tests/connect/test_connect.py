"""A user's program and the stages over Spark Connect, each in a process of its own: it has one kind of session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")

pytestmark = pytest.mark.slow

SETTINGS = """
spark.driver.memory 1g
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.ui.enabled false
spark.ui.showConsoleProgress false
spark.sql.shuffle.partitions 2
spark.log.level ERROR
"""


def run_python(*arguments: str, **environment: str) -> str:
    """Return what a Python process wrote."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "SPARK_TESTING": "1", **environment},
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-10_000:]}\n{done.stderr[-10_000:]}"
    return done.stdout


def run_user(folder: Path, **environment: str) -> dict[str, Any]:
    """Return what the user's program found."""
    (folder / "conf").mkdir()
    (folder / "conf" / "spark-defaults.conf").write_text(SETTINGS)
    text = run_python(
        str(ROOT / "tests" / "connect_user.py"), str(folder), SPARK_CONF_DIR=str(folder / "conf"), **environment
    )
    return json.loads(text.splitlines()[-1])


def test_a_users_program_finds_the_same_bits_on_classic_and_connect(tmp_path: Path) -> None:
    folders = tmp_path / "classic", tmp_path / "connect"
    for folder in folders:
        folder.mkdir()
    classic = run_user(folders[0], PYSPARK_SUBMIT_ARGS="--master local[2] pyspark-shell")
    connect = run_user(folders[1], SPARK_REMOTE="local[2]")
    assert classic == connect
    assert connect["network"] == connect["loaded"] == connect["alone"]
    assert connect["ensemble"] == connect["reloaded"]
    assert connect["accuracy"] > 0.9


def test_stages_over_connect() -> None:
    lane = str(ROOT / "tests" / "connect" / "lane.py")
    run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", lane, SPARKWATER_TEST_REMOTE="local[2]")
