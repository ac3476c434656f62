"""Fits that log themselves, and what they log."""

from __future__ import annotations

import logging
import socket

import mlflow
import pytest
from conftest import start_session
from digits import tensor_frame
from mixed_tables import mixed_frame
from sklearn.tree import DecisionTreeClassifier

from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml import ImageClassifier, SklearnClassifier
from sparkwater.ml.reports.history import epoch_values
from sparkwater.mlflow import autolog, load_model
from sparkwater.mlflow.facts import plain_params, summary_metrics
from sparkwater.stacking import StackedEnsemble
from sparkwater.stacking.scores import Score
from sparkwater.stacking.summary import EnsembleSummary


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty tracking store in files; nothing is logged by itself after the test."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "mlflow").as_uri())
    yield
    autolog(disable=True)
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def frame():
    return tensor_frame(start_session("local[2]"), 40).coalesce(1).persist()


def runs():
    return mlflow.MlflowClient().search_runs(["0"])


def test_a_network_s_fit_logs_params_curves_metrics_and_its_model(store, frame):
    autolog(log_models=True, registered_model_name="digits", extra_tags={"team": "tests"})
    estimator = ImageClassifier(network="mlp", numWorkers=1, epochs=2, trackers=[])
    model = estimator.fit(frame, {estimator.batchSize: 20})
    assert mlflow.active_run() is None
    assert estimator.getTrackers() == []
    (run,) = runs()
    assert (run.info.status, run.data.params["batchSize"], run.data.params["network"]) == ("FINISHED", "20", "mlp")
    assert (run.data.tags["team"], run.data.tags["mlflow.autologging"]) == ("tests", "sparkwater")
    assert run.data.tags["estimator_class"] == "sparkwater.ml.image_classifier.ImageClassifier"
    curve = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    # MLflow says the metrics of the model's epoch once more, as the model's.
    assert sorted({(one.step, one.value) for one in curve}) == [(one.epoch, one.loss) for one in model.summary.records]
    (logged,) = mlflow.search_logged_models(["0"], output_format="list")
    assert {one.key: one.value for one in logged.metrics}["loss"] == model.summary.records[-1].loss
    assert run.data.metrics["model.logloss"] == epoch_values(model.summary.records[-1])["logloss"]
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/training.txt") == str(model.summary)
    again = load_model("models:/digits/1")
    assert again.uid == model.uid
    autolog(disable=True)
    ImageClassifier(network="mlp", numWorkers=1, epochs=0).fit(frame)
    assert len(runs()) == 1


def test_an_ensemble_logs_one_run_with_the_params_and_metrics_of_its_learners(store, frame):
    autolog()
    small = {"network": "mlp", "numWorkers": 1, "epochs": 1}
    learners = {"net": ImageClassifier(**small), "other": ImageClassifier(**small, seed=5)}
    with mlflow.start_run() as run:
        model = StackedEnsemble(learners=learners, numFolds=2, metaLearner="pool", parallelism=2).fit(frame)
        assert mlflow.active_run() is not None
    assert [one.info.run_id for one in runs()] == [run.info.run_id]
    data = mlflow.get_run(run.info.run_id).data
    assert (data.params["learners.net"], data.params["learners.other.seed"]) == ("ImageClassifier", "5")
    assert "loss" not in data.metrics
    for score in model.summary.scores:
        assert data.metrics[f"{score.learner}.logLoss"] == score.value


def test_a_model_without_a_bundle_and_a_list_of_params_are_warnings(spark, store, caplog):
    autolog(log_models=True)
    frame = mixed_frame(spark, 40).dropna().select("size", "kind")
    learner = SklearnClassifier(estimator=DecisionTreeClassifier(max_depth=2), inputCols=["size"], labelCol="kind")
    with caplog.at_level(logging.WARNING, "sparkwater.mlflow"):
        learner.fit(frame)
        found = learner.fit(frame, [{learner.maxRows: 100}])
    assert len(list(found)) == 1
    (run,) = runs()
    assert (run.info.status, run.data.params["estimator"]) == ("FINISHED", "DecisionTreeClassifier(max_depth=2)")
    said = [record.getMessage() for record in caplog.records if record.name == "sparkwater.mlflow.autologging"]
    assert [line.partition(":")[0] for line in said] == [
        "the model isn't logged to MLflow",
        "fit with a list of Params isn't logged to MLflow; fit them one by one, or by a search",
    ]
    assert "SklearnClassifierModel can't go along in a bundle" in said[0]


def test_learners_of_any_name_are_logged_and_params_of_any_number(store):
    names = ["50 % off?", "a/../b", "..", "/", "a/b", "x" * 300, *(f"net {place}" for place in range(4))]
    params = plain_params(StackedEnsemble(learners={name: ImageClassifier(seed=3) for name in names}))
    assert len(params) > 400
    assert [params[f"learners.{name}.seed"] for name in ("50 _ off_", "a_.._b", "..", "a/b")] == ["3"] * 4
    scores = tuple(Score(name, 0.5, 0.0, 0.4, 0.6, 0.25) for name in names)
    counted = ("cross-validation", ("logLoss", "error"), scores, 9, 3, "", names[0], 0.0, 0.0, 0.0)
    metrics = summary_metrics(EnsembleSummary(*counted, (), (), (), (), (), 2.0))
    assert len(metrics) == 2 * len(names) + 1
    with mlflow.start_run() as run:
        mlflow.log_params(params)
        mlflow.log_metrics(metrics)
    data = mlflow.get_run(run.info.run_id).data
    assert (set(data.params), data.metrics) == (set(params), metrics)


def test_a_server_that_does_not_answer_never_stops_a_fit(store, frame, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow.set_tracking_uri(f"http://me:secret@127.0.0.1:{port}")
    autolog()
    logging.getLogger("mlflow").addHandler(caplog.handler)
    try:
        model = ImageClassifier(network="mlp", numWorkers=1, epochs=0).fit(frame)
    finally:
        logging.getLogger("mlflow").removeHandler(caplog.handler)
    assert model.summary.records == ()
    said = [record.getMessage() for record in caplog.records if "doesn't answer" in record.getMessage()]
    assert len(said) == 1
    assert "secret" not in caplog.text
    assert f"the tracking server 'http://***@127.0.0.1:{port}' doesn't answer, so this fit isn't logged" in said[0]


def test_an_error_of_the_fit_itself_is_raised_and_marks_the_run(store, frame):
    autolog()
    with pytest.raises(SchemaError, match="no_such"):
        ImageClassifier(epochs=0, labelCol="no_such").fit(frame)
    assert mlflow.active_run() is None
    assert [run.info.status for run in runs()] == ["FAILED"]


def test_a_name_in_the_registry_without_models_is_refused():
    with pytest.raises(ConfigurationError, match="accepted: log_models=True"):
        autolog(registered_model_name="digits")
    autolog(disable=True)
