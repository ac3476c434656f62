"""What programs have of spark-submit and of Spark's own readers, on both sets of dependencies."""

from __future__ import annotations

import pytest
from conftest import ROOT
from programs import last_line, submit
from pyspark.sql import SparkSession

from sparkwater.program import read_table, split_rows

pytestmark = pytest.mark.spark  # spark-submit starts sessions of its own


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
