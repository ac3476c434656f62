"""find_anomalies.py as spark-submit runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

pytestmark = pytest.mark.spark  # spark-submit starts sessions of its own


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


def submit(folder: Path, *arguments: str) -> str:
    command = [
        Path(sys.executable).with_name("spark-submit"),
        *("--properties-file", ROOT / "conf" / "spark-defaults-local.conf", ROOT / "jobs" / "find_anomalies.py"),
        *("--rows", folder / "known.parquet", "--output", folder / "found", "--image-shape", "4", "3", "1", *arguments),
    ]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, **both, text=True, check=False, env=environment)
    return [line for line in done.stdout.splitlines() if line.strip()][-1]


def test_rows_that_are_unlike_the_learned_ones_come_first(folder: Path) -> None:
    last = submit(
        folder, "--score", str(folder / "new.parquet"), "--hidden", "8", "1", "8", "--epochs", "40", "--threshold", "1",
        "--save", str(folder / "model"),
    )  # fmt: skip
    found = re.fullmatch(
        rf"find_anomalies: wrote 23 rows to {folder}/found, 3 of them anomalies, with errors above \S+", last
    )
    assert found, last
    rows = pq.read_table(folder / "found").sort_by([("reconstructionError", "descending")]).to_pylist()
    assert {row["name"] for row in rows[:3]} == {"new-20", "new-21", "new-22"}
    assert (folder / "model" / "model.json").is_file()


def test_failure_exits_with_the_cause_in_the_last_line(folder: Path) -> None:
    last = submit(folder, "--network", "autoencodr")
    assert last.startswith(
        "find_anomalies failed: ConfigurationError: network='autoencodr' is not registered; did you mean"
    )
