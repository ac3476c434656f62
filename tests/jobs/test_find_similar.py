"""find_similar.py in this process."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from programs import last_line, run_here

COLUMNS = ("queryId", "rank", "referenceId", "value")


@pytest.fixture
def vectors(tmp_path) -> Path:
    known = {"name": ["east", "north", "far east"], "at": [[1.0, 0.0], [0.0, 1.0], [9.0, 0.0]]}
    new = {"name": ["a", "b"], "at": [[2.0, 0.0], [0.0, 3.0]]}
    for side, columns in (("known", known), ("new", new)):
        pq.write_table(pa.table(columns), tmp_path / f"{side}.parquet")
    return tmp_path


def find(folder: Path, *arguments: str) -> int:
    sides = ["--queries", folder / "new.parquet", "--references", folder / "known.parquet"]
    places = [*sides, "--output", folder / "found", "--id-col", "name", "--features-col", "at"]
    return run_here("find_similar.py", *places, *arguments)


def test_nearest_of_each_query_are_written(vectors, capsys):
    assert find(vectors, "--k", "2", "--measure", "l2") == 0
    assert last_line(capsys.readouterr().out) == f"find_similar: wrote 4 rows for 2 queries to {vectors / 'found'}"
    rows = sorted(tuple(row[name] for name in COLUMNS) for row in pq.read_table(vectors / "found").to_pylist())
    assert rows == [
        ("a", 1, "east", 1.0),
        ("a", 2, "north", 5**0.5),
        ("b", 1, "north", 2.0),
        ("b", 2, "east", 10**0.5),
    ]


def test_failure_exits_with_one_and_names_the_cause_last(vectors, capsys):
    assert find(vectors, "--measure", "euclid") == 1
    said = last_line(capsys.readouterr().err)
    assert said.startswith("find_similar failed: ConfigurationError: measure='euclid'; accepted: l1")
    assert not (vectors / "found").exists()
