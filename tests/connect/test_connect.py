"""A user's program and the stages over Spark Connect, in processes of their own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import connect_user
import pytest
from conftest import ROOT
from connect.outcome import check
from connect.remotely import run_remotely
from connect.suites import SUITES
from object_store import running_store

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")


def run_over_connect(folder: Path, *more: str, **environment: str) -> dict[str, Any]:
    """Run the user's program, and tests, in a process of their own, and return what the program found."""
    found = folder / "found.json"
    tests = [ROOT / "tests" / name for name in ("connect/program.py", *more)]
    run_remotely(*tests, seconds=850, SPARKWATER_TEST_FOUND=str(found), **environment)
    return json.loads(found.read_text())


@pytest.mark.newest  # the other set has the next test, which shows more
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_users_program_runs_over_connect(tmp_path: Path) -> None:
    check(run_over_connect(tmp_path))


@pytest.mark.house
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_users_program_has_the_same_bits_on_both_kinds_of_session_and_stages_and_suites_hold_over_connect(
    spark, tmp_path: Path
) -> None:
    """All of them in one server: its start, and a first fit, take as long as most of these tests together."""
    flow = "flow/test_jobs.py::test_a_cancelled_training_ends_soon_and_the_session_goes_on"
    suites = [f"{file}::{name}" for file, names in SUITES.items() for name in names]
    with running_store() as store, ThreadPoolExecutor(1) as thread:
        ended = thread.submit(run_over_connect, tmp_path, "connect/lane.py", flow, *suites, **store.environment)
        classic = connect_user.main(str(tmp_path))  # meanwhile: both wait for Spark more than they compute
        connect = ended.result()
    same = ("network", "loaded", "accuracy", "ensemble")
    assert [connect[name] for name in same] == [classic[name] for name in same]
    check(classic)
    check(connect)
