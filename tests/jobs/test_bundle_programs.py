"""The programs that export a bundle and score rows by it."""

from __future__ import annotations

import runpy
import sys

import pytest
from conftest import ROOT, start_session
from digits import pictures, png, png_frame
from pyspark.ml import PipelineModel

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


def run(monkeypatch, program, *arguments):
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    monkeypatch.setattr("pyspark.sql.SparkSession.stop", lambda self: None)  # the session of the other tests
    names = runpy.run_path(str(ROOT / "jobs" / program), run_name="job")
    return names["main"](names["parse_arguments"]())


def test_a_pipeline_is_exported_and_scores_as_it_did(spark, folder, monkeypatch, capsys):
    images, bundle = folder / "pictures", folder / "bundle"
    sample = ["--sample", images, "--images", "--output", bundle]
    assert run(monkeypatch, "export_bundle.py", "--model", folder / "model", *sample) == 0
    assert capsys.readouterr().out.endswith(f"export_bundle: wrote the bundle {bundle}\n")
    assert run(monkeypatch, "export_bundle.py", "--model", folder / "model", *sample) == 1
    assert "exists already" in capsys.readouterr().err
    rows = ["--rows", images, "--images", "--output", folder / "scores"]
    assert run(monkeypatch, "score_bundle.py", "--bundle", bundle, "--keep", "path", *rows) == 0
    scored = {row.path: row for row in spark.read.parquet(str(folder / "scores")).collect()}
    assert len(scored) == 9
    from sparkwater.conversions import read_images

    for row in PipelineModel.load(str(folder / "model")).transform(read_images(spark, str(images))).collect():
        assert scored[row.path].predictedLabel == row.predictedLabel
        assert scored[row.path].probability == pytest.approx(row.probability.toArray().tolist(), abs=1e-5)
