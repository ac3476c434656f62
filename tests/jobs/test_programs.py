"""The programs in jobs/ as spark-submit runs them, and more of what they do in this process."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT, start_session
from digits import pictures, png
from programs import exit_code, last_line, run_here, submit
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import OneHotEncoder
from pyspark.ml.regression import LinearRegression
from pyspark.sql import functions as F

from sparkwater.conversions import ArrayToTensor
from sparkwater.gpu.device import computes_bfloat16
from sparkwater.stacking import StackedEnsembleModel

pytestmark = pytest.mark.spark  # spark-submit starts sessions of its own


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for part, rows, seed in (("training", 80, 0), ("testing", 20, 1)):
        images, labels = pictures(rows, seed=seed)
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / part / f"kind {label}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{row}.png").write_bytes(png(image))
    return root


@pytest.fixture(scope="module")
def trained(tree) -> tuple[subprocess.CompletedProcess[str], Path]:
    model = tree / "model"
    settings = ["--epochs", "6", "--batch-size", "16", "--collective", "horovod"]
    return submit("train_image_classifier.py", "--data", str(tree), *settings, "--save", str(model)), model


def test_training_prints_the_confusion_matrix_and_says_what_happened(trained):
    done, model = trained
    assert done.returncode == 0, done.stdout
    assert "trained on 80 pictures with 2 workers (horovod, cpu)" in done.stdout
    assert "Confusion Matrix (rows: actual, columns: predicted)" in done.stdout
    assert "epoch 6/6" in done.stdout
    assert last_line(done.stdout).startswith("train_image_classifier: test error ")
    assert (model / "stages").is_dir()


def test_a_stream_of_pictures_is_scored(tree, trained, tmp_path, capsys):
    _, model = trained
    arguments = ["--model", str(model), "--input", str(tree / "testing"), "--output", str(tmp_path / "scores")]
    assert run_here("score_stream.py", *arguments, "--checkpoint", tmp_path / "marks") == 0
    assert last_line(capsys.readouterr().out).startswith("score_stream: scored 20 new rows")
    written = pq.read_table(tmp_path / "scores")
    assert written.num_rows == 20
    assert set(written.column_names) >= {"path", "prediction", "predictedLabel", "probability"}


def test_scoring_writes_a_row_a_picture(tree, trained, tmp_path, capsys):
    _, model = trained
    arguments = ["--model", model, "--images", tree / "testing", "--output", tmp_path / "scores"]
    broken = tree / "testing" / "broken.png"
    broken.write_bytes(b"no picture")
    try:
        assert run_here("score_images.py", *arguments) == 0
    finally:
        broken.unlink()
    said = last_line(capsys.readouterr().out)
    assert said.endswith(f"wrote 21 rows to {tmp_path / 'scores'}, 1 of them without a prediction")
    scores = pq.read_table(tmp_path / "scores").to_pylist()
    missing = [row for row in scores if row["prediction"] is None]
    assert [Path(row["path"]).name for row in missing] == ["broken.png"]
    right = [row["predictedLabel"] == Path(row["path"]).parent.name for row in scores if row["prediction"] is not None]
    assert sum(right) / len(right) > 0.9


def test_extracted_features_of_pictures_find_pictures_of_the_same_kind(tree, trained, tmp_path, capsys):
    features, similar = str(tmp_path / "features"), str(tmp_path / "similar")
    pictures = ["--model", str(trained[1]), "--images", str(tree / "testing"), "--output", features]
    assert run_here("extract_features.py", *pictures, "--layers", "fc1", "2") == 0
    said = f"extract_features: wrote 20 rows to {features}, 0 of them without features"
    assert last_line(capsys.readouterr().out) == said
    assert pq.read_schema(next(Path(features).glob("*.parquet"))).names == ["path", "fc1", "2"]
    columns = ["--id-col", "path", "--features-col", "fc1", "--k", "2"]
    sides = ["--queries", features, "--references", features, "--output", similar]
    assert run_here("find_similar.py", *sides, *columns) == 0
    nearest = [row for row in pq.read_table(similar).to_pylist() if row["rank"] == 2]  # the first is the picture itself
    assert len(nearest) == 20
    kinds = [[Path(row[side]).parent for side in ("queryId", "referenceId")] for row in nearest]
    assert sum(query == reference for query, reference in kinds) > 17


def test_bad_rows_of_a_stream_are_treated_by_the_stages_of_this_package_alone(tmp_path):
    """Spark's one-hot vectors would be longer with `keep` than those that the regression learned from."""
    spark = start_session("local[2]")
    lines = [(row, float(row % 3), None if row == 5 else [float(row)]) for row in range(12)]
    frame = spark.createDataFrame(lines, "id long, kind double, numbers array<double>").coalesce(1)
    stages = [
        ArrayToTensor(inputCol="numbers", outputCol="tensor", shape=[1]),
        OneHotEncoder(inputCol="kind", outputCol="code"),
        LinearRegression(featuresCol="code", labelCol="id"),
    ]
    fitted = Pipeline(stages=stages).fit(frame.where("numbers IS NOT NULL"))
    PipelineModel([fitted]).save(str(tmp_path / "model"))
    frame.write.json(str(tmp_path / "inbox"))
    expected = {
        row.id: row.prediction for row in fitted.stages[2].transform(fitted.stages[1].transform(frame)).collect()
    }
    places = {name: str(tmp_path / name) for name in ("model", "inbox", "scores", "marks")}
    arguments = ["--model", places["model"], "--input", places["inbox"], "--checkpoint", places["marks"]]
    arguments += ["--format", "json", "--schema", "id long, kind double, numbers array<double>"]
    arguments += ["--output", places["scores"], "--handle-invalid", "keep"]
    assert run_here("score_stream.py", *arguments) == 0
    written = pq.read_table(places["scores"]).to_pylist()
    assert {row["id"]: row["prediction"] for row in written} == expected
    assert [row["id"] for row in written if row["tensor"] is None] == [5]


def test_stacking_tells_errors_of_the_ensemble_and_of_its_learners(tree, capsys):
    arguments = ["--data", str(tree), "--folds", "2", "--learners", "regression", "--iterations", "3"]
    assert run_here("stack_images.py", *arguments) == 0
    printed = capsys.readouterr().out
    assert "there is one learner only" in printed
    assert "test error of regression: " in printed
    assert "stack_images: test error " in last_line(printed)
    assert "of 20 pictures; its best learner alone, regression, " in last_line(printed)


def test_stacked_fold_models_are_measured_as_spark_measures_them(tree, tmp_path, capsys):
    saved = str(tmp_path / "stack")
    arguments = ["--data", tree, "--folds", "2", "--recipe", "digits", "--learners", "strided", "convnet"]
    assert run_here("stack_images.py", *arguments, "--epochs", "0.5", "--save", saved) == 0
    printed = capsys.readouterr().out
    model = StackedEnsembleModel.load(saved)
    assert [len(models) for models in model.baseModels.values()] == [2, 2]
    spark = start_session("local[2]")
    names = runpy.run_path(str(ROOT / "jobs" / "stack_images.py"), run_name="job")
    scored = model.transform(names["read_pictures"](spark, f"{tree}/testing"))
    classes = F.array(*map(F.lit, model.classes))
    scored = scored.withColumn("place", (F.array_position(classes, F.col("label")) - 1).cast("double")).cache()
    loss, right = (
        MulticlassClassificationEvaluator(metricName=metric, labelCol="place").evaluate(scored)
        for metric in ("logLoss", "accuracy")
    )
    assert f"test error of the ensemble: {100 * (1 - right):.2f} %, log loss {loss:.5f}" in printed
    assert re.search(r"test error of strided: \d+\.\d\d %, log loss \d", printed)
    assert f"; log loss {loss:.5f}, " in last_line(printed)
    scored.unpersist()


def test_recipes_keep_the_meaning_of_digits_and_know_their_learners(tree, monkeypatch, capsys):
    recipes = runpy.run_path(str(ROOT / "jobs" / "stack_images.py"), run_name="job")["RECIPES"]
    fast = "bfloat16" if computes_bfloat16(torch.device("cpu")) else "float32"
    assert [recipes["digits"].precision(device) for device in ("cuda", "cpu")] == ["bfloat16", fast]
    assert recipes["demo"].precision("cuda") == "float32"
    steps = [step["name"] for step in recipes["digits"].augmentation]
    assert "flip" not in steps
    assert {"shift", "rotation", "scale"} <= set(steps)
    arguments = ["stack_images.py", "--data", str(tree), "--recipe", "digits", "--learners", "forest"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert exit_code("stack_images.py") == 2
    assert "--learners forest: the learners of the recipe digits are strided" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "arguments", "cause"),
    [
        ("train_image_classifier.py", ["--data", "{tree}", "--workers", "3"], "ConfigurationError: numWorkers=3"),
        ("train_image_classifier.py", ["--data", "{tree}", "--image-shape", "8", "8", "1"], "at least 16 x 16 pixels"),
        ("train_image_classifier.py", ["--data", "{empty}"], "DataError: there are no pictures in"),
        ("train_image_classifier.py", ["--data", "{corrupt}"], "DataError: invalid row file:"),
        ("stack_images.py", ["--data", "{empty}"], "DataError: there are no pictures in"),
        ("stack_images.py", ["--data", "{tree}", "--folds", "1"], "ConfigurationError: numFolds=1"),
        (
            "score_images.py",
            ["--model", "/no/model", "--images", "{tree}/testing", "--output", "{empty}/out"],
            "score_images failed",
        ),
        (
            "extract_features.py",
            ["--model", "{model}", "--images", "{tree}/testing", "--layers", "fc9", "--output", "{empty}/out"],
            "extract_features failed: ConfigurationError: layer='fc9' is no layer",
        ),
    ],
)
def test_failure_exits_with_one_and_names_the_cause_last(tree, trained, tmp_path, capsys, program, arguments, cause):
    empty, corrupt = tmp_path / "empty", tmp_path / "corrupt"
    (empty / "training").mkdir(parents=True)
    for part in ("training", "testing"):
        (corrupt / part / "a").mkdir(parents=True)
        (corrupt / part / "a" / "1.png").write_bytes(b"\x89PNG and nothing else")
    places = {"tree": tree, "empty": empty, "corrupt": corrupt, "model": trained[1]}
    assert run_here(program, *(argument.format(**places) for argument in arguments)) == 1
    assert cause in last_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "program",
    ["train_image_classifier.py", "score_images.py", "extract_features.py", "stack_images.py", "automl.py"],
)
def test_help_can_be_followed(program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    assert exit_code(program) == 0
    printed = capsys.readouterr().out
    assert "spark-submit" in printed
    assert "last line says what happened" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("label", "params", "said"),
    [
        ("species", ["hidden=[16]"], r"train_table: test error \d+\.\d\d % \(\d+ of \d+ rows\)"),
        ("body_mass_g", ["handleInvalid=skip", 'inputCols=["species", "sex"]'], r"train_table: test rmse \d+.*, r2 "),
    ],
)
def test_a_table_is_learned_from_its_file(tmp_path, capsys, label, params, said):
    model = str(tmp_path / "model")
    arguments = ["--data", str(ROOT / "data" / "penguins.csv"), "--null", "NA", "--label", label, "--save", model]
    settings = ["--recipe", "mlp", "--workers", "1", "--param", "epochs=2"]
    settings += [word for param in params for word in ("--param", param)]
    assert run_here("train_table.py", *arguments, *settings) == 0
    printed = capsys.readouterr().out
    assert re.match(said, last_line(printed))
    assert "recipe: mlp" in printed
    assert (tmp_path / "model" / "encoder").is_dir()


def test_the_best_model_of_a_file_s_rows_is_found_and_saved(tmp_path, capsys):
    model = str(tmp_path / "model")
    arguments = ["--data", str(ROOT / "data" / "penguins.csv"), "--null", "NA", "--label", "species", "--seconds", "0"]
    settings = ["--param", "foldCol=year", "--param", "maxModels=1", "--param", 'include=["glm"]', "--save", model]
    assert run_here("automl.py", *arguments, *settings) == 0
    printed = capsys.readouterr().out
    assert re.match(r"automl: glm: test error \d\.\d\d % of \d+ rows", last_line(printed))
    assert "body_mass_g" in printed
    assert (tmp_path / "model" / "best").is_dir()
