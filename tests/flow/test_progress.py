"""The progress of trainings, in numbers and words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkwater.flow.views.charts import curves_chart
from sparkwater.flow.views.curves import training_curves
from sparkwater.flow.views.jobs import by_rank, job_row, pace, phase
from sparkwater.flow.work.jobs import Job
from sparkwater.flow.work.progress import Training
from sparkwater.flow.workbook.actions.scoring import Score
from sparkwater.flow.workbook.actions.training import Fit
from sparkwater.gpu.records import EpochRecord, StepRecord
from sparkwater.gpu.tasks import Metrics

FIT = Fit("net", "digits", "ImageClassifier")


def record(epoch, validation=None):
    metrics = Metrics(logloss=0.5, error=0.25, auc=None)
    return EpochRecord(epoch, 0.5 - epoch / 10_000, 100, 2.0, 0.1, metrics, validation)


def step(epoch, rows, *speeds):
    return StepRecord(epoch, 3, rows, 100, 0.5, speeds)


def job(*trainings, **fields):
    return Job(
        **{"id": 3, "action": FIT, "submitted": 0.0, "state": "running", "started": 1.0, **fields}, trainings=trainings
    )


def test_a_training_counts_epochs_steps_and_the_time_that_is_left():
    training = Training(4.0)
    assert (training.share, training.rows_a_second, training.seconds_left) == (0.0, None, None)
    training = training.with_step(step(0, 50))
    assert training.share == pytest.approx(0.125)
    training = training.with_epoch(record(0))
    assert (training.share, training.rows_a_second, training.seconds_left) == (0.25, 50.0, 6.0)
    training = training.with_step(step(1, 50))
    assert training.seconds_left == pytest.approx(5.0)


def test_speed_and_time_left_are_known_within_the_first_epoch():
    training = Training(4.0).with_step(step(0, 50, 15.0, 5.0))
    assert (training.speeds, training.rows_a_second, training.seconds_left) == ((15.0, 5.0), 20.0, 17.5)
    after = training.with_epoch(record(0))
    assert (after.rows_a_second, after.seconds_left) == (50.0, 6.0)
    assert pace(job(training)) == "0 of 4 epochs, 20 rows a second, 17.5 s left."


def test_ranks_say_their_speeds():
    two = Training(4.0).with_step(step(0, 50, 1500.0, 500.4))
    assert by_rank(job(two)) == "Rows a second by rank. Rank 0: 1,500; rank 1: 500."
    many = Training(4.0).with_step(step(0, 50, *(float(rank) for rank in range(64))))
    assert by_rank(job(many)).endswith("rank 15: 15; 48 more: 16 to 63 each.")
    alone = Training(4.0).with_step(step(0, 50, 1500.0))
    for other in (job(), job(Training(4.0)), job(alone), job(two, state="done", ended=3.5)):
        assert by_rank(other) == ""


def test_records_that_overtake_each_other_or_come_twice_are_in_order():
    training = Training(3.0).with_epoch(record(1)).with_epoch(record(0)).with_epoch(replace(record(1), loss=0.125))
    assert [(each.epoch, each.loss) for each in training.epochs] == [(0, 0.5), (1, 0.125)]
    assert training.with_step(step(0, 10)).share == pytest.approx(2 / 3)  # a step of an epoch that is done


def test_a_job_says_what_it_does():
    assert phase(job(state="waiting", started=None)) == (
        "It waits for the jobs before it: one training runs at a time."
    )
    assert phase(job(state="waiting", started=None, action=Score("s", "net", "digits"))) == (
        "It waits for the jobs before it."
    )
    assert phase(job()) == "Spark works: rows are read and counted."
    assert phase(job(Training(2.0))).startswith("Workers start")
    assert phase(job(Training(2.0), Training(2.0))).startswith("Training 2: Workers start")
    assert phase(job(Training(2.0), Training(2.0, (record(0),)))) == "Training 2 runs."
    assert phase(job(cancelling=True)) == "It is being cancelled: Spark ends its tasks."
    assert phase(job(state="failed", ended=3.5)) == "Failed after 2.5 s."
    assert phase(job(state="cancelled", started=None)) == "Cancelled."
    assert job_row(job(Training(2.0, (record(0),)))).progress == "1 of 2 epochs"
    assert job_row(job(cancelling=True)).state == "cancelling"


def test_what_is_read_aloud_changes_with_the_state_alone_and_the_pace_stands_beside_it():
    begun = Training(2.0).with_step(step(0, 10, 5.0))
    later = begun.with_epoch(record(0))
    assert phase(job(begun)) == phase(job(later)) == "The training runs."
    assert pace(job(later)) == "1 of 2 epochs, 50 rows a second, 2.0 s left."
    silent = (job(), job(Training(2.0)), job(later, cancelling=True), job(later, state="done", ended=3.5))
    assert [pace(each) for each in silent] == ["", "", "", ""]


def test_curves_have_the_metrics_that_are_defined():
    assert training_curves(()) == ()
    found = training_curves(
        [record(0, Metrics(logloss=0.25, error=0.5, auc=None)), record(1, Metrics(logloss=0.125, error=0.5, auc=None))]
    )
    assert {panel.title: list(panel.lines) for panel in found} == {
        "loss": ["training rows"],
        "logloss": ["training rows", "validation rows"],
        "error": ["training rows", "validation rows"],
    }
    assert found[1].lines["validation rows"] == (0.25, 0.125)
    assert "validation rows: 0.25 in epoch 1, 0.125 in epoch 2, lowest 0.125 in epoch 2" in found[1].alt
    options = curves_chart(found[1])
    assert [series["data"] for series in options["series"]] == [[0.5, 0.5], [0.25, 0.125]]
    assert len({series["lineStyle"]["type"] for series in options["series"]}) == 2


def test_a_metric_that_is_the_loss_is_drawn_once():
    held_out = Metrics(logloss=0.75, error=0.5, auc=None)
    records = [record(epoch, held_out) for epoch in range(2)]
    same = [replace(one, training=Metrics({**one.training, "logloss": one.loss * (1 + 1e-7)})) for one in records]
    found = training_curves(same)
    assert [panel.title for panel in found] == ["loss (logloss)", "error"]
    assert found[0].lines["validation rows"] == (0.75, 0.75)
    assert found[0].alt.startswith("loss (logloss) by epoch. training rows: 0.5 in epoch 1")
    other = [same[0], replace(same[1], loss=0.4)]
    assert [panel.title for panel in training_curves(other)] == ["loss", "logloss", "error"]


def test_measures_of_the_same_values_are_drawn_once():
    def measured(epoch, **validation):
        training = Metrics(logloss=0.5, error=0.25, meanPerClassError=0.25 + 1e-12, auc=None)
        return replace(record(epoch, Metrics(logloss=0.75, auc=None, **validation)), training=training)

    same = [measured(0, error=0.5, meanPerClassError=0.5), measured(1, error=None, meanPerClassError=None)]
    found = training_curves(same)
    assert [panel.title for panel in found] == ["loss", "logloss", "error (meanPerClassError)"]
    assert found[2].lines == {"training rows": (0.25, 0.25), "validation rows": (0.5, None)}
    unlike = [same[0], measured(1, error=0.5, meanPerClassError=0.25)]
    assert [panel.title for panel in training_curves(unlike)][2:] == ["error", "meanPerClassError"]


@pytest.mark.parametrize("epochs", [1, 299, 300, 301, 5000])
def test_long_curves_are_thinned_to_their_last_point(epochs):
    (loss, *_) = training_curves([record(epoch) for epoch in range(epochs)])
    assert len(loss.epochs) == len(loss.lines["training rows"]) <= 301
    assert (loss.epochs[0], loss.epochs[-1]) == (1, epochs)
    assert len(set(loss.epochs)) == len(loss.epochs)
    assert curves_chart(loss)["xAxis"]["data"] == list(loss.epochs)
    assert f"in epoch {epochs}" in loss.alt


def test_the_best_epoch_is_marked_also_where_epochs_are_left_out():
    (loss, *_) = training_curves([record(epoch) for epoch in range(1000)], best=501)
    (mark,) = curves_chart(loss)["series"][0]["markLine"]["data"]
    assert loss.numbers[mark["xAxis"]] == 502
