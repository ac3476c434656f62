"""What programs have of spark-submit and of Spark's own readers, on both sets of dependencies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from bare_python import BarePython, but_this_package
from conftest import ROOT, options
from programs import SPARK_SUBMIT, last_line, submit
from pyspark.sql import SparkSession

from sparkwater.program import read_table, split_rows

pytestmark = pytest.mark.spark  # spark-submit starts sessions of its own

#: It trains and scores by an executor, and says whose Python and which package they and the driver have.
PROGRAM = """
import json, sys
import numpy as np
import pyarrow as pa
import sparkwater
from pyspark.sql import SparkSession
from sparkwater.conversions import from_numpy
from sparkwater.ml import ImageClassifier

def places(batches):
    import sparkwater
    yield pa.RecordBatch.from_pydict({"python": [sys.prefix], "package": [sparkwater.__file__]})

spark = SparkSession.builder.getOrCreate()
labels = np.arange(40) % 2
pictures = np.full((40, 1, 16, 16), 60, np.uint8) + 120 * labels[:, None, None, None].astype(np.uint8)
frame = from_numpy(spark, {"features": pictures, "label": labels}).coalesce(1)
model = ImageClassifier(network="mlp", epochs=1, batchSize=10, numWorkers=1).fit(frame)
rows = model.transform(frame).where("prediction is not null").count()
found = [tuple(row) for row in spark.range(0, 1, 1, 1).mapInArrow(places, "python string, package string").collect()]
spark.stop()
print(json.dumps({"rows": rows, "driver": sparkwater.__file__, "executors": found}))
"""


def test_spark_submit_passes_exit_code_and_cause_on() -> None:
    done = submit("train_image_classifier.py", "--data", "/no/such/folder")
    assert done.returncode == 1
    assert "ConfigurationError: there is no folder" in last_line(done.stdout)


def test_a_file_s_rows_have_types_and_are_split_by_their_content(spark: SparkSession) -> None:
    rows = read_table(spark, str(ROOT / "data" / "penguins.csv"), "NA")
    assert {"species": "string", "body_mass_g": "int", "bill_length_mm": "double"}.items() <= dict(rows.dtypes).items()
    assert rows.where("body_mass_g is null").count() == 2
    parts = [part.select("species", "island", "body_mass_g").collect() for part in split_rows(rows, 0.2, 42)]
    others = [
        part.select("species", "island", "body_mass_g").collect() for part in split_rows(rows.orderBy("year"), 0.2, 42)
    ]
    assert sum(map(len, parts)) == rows.count()
    assert 0.1 < len(parts[1]) / rows.count() < 0.3
    assert [sorted(map(str, part)) for part in parts] == [sorted(map(str, part)) for part in others]


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel of a copy of what it is built of, without asking the network."""
    source = folder / "source"
    shutil.copytree(ROOT / "sparkwater", source / "sparkwater", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
    (wheel,) = folder.glob("sparkwater-*.whl")
    return wheel


@pytest.mark.house
@pytest.mark.slow
def test_executors_have_their_python_from_an_archive_and_the_package_from_py_files(tmp_path: Path) -> None:
    package, archive, program = tmp_path / "sparkwater.zip", tmp_path / "environment.tar.gz", tmp_path / "program.py"
    build_wheel(tmp_path).rename(package)
    python = BarePython(tmp_path / "python")
    python.link(but_this_package)
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "python", arcname=".")
    program.write_text(PROGRAM)
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.log.level": "ERROR"}
    done = subprocess.run(
        [SPARK_SUBMIT, "--master", "local-cluster[1,1,1024]", "--archives", f"{archive}#environment",
         "--py-files", package, *options(settings), program],
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
             "PYSPARK_DRIVER_PYTHON": str(python.executable), "PYSPARK_PYTHON": "./environment/bin/python"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=250,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    found = json.loads(last_line(done.stdout))
    assert found["rows"] == 40
    assert "/sparkwater.zip/" in found["driver"]
    ((prefix, package),) = found["executors"]
    assert Path(prefix).name == "environment"
    assert Path(prefix) != tmp_path / "python"
    assert "/sparkwater.zip/" in package
