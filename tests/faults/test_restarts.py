"""Executors that are lost: the training starts again where its last checkpoint was."""

from __future__ import annotations

import logging
import re
import time

import psutil
import pytest
from conftest import start_session
from digits import tensor_frame
from processes import await_during, begun, is_clean, python_workers, running_executors, traces

from sparkwater.errors import ConfigurationError, RankFailure
from sparkwater.ml import ImageClassifier, ImageClassifierModel

EPOCHS = 12


def fit_while_an_executor_is_killed(estimator, frame, caplog):
    """Kill an executor once two epochs are done; return how the fit ended, and after how many seconds.

    Nothing of it is left behind: neither the lost executor's workers, nor what the others had opened.
    """
    before = traces()
    with caplog.at_level(logging.INFO, logger="sparkwater"):
        fit = begun(lambda: estimator.fit(frame))
        await_during(fit, lambda: f"epoch 2/{EPOCHS}" in caplog.text)
        executor = running_executors()[0]
        workers = python_workers(executor)
        executor.kill()
        killed = time.monotonic()
        ended = fit.exception(timeout=150) or fit.result()
    seconds = time.monotonic() - killed
    assert workers
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert is_clean(before), traces() - before
    return ended, seconds


def estimator(**params):
    settings = {"numWorkers": 2, "epochs": EPOCHS, "batchSize": 8, "stallTimeout": 15, "collective": "horovod"}
    return ImageClassifier(**settings, **params)


@pytest.fixture(scope="module")
def undisturbed():
    """What the network learns where no executor is lost."""
    return estimator().fit(tensor_frame(start_session("local-cluster[2,1,1024]"), 400))


def test_checkpoints_of_a_fit_that_lost_an_executor_are_gone_on_from_bit_for_bit(
    cluster, undisturbed, tmp_path, caplog
):
    frame = tensor_frame(cluster, 400).cache()
    # Without restarts: a failure that says so, and checkpoints that a later fit goes on from.
    failure, seconds = fit_while_an_executor_is_killed(estimator(checkpointDir=str(tmp_path / "a")), frame, caplog)
    assert isinstance(failure, RankFailure)
    assert failure.retryable
    assert failure.epoch is not None
    assert failure.epoch >= 2
    assert f"in epoch {failure.epoch}, step {failure.step} or later" in str(failure)
    assert seconds < 60
    later = estimator(checkpointDir=str(tmp_path / "a")).fit(frame)
    assert later.summary.resumedAt >= 2 * 50
    assert later.weights == undisturbed.weights


def test_killed_executor_costs_an_epoch_at_most_and_changes_no_bit(cluster, undisturbed, tmp_path, caplog):
    frame = tensor_frame(cluster, 400).cache()
    restarted = estimator(checkpointDir=str(tmp_path / "b"), maxRestarts=1)
    model, _ = fit_while_an_executor_is_killed(restarted, frame, caplog)
    assert isinstance(model, ImageClassifierModel), model
    assert model.summary.restarts == 1
    assert model.summary.resumedAt >= 2 * 50
    assert model.weights == undisturbed.weights
    assert [record.epoch for record in model.summary.records] == list(range(EPOCHS))
    trained = [int(epoch) for epoch in re.findall(rf"epoch (\d+)/{EPOCHS} ", caplog.text)]
    assert len(trained) <= EPOCHS + 1  # at most one epoch was trained again


def test_checkpoint_settings_that_cannot_work_are_refused(spark):
    frame = tensor_frame(spark, 20)
    for params, message in (
        ({"checkpointInterval": 5}, "checkpointInterval=5 needs a checkpointDir"),
        ({"maxRestarts": -1}, "maxRestarts=-1; accepted: integers from 0 up"),
        ({"checkpointDir": "nowhere://x"}, "nothing here reads nowhere://"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            ImageClassifier(**params).fit(frame)
