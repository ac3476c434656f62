"""Servers in processes of their own, of another Spark or without what a training needs, in bounded time."""

from __future__ import annotations

from pathlib import Path

import pytest
from connect.remotely import run_remotely

pytest.importorskip("grpc_status", reason="pip install 'sparkwater[connect]'")


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_servers_in_processes_of_their_own() -> None:
    run_remotely(Path(__file__).with_name("elsewhere.py"), seconds=680)


def test_a_run_that_skips_all_of_its_tests_has_failed(tmp_path: Path) -> None:
    skipping, passing = tmp_path / "test_skips.py", tmp_path / "test_passes.py"
    skipping.write_text("import pytest\n\n\ndef test_skips():\n    pytest.skip('4 passed')\n")
    passing.write_text("def test_passes():\n    pass\n")
    with pytest.raises(AssertionError, match="1 skipped in"):
        run_remotely(skipping, seconds=60)
    run_remotely(skipping, passing, seconds=60)
