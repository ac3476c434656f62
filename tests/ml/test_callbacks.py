from __future__ import annotations

import threading

import pytest
from digits import tensor_frame

from sparkwater.errors import ConfigurationError, RankFailure
from sparkwater.ml import ImageClassifier


def test_a_callback_is_called_once_an_epoch_and_stops_all_workers(spark, tmp_path):
    frame, seen = tensor_frame(spark, 60), tmp_path / "seen"

    def note(record):
        with seen.open("a") as file:
            file.write(f"{record.epoch} {record.loss!r}\n")

    model = ImageClassifier(
        epochs=5, numWorkers=2, collective="torch", callbacks=[lambda record: record.epoch == 1, note]
    ).fit(frame)
    summary = model.summary
    assert summary.stoppedBy == "callbacks"
    assert [record.epoch for record in summary.records] == [0, 1]
    assert seen.read_text() == "".join(f"{record.epoch} {record.loss!r}\n" for record in summary.records)
    assert summary.timingsPerRank[0].callbacks > 0


def test_what_a_callback_raises_fails_the_fit_with_its_traceback(spark):
    def impatient(record):
        raise LookupError(f"no patience after epoch {record.epoch}")

    with pytest.raises(RankFailure, match="no patience after epoch 0") as caught:
        ImageClassifier(epochs=2, numWorkers=2, collective="torch", callbacks=[impatient]).fit(tensor_frame(spark, 60))
    assert (caught.value.rank, caught.value.epoch, caught.value.error_type) == (0, 0, "LookupError")
    assert "in impatient" in caught.value.remote_traceback


def test_callbacks_that_are_none_or_cannot_travel_or_be_saved_are_refused(spark, tmp_path):
    for value in ("a name", [3], print):
        with pytest.raises(TypeError, match="accepted: a list of functions"):
            ImageClassifier(callbacks=value)
    lock = threading.Lock()
    with pytest.raises(ConfigurationError, match=r"callbacks\[0\].* can't travel to the executors"):
        ImageClassifier(callbacks=[lambda record: lock.locked()]).fit(tensor_frame(spark, 4))
    estimator = ImageClassifier(callbacks=[print])
    with pytest.raises(ConfigurationError, match="callbacks are set"):
        estimator.write()
    estimator.clear(estimator.callbacks)
    estimator.write().save(str(tmp_path / "estimator"))
