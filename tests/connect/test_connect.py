"""The stages over Spark Connect, in a process of its own, and a network of the same bits on both kinds of session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import connect_user
import pytest
from conftest import ROOT

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stages_over_connect_and_the_bits_of_a_users_program(spark, tmp_path: Path) -> None:
    lane, found = ROOT / "tests" / "connect" / "lane.py", tmp_path / "found.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--durations=5",
            "-o",
            "faulthandler_timeout=200",
            str(lane),
        ],
        env={**os.environ, "SPARKWATER_TEST_REMOTE": "local[2]", "SPARKWATER_TEST_FOUND": str(found)},
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-10_000:]}"
    connect, classic = json.loads(found.read_text()), connect_user.main(str(tmp_path))
    same = ("network", "loaded", "alone", "accuracy", "ensemble")
    assert [connect[name] for name in same] == [classic[name] for name in same]
    assert connect["ensemble"] == connect["reloaded"]
    assert classic["network"] == classic["loaded"] == classic["alone"]
    assert classic["ensemble"] == classic["reloaded"]
    assert classic["accuracy"] > 0.9
