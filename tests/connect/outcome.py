"""What a user's program, ``tests/connect_user.py``, has to come to wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check(found: Mapping[str, Any]) -> None:
    """Fail where what was loaded isn't what was saved, or scores badly."""
    assert found["network"] == found["loaded"]
    check_stacked(found)


def check_stacked(found: Mapping[str, Any]) -> None:
    """Fail where the ensemble that was loaded isn't the one that was saved, or scores badly."""
    assert found["ensemble"] == found["reloaded"]
    assert found["accuracy"] > 0.9
