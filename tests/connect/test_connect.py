"""The stages over Spark Connect, in a process of its own, and a network of the same bits on both kinds of session."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import connect_user
import pytest
from conftest import ROOT
from connect.remotely import run_remotely
from object_store import running_store

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stages_over_connect_and_the_bits_of_a_users_program(spark, tmp_path: Path) -> None:
    lane, found = ROOT / "tests" / "connect" / "lane.py", tmp_path / "found.json"
    flow = f"{ROOT / 'tests' / 'flow' / 'test_jobs.py'}::test_a_cancelled_training_ends_soon_and_the_session_goes_on"
    with running_store() as store, ThreadPoolExecutor(1) as thread:
        own = {"SPARKWATER_TEST_FOUND": str(found), **store.environment}
        lane_ended = thread.submit(run_remotely, lane, flow, seconds=500, **own)
        classic = connect_user.main(str(tmp_path))  # meanwhile: both wait for Spark more than they compute
        lane_ended.result()
    connect = json.loads(found.read_text())
    same = ("network", "loaded", "alone", "accuracy", "ensemble")
    assert [connect[name] for name in same] == [classic[name] for name in same]
    assert connect["ensemble"] == connect["reloaded"]
    assert classic["network"] == classic["loaded"] == classic["alone"]
    assert classic["ensemble"] == classic["reloaded"]
    assert classic["accuracy"] > 0.9
