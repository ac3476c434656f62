"""A user's program over Spark Connect. ``tests/connect/test_connect.py`` runs this file in a process of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import connect_user


def test_a_users_program(spark, tmp_path: Path) -> None:
    found = connect_user.main(str(tmp_path))
    Path(os.environ["SPARKWATER_TEST_FOUND"]).write_text(json.dumps(found))
