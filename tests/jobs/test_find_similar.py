"""find_similar.py as spark-submit runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

COLUMNS = ("queryId", "rank", "referenceId", "value")

pytestmark = pytest.mark.spark  # spark-submit starts sessions of its own


@pytest.fixture
def vectors(tmp_path) -> Path:
    known = {"name": ["east", "north", "far east"], "at": [[1.0, 0.0], [0.0, 1.0], [9.0, 0.0]]}
    new = {"name": ["a", "b"], "at": [[2.0, 0.0], [0.0, 3.0]]}
    for side, columns in (("known", known), ("new", new)):
        pq.write_table(pa.table(columns), tmp_path / f"{side}.parquet")
    return tmp_path


def find(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        Path(sys.executable).with_name("spark-submit"),
        *("--properties-file", ROOT / "conf" / "spark-defaults-local.conf", ROOT / "jobs" / "find_similar.py"),
        *("--queries", folder / "new.parquet", "--references", folder / "known.parquet", "--output", folder / "found"),
        *("--id-col", "name", "--features-col", "at", *arguments),
    ]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, **both, text=True, check=False, env=environment)


def last_line(text: str) -> str:
    return [line for line in text.splitlines() if line.strip()][-1]


def test_nearest_of_each_query_are_written(vectors):
    done = find(vectors, "--k", "2", "--measure", "l2")
    assert done.returncode == 0, done.stdout
    assert last_line(done.stdout) == f"find_similar: wrote 4 rows for 2 queries to {vectors / 'found'}"
    rows = sorted(tuple(row[name] for name in COLUMNS) for row in pq.read_table(vectors / "found").to_pylist())
    assert rows == [
        ("a", 1, "east", 1.0),
        ("a", 2, "north", 5**0.5),
        ("b", 1, "north", 2.0),
        ("b", 2, "east", 10**0.5),
    ]


def test_failure_exits_with_one_and_names_the_cause_last(vectors):
    done = find(vectors, "--measure", "euclid")
    assert done.returncode == 1
    assert last_line(done.stdout).startswith("find_similar failed: ConfigurationError: measure='euclid'; accepted: l1")
    assert not (vectors / "found").exists()
