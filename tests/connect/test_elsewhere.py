"""Servers in processes of their own, of another Spark or without what a training needs, in bounded time."""

from __future__ import annotations

from pathlib import Path

import pytest
from connect.remotely import run_remotely

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_servers_in_processes_of_their_own() -> None:
    run_remotely(Path(__file__).with_name("elsewhere.py"), seconds=480)
