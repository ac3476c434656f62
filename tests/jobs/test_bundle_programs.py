"""The programs that export a bundle and score rows by it."""

from __future__ import annotations

import datetime
import math
import runpy

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT, start_session
from digits import pictures, png, png_frame
from made_bundles import mixed, mixed_bundle, write
from programs import run_here
from pyspark.ml import PipelineModel
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.bundle.__main__ import main
from sparkwater.bundle.scorer.signature import Output
from sparkwater.ml import ImageClassifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of pictures, and a pipeline that reads them by their content."""
    root = tmp_path_factory.mktemp("bundles")
    (root / "pictures").mkdir()
    for place, image in enumerate(pictures(9, seed=2)[0]):
        (root / "pictures" / f"{place}.png").write_bytes(png(image))
    model = ImageClassifier(epochs=0, featuresCol="content", imageShape=[16, 16, 1])
    model = model.fit(png_frame(start_session("local[2]"), 20))
    PipelineModel([model]).save(str(root / "model"))
    return root


def test_batches_of_skipped_rows_have_the_types_of_others(tmp_path):
    content, signature, *others = mixed()
    signature["problems"][0]["skips"] = True
    bundle = write(tmp_path / "bundle", content, signature, *others)
    names = runpy.run_path(str(ROOT / "jobs" / "score_bundle.py"), run_name="job")
    vector = {"type": 1, "size": None, "indices": None, "values": [1.0, 2.0]}
    batches = [
        pa.RecordBatch.from_pylist([{"size": size, "name": "a", "pair": vector, "day": datetime.datetime(1970, 1, 1)}])
        for size in (1.5, math.nan)
    ]
    found = list(names["scorer"](str(bundle), ["pair"])(batches))
    assert found[0].schema.equals(found[1].schema)
    assert found[0].to_pylist() == [{"pair": vector, "double": 3.0, "same": "a", "sum": 3.0, "later": 10}]
    assert found[1].column("same").to_pylist() == [None]
    for dtype, shape, kind in [("uint8", (2,), "list<item: int64>"), ("float16", (), "float"), ("bool", (1,), "list")]:
        output = Output("x", "x", dtype, shape, 0.0, 0.0, {})
        assert str(names["arrow_array"](np.zeros((3, *shape), dtype), output).type).startswith(kind)


def test_vectors_of_a_table_are_scored_and_kept(spark, tmp_path):
    bundle = mixed_bundle(tmp_path / "bundle")
    given = [(1.0, "a", Vectors.dense(1.0, 2.0)), (2.0, None, Vectors.sparse(2, {1: 5.0}))]
    schema = T.StructType().add("size", "double").add("name", "string").add("pair", VectorUDT())
    rows = spark.createDataFrame(given, schema).withColumn("day", F.lit("1970-01-01").cast("date"))
    rows.coalesce(1).write.parquet(str(tmp_path / "rows"))
    arguments = ["--rows", tmp_path / "rows", "--keep", "pair", "--output", tmp_path / "scores"]
    assert run_here("score_bundle.py", "--bundle", bundle, *arguments) == 0
    found = spark.read.parquet(str(tmp_path / "scores")).collect()
    assert {(row.pair, row["sum"], row.same) for row in found} == {
        (given[0][2], 3.0, "a"),
        (given[1][2], 5.0, "\uf8ff"),
    }
    (part,) = (tmp_path / "rows").glob("*.parquet")
    assert main(["score", str(bundle), str(part), "--output", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ["2.0,a,3.0,10", "4.0,\uf8ff,5.0,10"]


def test_a_pipeline_is_exported_and_scores_as_it_did(spark, folder, capsys):
    images, bundle = folder / "pictures", folder / "bundle"
    sample = ["--sample", images, "--images", "--output", bundle]
    assert run_here("export_bundle.py", "--model", folder / "model", *sample) == 0
    assert capsys.readouterr().out.endswith(f"export_bundle: wrote the bundle {bundle}\n")
    assert run_here("export_bundle.py", "--model", folder / "model", *sample) == 1
    assert "exists already" in capsys.readouterr().err
    rows = ["--rows", images, "--images", "--output", folder / "scores"]
    assert run_here("score_bundle.py", "--bundle", bundle, "--keep", "path", *rows) == 0
    scored = {row.path: row for row in spark.read.parquet(str(folder / "scores")).collect()}
    assert len(scored) == 9
    from sparkwater.conversions import read_images

    for row in PipelineModel.load(str(folder / "model")).transform(read_images(spark, str(images))).collect():
        assert scored[row.path].predictedLabel == row.predictedLabel
        assert scored[row.path].probability == pytest.approx(row.probability.toArray().tolist(), abs=1e-5)
