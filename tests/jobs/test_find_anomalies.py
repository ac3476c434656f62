"""find_anomalies.py in this process."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from programs import last_line, run_here


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Points of a line in twelve dimensions, and three others that are off it."""
    path, generator = tmp_path_factory.mktemp("anomalies"), np.random.default_rng(2)
    along = np.outer(generator.normal(size=200), np.linspace(1, 2, 12)) + generator.normal(size=(200, 12)) / 50
    off = generator.normal(size=(3, 12)) * 30
    for name, rows in (("known", along), ("new", np.vstack([along[:20], off]))):
        names = [f"{name}-{row}" for row in range(len(rows))]
        table = pa.table(
            {"name": names, "features": pa.array(rows.reshape(len(rows), 4, 3).reshape(len(rows), -1).tolist())}
        )
        pq.write_table(table, path / f"{name}.parquet")
    return path


def find(folder: Path, *arguments: object) -> int:
    places = ["--rows", folder / "known.parquet", "--output", folder / "found", "--image-shape", 4, 3, 1]
    return run_here("find_anomalies.py", *places, *arguments)


def test_rows_that_are_unlike_the_learned_ones_come_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learner = ["--hidden", 8, 1, 8, "--epochs", 40, "--threshold", 1]
    assert find(folder, "--score", folder / "new.parquet", *learner, "--save", folder / "model") == 0
    last = last_line(capsys.readouterr().out)
    found = re.fullmatch(
        rf"find_anomalies: wrote 23 rows to {folder}/found, 3 of them anomalies, with errors above \S+", last
    )
    assert found, last
    rows = pq.read_table(folder / "found").sort_by([("reconstructionError", "descending")]).to_pylist()
    assert {row["name"] for row in rows[:3]} == {"new-20", "new-21", "new-22"}
    assert (folder / "model" / "model.json").is_file()


def test_failure_exits_with_the_cause_in_the_last_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find(folder, "--network", "autoencodr") == 1
    assert last_line(capsys.readouterr().err).startswith(
        "find_anomalies failed: ConfigurationError: network='autoencodr' is not registered; did you mean"
    )
