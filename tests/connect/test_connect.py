"""A user's program and the stages over Spark Connect, in processes of their own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import connect_user
import pytest
from conftest import ROOT
from connect.outcome import check
from connect.remotely import run_remotely
from connect.suites import SUITES
from object_store import running_store

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_users_program_gives_the_same_bits_on_both_kinds_of_session(spark, tmp_path: Path) -> None:
    program, found = ROOT / "tests" / "connect" / "program.py", tmp_path / "found.json"
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(run_remotely, program, seconds=300, SPARKWATER_TEST_FOUND=str(found))
        classic = connect_user.main(str(tmp_path))  # meanwhile: both wait for Spark more than they compute
        ended.result()
    connect = json.loads(found.read_text())
    same = ("network", "loaded", "alone", "accuracy", "ensemble")
    assert [connect[name] for name in same] == [classic[name] for name in same]
    check(classic)
    check(connect)


@pytest.mark.house  # the program above shows on the newest set that Spark's calls are there
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stages_and_suites_of_classic_sessions_hold_over_connect() -> None:
    """All of them in one server: its start, and a first fit, take as long as most of these tests together."""
    tests = ROOT / "tests"
    flow = "flow/test_jobs.py::test_a_cancelled_training_ends_soon_and_the_session_goes_on"
    suites = [f"{file}::{name}" for file, names in SUITES.items() for name in names]
    with running_store() as store:
        run_remotely(*(tests / name for name in ("connect/lane.py", flow, *suites)), seconds=850, **store.environment)
