"""Tests of other folders, over Spark Connect: what they say of classic sessions holds there as well."""

from __future__ import annotations

import pytest
from conftest import ROOT
from connect.remotely import run_remotely
from connect.suites import SUITES

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_suites_of_classic_sessions_hold_over_connect() -> None:
    run_remotely(*(f"{ROOT / 'tests' / file}::{name}" for file, names in SUITES.items() for name in names), seconds=480)
