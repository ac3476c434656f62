"""The programs in jobs/ as spark-submit runs them."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from digits import pictures, png

SPARK_SUBMIT = Path(sys.executable).with_name("spark-submit")


def submit(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = ROOT / "conf" / "spark-defaults-local.conf"
    command = [SPARK_SUBMIT, "--properties-file", settings, ROOT / "jobs" / program, *arguments]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    # spark-submit itself sends a program's standard error to its standard output.
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, **both, text=True, check=False, env=environment)


def last_line(text: str) -> str:
    return [line for line in text.splitlines() if line.strip()][-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for part, rows, seed in (("training", 120, 0), ("testing", 40, 1)):
        images, labels = pictures(rows, seed=seed)
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / part / f"kind {label}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{row}.png").write_bytes(png(image))
    return root


@pytest.fixture(scope="module")
def trained(tree) -> tuple[subprocess.CompletedProcess[str], Path]:
    model = tree / "model"
    done = submit(
        "train_image_classifier.py", "--data", str(tree), "--epochs", "6", "--batch-size", "32", "--save", str(model)
    )
    return done, model


def test_training_prints_the_confusion_matrix_and_says_what_happened(trained):
    done, model = trained
    assert done.returncode == 0, done.stdout
    assert "trained on 120 pictures with 2 workers (horovod, cpu)" in done.stdout
    assert "Confusion Matrix (rows: actual, columns: predicted)" in done.stdout
    assert "epoch 6/6" in done.stdout
    assert last_line(done.stdout).startswith("train_image_classifier: test error ")
    assert (model / "stages").is_dir()


def test_scoring_writes_a_row_a_picture(tree, trained, tmp_path):
    _, model = trained
    broken = tree / "testing" / "broken.png"
    broken.write_bytes(b"no picture")
    try:
        done = submit(
            "score_images.py",
            "--model",
            str(model),
            "--images",
            str(tree / "testing"),
            "--output",
            str(tmp_path / "scores"),
        )
    finally:
        broken.unlink()
    assert done.returncode == 0, done.stdout
    assert last_line(done.stdout).endswith(f"wrote 41 rows to {tmp_path / 'scores'}, 1 of them without a prediction")
    scores = pq.read_table(tmp_path / "scores").to_pylist()
    missing = [row for row in scores if row["prediction"] is None]
    assert [Path(row["path"]).name for row in missing] == ["broken.png"]
    right = [row["predictedLabel"] == Path(row["path"]).parent.name for row in scores if row["prediction"] is not None]
    assert sum(right) / len(right) > 0.9


@pytest.mark.parametrize(
    ("program", "arguments", "cause"),
    [
        ("train_image_classifier.py", ["--data", "{tree}", "--workers", "3"], "ConfigurationError: numWorkers=3"),
        ("train_image_classifier.py", ["--data", "{tree}", "--image-shape", "8", "8", "1"], "at least 16 x 16 pixels"),
        ("train_image_classifier.py", ["--data", "{empty}"], "DataError: there are no pictures in"),
        ("train_image_classifier.py", ["--data", "{corrupt}"], "DataError: invalid row file:"),
        (
            "score_images.py",
            ["--model", "/no/model", "--images", "{tree}/testing", "--output", "{empty}/out"],
            "score_images failed",
        ),
    ],
)
@pytest.mark.usefixtures("spark")  # the session that the program finds, and stops
def test_failure_exits_with_one_and_names_the_cause_last(
    tree, tmp_path, monkeypatch, capsys, program, arguments, cause
):
    empty, corrupt = tmp_path / "empty", tmp_path / "corrupt"
    (empty / "training").mkdir(parents=True)
    for part in ("training", "testing"):
        (corrupt / part / "a").mkdir(parents=True)
        (corrupt / part / "a" / "1.png").write_bytes(b"\x89PNG and nothing else")
    filled = [argument.format(tree=tree, empty=empty, corrupt=corrupt) for argument in arguments]
    monkeypatch.setattr(sys, "argv", [program, *filled])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "jobs" / program), run_name="__main__")
    assert ended.value.code == 1
    assert cause in last_line(capsys.readouterr().err)


def test_spark_submit_passes_exit_code_and_cause_on():
    done = submit("train_image_classifier.py", "--data", "/no/such/folder")
    assert done.returncode == 1
    assert "ConfigurationError: there is no folder" in last_line(done.stdout)


@pytest.mark.parametrize("program", ["train_image_classifier.py", "score_images.py"])
def test_help_can_be_followed(program):
    done = subprocess.run(
        [sys.executable, ROOT / "jobs" / program, "--help"], capture_output=True, text=True, check=True
    )
    assert "spark-submit" in done.stdout
    assert "last line says what happened" in " ".join(done.stdout.split())
