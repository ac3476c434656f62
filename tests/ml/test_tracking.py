from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec

import mlflow
import pytest
from digits import tensor_frame
from pyspark.sql import functions as F
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparkwater.errors import ConfigurationError, RankFailure
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.tasks import Metrics
from sparkwater.ml import ImageClassifier
from sparkwater.ml.reports.history import epoch_values
from sparkwater.ml.reports.tracking import tracked

METRICS = Metrics(logloss=0.25, error=0.125, meanPerClassError=0.125, auc=None, topKError=None)
EPOCH = EpochRecord(
    epoch=0,
    loss=0.5,
    rows=1000,
    seconds=2.0,
    learning_rate=0.05,
    training=Metrics(METRICS, error=0.25),
    validation=None,
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An MLflow store of files."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "mlflow").as_uri())
    yield tmp_path / "mlflow"
    mlflow.set_tracking_uri(before)


def test_each_epoch_is_tracked_as_the_history_says(spark, store, tmp_path):
    frame = tensor_frame(spark, 60).withColumn("held", F.col("id") % 5 == 0)
    estimator = ImageClassifier(
        epochs=2, validationIndicatorCol="held", trackers=["mlflow", f"tensorboard:{tmp_path / 'board'}"]
    )
    model = estimator.fit(frame)
    records = model.summary.records
    assert mlflow.active_run() is None
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    assert (run.info.status, run.data.params["epochs"], run.data.params["network"]) == ("FINISHED", "2.0", "lenet")
    assert run.data.metrics["seconds.compute"] == pytest.approx(model.summary.timings.compute)
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/training.txt") == str(model.summary)
    (folder,) = (tmp_path / "board").iterdir()
    assert folder.name.startswith(estimator.uid)
    board = EventAccumulator(str(folder)).Reload()
    for name in ("loss", "accuracy", "validationLogloss", "error"):
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
        expected = [(record.epoch, epoch_values(record)[name]) for record in records]
        # MLflow orders them by time only, and epochs this short may share a millisecond.
        assert sorted((metric.step, metric.value) for metric in history) == expected
        assert [event.step for event in board.Scalars(name)] == [0, 1]
        assert [event.value for event in board.Scalars(name)] == pytest.approx([value for _, value in expected])
    assert "auc" not in run.data.metrics


def test_the_active_run_is_used_and_stays_open_and_a_run_of_its_own_says_failed(spark, store):
    def fail(record):
        raise LookupError("no patience")

    frame = tensor_frame(spark, 40)
    with mlflow.start_run() as run:
        ImageClassifier(epochs=1, trackers=["mlflow"]).fit(frame)
        assert mlflow.active_run().info.run_id == run.info.run_id
        with tracked(["mlflow"], "second", {"epochs": "7"}) as again:
            again.observer.on_epoch(replace(EPOCH, epoch=5))
    kept = mlflow.get_run(run.info.run_id)
    assert (kept.data.params["epochs"], kept.data.metrics["loss"]) == ("1.0", 0.5)
    with pytest.raises(RankFailure, match="no patience"):
        ImageClassifier(epochs=1, trackers=["mlflow"], callbacks=[fail]).fit(frame)
    assert sorted(found.info.status for found in mlflow.MlflowClient().search_runs(["0"])) == ["FAILED", "FINISHED"]


def test_a_tracker_that_fails_is_given_up_and_the_others_go_on(store, tmp_path, caplog):
    with tracked(["mlflow", f"tensorboard:{tmp_path / 'board'}"], "name", {"network": "x" * 9000}) as tracking:
        tracking.observer.on_epoch(EPOCH)
        tracking.observer.on_epoch(EPOCH)
        shutil.rmtree(store)
        store.write_text("no folder any more")
        tracking.observer.on_epoch(replace(EPOCH, epoch=1))
        tracking.observer.on_epoch(replace(EPOCH, epoch=2))
    warnings = [record.getMessage() for record in caplog.records if record.name == "sparkwater.ml.reports.tracking"]
    assert mlflow.active_run() is None
    assert len(warnings) == 1
    assert warnings[0].startswith("mlflow failed")
    assert [event.step for event in EventAccumulator(str(tmp_path / "board" / "name")).Reload().Scalars("loss")] == [
        0,
        1,
        2,
    ]


def test_unknown_trackers_and_missing_packages_are_refused_before_any_job(spark, tmp_path, monkeypatch):
    frame = spark.range(3).withColumn("features", F.raise_error(F.lit("a job ran")).cast("binary"))
    for tracker in ("wandb", "mlflow:", "mlflow:here", "tensorboard", "tensorboard:"):
        with pytest.raises(ConfigurationError, match="accepted: a list of 'mlflow', 'tensorboard:FOLDER'"):
            ImageClassifier(trackers=[tracker]).fit(frame)
    for name, package in (("mlflow", "mlflow-skinny"), ("tensorboard", "tensorboard")):
        monkeypatch.setitem(sys.modules, name, None)
        assert find_spec(name) is None
        with pytest.raises(ConfigurationError, match=f"the driver has no {name}; install {package}"):
            ImageClassifier(trackers=[name if name == "mlflow" else f"{name}:{tmp_path}"]).fit(frame)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="can't be opened"), tracked([f"tensorboard:{tmp_path}/file"], "a", {}):
        pass
