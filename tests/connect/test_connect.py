"""A user's program and the stages over Spark Connect, in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
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


#: Tests that share a server with the program: its start, and a first fit, take as long as most of these together.
STAGES = (
    "connect/lane.py",
    "flow/test_jobs.py::test_a_cancelled_training_ends_soon_and_the_session_goes_on",
    *(f"{file}::{name}" for file, names in SUITES.items() for name in names),
)

#: Those of them that a newer Spark could break: its searches, its cache of models, and large functions.
OF_SPARKS_OWN = tuple(
    f"connect/lane.py::{name}"
    for name in (
        "test_cross_validator_chooses_among_pipelines",
        "test_large_weights_travel_beside_the_function",
        "test_a_regression_is_stacked_exported_and_explained_without_a_jvm_and_models_of_folds_leave_the_servers_cache",
    )
)


def run_over_connect(folder: Path, more: Sequence[str]) -> dict[str, Any]:
    """Run the user's program, and tests, in a process of their own, and return what the program found."""
    found = folder / "found.json"
    tests = [ROOT / "tests" / name for name in ("connect/program.py", *more)]
    with running_store() as store:
        run_remotely(*tests, seconds=850, SPARKWATER_TEST_FOUND=str(found), **store.environment)
    return json.loads(found.read_text())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "more",
    [
        pytest.param(OF_SPARKS_OWN, marks=pytest.mark.newest, id="few stages"),
        pytest.param(STAGES, marks=pytest.mark.house, id="all stages"),
    ],
)
def test_a_users_program_gives_the_same_bits_on_both_kinds_of_session(spark, tmp_path: Path, more: tuple) -> None:
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(run_over_connect, tmp_path, more)
        classic = connect_user.main(str(tmp_path))  # meanwhile: both wait for Spark more than they compute
        connect = ended.result()
    same = ("network", "loaded", "accuracy", "ensemble")
    assert [connect[name] for name in same] == [classic[name] for name in same]
    check(classic)
    check(connect)
