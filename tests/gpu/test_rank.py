from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from gpu import ranks

from sparkwater.gpu.collective.connections import COLLECTIVES
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.networks import build_network
from sparkwater.gpu.networks.weight_bytes import digest, load_weights
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.records import EpochRecord, Observer, StepRecord
from sparkwater.gpu.rows.held import load_rows

ROWS = 60


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def train_alone(batches: list[pa.RecordBatch], job: RankJob | None = None, **changes: Any) -> Outcome:
    return run_rank(batches, job or ranks.rank_job(ROWS, **changes), SinglePeer())


def test_one_rank_learns_and_says_how_it_went() -> None:
    seen: list[tuple[EpochRecord, int]] = []
    job = ranks.rank_job(ROWS, epochs=6, momentum=0.9, learning_rate=0.02)
    steps: list[StepRecord] = []
    observer = Observer(lambda record: seen.append((record, torch.get_num_threads())), steps.append)
    outcome = run_rank(ranks.picture_batches(range(ROWS)), job, SinglePeer(), observer)
    assert outcome.failure is None
    assert [record.epoch for record in outcome.history] == list(range(6))
    assert {record.rows for record in outcome.history} == {ROWS}
    assert outcome.history[-1].loss < 0.3 * outcome.history[0].loss
    assert outcome.history[-1].accuracy > 0.9
    assert seen == [(record, 1) for record in outcome.history]
    assert [(step.epoch, step.rows) for step in steps[:5]] == [(0, 15), (0, 30), (0, 45), (0, 60), (1, 15)]
    assert outcome.history[0].loss == pytest.approx(sum(step.loss for step in steps[:4]) / 4)
    for step, record in zip(steps[3::4], outcome.history, strict=True):
        (speed,) = step.speeds
        assert 0 < ROWS / speed <= record.seconds
    assert (outcome.rank, outcome.rows, outcome.skipped, outcome.device) == (0, ROWS, 0, "cpu")
    assert outcome.weights_digest == digest(outcome.weights)
    assert torch.get_num_threads() == 2


def test_the_weights_of_an_outcome_give_the_trained_network() -> None:
    job = ranks.rank_job(ROWS, epochs=8, momentum=0.9, learning_rate=0.02)
    outcome = train_alone(ranks.picture_batches(range(ROWS)), job)
    network = build_network(job.network, job.spec.shape, job.task.outputs, 999)
    load_weights(network, outcome.weights)
    assert outcome.scaling is not None
    rows = load_rows(ranks.picture_batches(range(ROWS)), job.spec, job.task, "error")
    with torch.inference_mode():
        hits = network(outcome.scaling.apply(rows.features)).argmax(dim=1) == rows.targets
    assert float(hits.float().mean()) > 0.9


@pytest.mark.parametrize(("optimizer", "schedule"), [("sgd", "cosine"), ("adamw", "oneCycle"), ("rmsprop", "step")])
def test_the_same_rows_in_another_order_give_the_same_weights(optimizer: str, schedule: str) -> None:
    settings = {"optimizer": optimizer, "schedule": schedule, "learning_rate": 0.003, "epochs": 2}
    batches = ranks.picture_batches(range(ROWS))
    first = train_alone(batches, **settings)
    random.Random(1).shuffle(batches)
    again = train_alone(pa.Table.from_batches(batches).combine_chunks().to_batches(max_chunksize=11), **settings)
    other = train_alone(batches, **settings, seed=43)
    assert first.failure is None
    assert first.weights == again.weights
    assert first.weights_digest == again.weights_digest
    assert [record.loss for record in first.history] == [record.loss for record in again.history]
    assert other.weights_digest != first.weights_digest


@pytest.mark.parametrize("rows", [range(ROWS), range(0)])
def test_an_outcome_survives_json(rows: range) -> None:
    batches = ranks.picture_batches(rows, corrupt=len(rows) > 0)
    outcome = train_alone(batches, ranks.rank_job(len(rows), handle_invalid="skip"))
    assert (outcome.failure is None) == (len(rows) > 0)
    text = outcome.to_json()
    assert Outcome.from_json(text, outcome.weights) == outcome
    assert Outcome.from_json(text, b"").to_json() == text
    assert "weights" not in json.loads(text)


def test_no_rows_are_an_error() -> None:
    for batches in ([], ranks.picture_batches(range(3))[0:1]):
        empty = [batch.slice(0, 0) for batch in batches]
        outcome = train_alone(empty, ranks.rank_job(0))
        assert outcome.failure is not None
        assert outcome.failure.error_type == "DataError"
        assert "no rows" in outcome.failure.message
        assert (outcome.failure.epoch, outcome.failure.step, outcome.failure.first) == (None, None, True)
        assert outcome.weights == b""
    assert torch.get_num_threads() == 2


def test_another_number_of_rows_than_was_counted_is_an_error_with_both_numbers() -> None:
    outcome = train_alone(ranks.picture_batches(range(ROWS)), ranks.rank_job(777))
    assert outcome.failure is not None
    assert outcome.failure.error_type == "DataError"
    assert "777" in outcome.failure.message
    assert str(ROWS) in outcome.failure.message


def test_a_corrupt_row_is_an_error_or_is_counted_as_asked() -> None:
    batches = ranks.picture_batches(range(ROWS), corrupt=True)
    failed = train_alone(batches, handle_invalid="error")
    assert failed.failure is not None
    assert failed.failure.error_type == "DataError"
    assert "row-0.png" in failed.failure.message
    assert "it is no picture" in failed.failure.message
    assert "load_rows" in failed.failure.remote_traceback
    skipped = train_alone(batches, handle_invalid="skip")
    assert skipped.failure is None
    assert (skipped.rows, skipped.skipped) == (ROWS - 1, 1)
    assert skipped.skipped_listed == [("row-0.png", "it is no picture")]
    assert {record.rows for record in skipped.history} == {ROWS - 1}


def test_rows_that_are_all_skipped_are_an_error() -> None:
    batches = [batch.slice(0, 1) for batch in ranks.picture_batches(range(7), corrupt=True)]
    outcome = train_alone(batches, ranks.rank_job(1, handle_invalid="skip"))
    assert outcome.failure is not None
    assert outcome.failure.error_type == "DataError"
    assert "skipped" in outcome.failure.message


def test_a_loss_that_is_not_finite_stops_the_training_with_its_place() -> None:
    outcome = train_alone(ranks.picture_batches(range(ROWS)), learning_rate=1e30)
    assert outcome.failure is not None
    assert outcome.failure.error_type == "DataError"
    assert "learningRate" in outcome.failure.message
    epoch, step = outcome.failure.epoch, outcome.failure.step
    assert isinstance(epoch, int)
    assert isinstance(step, int)
    assert f"epoch {epoch}, step {step}" in outcome.failure.message
    assert (epoch, step) > (0, 0)
    assert outcome.failure.first
    assert torch.get_num_threads() == 2


def test_callbacks_change_nothing_but_when_a_training_ends() -> None:
    batches, seen = ranks.picture_batches(range(ROWS)), list[int]()
    job = ranks.rank_job(ROWS, epochs=2)
    alone = train_alone(batches, job)
    watched = train_alone(batches, replace(job, callbacks=(lambda record: seen.append(record.epoch),)))
    assert (watched.weights_digest, watched.stopped_by, seen) == (alone.weights_digest, "epochs", [0, 1])
    answers: list[Any] = [1, "yes", None, np.bool_(True)]
    job = replace(ranks.rank_job(ROWS, epochs=9), callbacks=(lambda record: answers[record.epoch],))
    stopped = train_alone(batches, job)
    assert (stopped.stopped_by, len(stopped.history)) == ("callbacks", 4)


def test_an_error_between_epochs_is_reported_and_not_raised() -> None:
    def fail(record: EpochRecord) -> None:
        raise ZeroDivisionError(f"after epoch {record.epoch}")

    outcome = run_rank(ranks.picture_batches(range(ROWS)), ranks.rank_job(ROWS), SinglePeer(), Observer(on_epoch=fail))
    assert outcome.failure is not None
    assert (outcome.failure.error_type, outcome.failure.message) == ("ZeroDivisionError", "after epoch 0")
    assert (outcome.failure.epoch, outcome.failure.step) == (0, None)
    assert torch.get_num_threads() == 2


#: Rows and classes with weights, rows to validate on, a fraction of an epoch.
WEIGHTED: dict[str, Any] = {
    "weights": {row: row % 4 / 2 for row in range(ROWS)},
    "weighted": True,
    "class_weights": [1.0, 3.0, 0.5],
    "held_out": [*range(10, 20), *range(50, 55)],
    "validation": True,
    "epochs": 2.5,
    "label_smoothing": 0.1,
    "top_k": 2,
    "keep_best": True,
    "calibrate": True,
}

#: Tasks other than classification, as two ranks learn them: with weights, and rows to validate on.
OTHERS = tuple(kind for kind in ranks.TASKS if kind != "classification")
OF_A_TASK: dict[str, Any] = {name: WEIGHTED[name] for name in ("weights", "weighted", "held_out", "validation")}

#: All that a recipe for tables may set and that follows from the step: rates of layers, of weights, and of decay.
RECIPES: dict[str, dict[str, Any]] = {
    "realmlp": {
        "network": "realmlp", "network_arguments": {"hidden": [20, 20], "dropout": 0.0}, "optimizer": "adamw",
        "learning_rate": 0.02, "schedule": "fourCycles", "beta2": 0.95, "weight_decay": 0.02,
        "weight_decay_schedule": "flatCosine",
    },
    "tabm": {
        "network": "tabm", "network_arguments": {"hidden": [20], "members": 3, "dropout": 0.0},
        "optimizer": "adadelta", "learning_rate": 1.0, "rho": 0.99, "epsilon": 1e-6, "layer_decay": 0.9, "l2": 1e-3,
    },
}  # fmt: skip

Reports = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """What two ranks report of several trainings in the same two processes."""
    halves = {"starts": [0, ROWS // 2, ROWS]}
    tenth = {"starts": [0, ROWS // 10, ROWS]}
    jobs: dict[str, dict[str, Any]] = {
        "horovod": {**halves, "collective": "horovod", "batch_size": 100},
        "torch": {**halves, "collective": "torch", "batch_size": 100},
        "memory": {**halves, "collective": "memory", "batch_size": 100},
        "uneven": {**tenth, "collective": "torch", "epochs": 5, "momentum": 0.9, "learning_rate": 0.02},
        "normalised": {**tenth, "collective": "horovod", "network": "convnet", "epochs": 2},
        "empty": {"starts": [0, 0, ROWS], "collective": "memory", "epochs": 2},
        "corrupt": {**halves, "collective": "torch", "corrupt": 1},
        "weighted": {**halves, "collective": "torch", "batch_size": 100, **WEIGHTED},
        **{kind: {**halves, "collective": "memory", "batch_size": 100, "kind": kind, **OF_A_TASK} for kind in OTHERS},
        "augmented": {**tenth, "collective": "horovod", "epochs": 2, "augmentation": [{"name": "shift", "pixels": 2}]},
        "timed": {**tenth, "collective": "horovod", "max_runtime_secs": 1e-9},
        "timed without rows": {"starts": [0, 0, ROWS], "collective": "memory", "max_runtime_secs": 1e-9},
        **{name: {**halves, "collective": "memory", "batch_size": 100, **recipe} for name, recipe in RECIPES.items()},
        "not finite": {**tenth, "collective": "horovod", "learning_rate": 1e30},
    }
    both = ranks.launch("trainings", tmp_path_factory.mktemp("ranks"), limit=120, jobs=jobs)
    return {name: [report[name] for report in both] for name in jobs}


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_two_ranks_do_what_one_does(reports: Reports, collective: str) -> None:
    alone = train_alone(ranks.picture_batches(range(ROWS)), batch_size=100, epochs=4)
    halves = reports[collective]
    assert alone.failure is None
    assert [half["failure"] for half in halves] == [None, None]
    assert halves[0]["weights_digest"] == halves[1]["weights_digest"]
    assert halves[0]["weights_bytes"] > 0
    assert halves[1]["weights_bytes"] == 0
    assert alone.history[-1].loss < alone.history[0].loss
    assert alone.scaling is not None
    for half in halves:
        assert [half["scaling"]["mean"], half["scaling"]["deviation"]] == [
            [*alone.scaling.mean],
            [*alone.scaling.deviation],
        ]
        for ours, single in zip(half["history"], alone.history, strict=True):
            assert math.isclose(ours["loss"], single.loss, abs_tol=1e-5)
            assert (ours["training"]["error"], ours["rows"]) == (single.training.error, single.rows)


def test_what_two_ranks_add_up_has_the_same_bits_by_each_collective(reports: Reports) -> None:
    assert len({report["weights_digest"] for name in COLLECTIVES for report in reports[name]}) == 1


@pytest.mark.parametrize("collective", ["horovod", "memory"])
def test_four_ranks_learn_the_curve_of_one(collective: str, tmp_path: Path) -> None:
    # All rows are in each step, so their order is the same for any number of ranks.
    alone = train_alone(ranks.picture_batches(range(ROWS)), batch_size=100, epochs=4)
    job = {"starts": [0, 15, 30, 45, ROWS], "collective": collective, "batch_size": 100}
    # Its gradients travel in two parts, which may be ready at the same moment or not.
    wide = {**job, "network": "mlp", "network_arguments": {"hidden": [1000, 1000]}}
    jobs = {"four": job, "wide": wide, "wide again": wide}
    reports = ranks.launch("trainings", tmp_path, ranks=4, limit=150, jobs=jobs)
    assert len({report[name]["weights_digest"] for report in reports for name in ("wide", "wide again")}) == 1
    assert len({report["four"]["weights_digest"] for report in reports}) == 1
    for record, single in zip(reports[0]["four"]["history"], alone.history, strict=True):
        assert math.isclose(record["loss"], single.loss, abs_tol=1e-5)


def test_ranks_with_a_tenth_and_nine_tenths_train_every_row(reports: Reports) -> None:
    small, large = reports["uneven"]
    assert (small["failure"], large["failure"]) == (None, None)
    assert (small["rows"], large["rows"]) == (6, 54)
    assert {record["rows"] for record in [*small["history"], *large["history"]]} == {ROWS}
    assert small["history"][-1]["loss"] < 0.5 * small["history"][0]["loss"]
    assert small["weights_digest"] == large["weights_digest"]


def test_ranks_end_with_the_same_statistics_of_batch_normalisation(reports: Reports) -> None:
    small, large = reports["normalised"]
    assert (small["failure"], large["failure"]) == (None, None)
    assert small["weights_digest"] == large["weights_digest"]


def test_a_rank_without_rows_ends_with_the_same_weights(reports: Reports) -> None:
    idle, busy = reports["empty"]
    assert (idle["failure"], busy["failure"]) == (None, None)
    assert (idle["rows"], busy["rows"]) == (0, ROWS)
    assert idle["weights_digest"] == busy["weights_digest"]


def test_a_rank_that_fails_before_the_ranks_connect_stops_the_other(reports: Reports) -> None:
    other, culprit = (report["failure"] for report in reports["corrupt"])
    assert (culprit["error_type"], culprit["first"]) == ("DataError", True)
    assert "row-30.png" in culprit["message"]
    assert other["first"] is False
    assert "rank 1" in other["message"]


def test_a_loss_that_is_not_finite_stops_all_ranks_in_the_same_step(reports: Reports) -> None:
    failures = [report["failure"] for report in reports["not finite"]]
    assert [failure["error_type"] for failure in failures] == ["DataError", "DataError"]
    assert len({(failure["epoch"], failure["step"]) for failure in failures}) == 1
    assert failures[0]["step"] is not None


@pytest.mark.parametrize("name", RECIPES)
def test_two_ranks_follow_a_recipe_as_one_does(reports: Reports, name: str) -> None:
    alone = train_alone(ranks.picture_batches(range(ROWS)), batch_size=100, **RECIPES[name])
    assert alone.failure is None
    assert alone.history[-1].loss < alone.history[0].loss
    assert len({half["weights_digest"] for half in reports[name]}) == 1
    for half in reports[name]:
        assert [record["loss"] for record in half["history"]] == pytest.approx(
            [record.loss for record in alone.history], rel=1e-3
        )


@pytest.mark.parametrize("kind", OTHERS)
def test_two_ranks_learn_another_task_as_one_does(reports: Reports, tmp_path: Path, kind: str) -> None:
    alone = ranks.training(tmp_path, 0, 1, [0, ROWS], batch_size=100, kind=kind, **OF_A_TASK)
    assert len({half["weights_digest"] for half in reports[kind]}) == 1
    for half in reports[kind]:
        assert half["failure"] is None
        assert half["history"][-1]["loss"] < half["history"][0]["loss"]
        for ours, single in zip(half["history"], alone["history"], strict=True):
            assert ours["loss"] == pytest.approx(single["loss"], rel=1e-4)
            for part in ("training", "validation"):
                assert ours[part].keys() == single[part].keys()
                for name, value in single[part].items():
                    # Newer pytest refuses None, of undefined metrics, in approx.
                    assert ours[part][name] == (None if value is None else pytest.approx(value, rel=1e-4)), name
    # Rank 0 alone reports tables.
    assert [half["details"].keys() for half in reports[kind]] == [alone["details"].keys(), set()]
    for name, table in alone["details"].items():
        np.testing.assert_allclose(reports[kind][0]["details"][name], table, rtol=1e-3)


def test_two_ranks_weigh_and_validate_as_one_does(reports: Reports, tmp_path: Path) -> None:
    alone = ranks.training(tmp_path / "alone", 0, 1, [0, ROWS], batch_size=100, **WEIGHTED)
    for half in reports["weighted"]:
        assert half["failure"] is None
        assert half["scaling"] == alone["scaling"]
        assert (half["best_epoch"], half["stopped_by"]) == (alone["best_epoch"], "epochs")
        for ours, single in zip(half["history"], alone["history"], strict=True):
            for name in ("loss", "rows", "learning_rate"):
                assert ours[name] == pytest.approx(single[name], abs=1e-5)
            for part in ("training", "validation"):
                assert ours[part] == pytest.approx(single[part], abs=1e-5)
    assert reports["weighted"][0]["weights_digest"] == reports["weighted"][1]["weights_digest"]
    found = [half["calibration"] for half in [*reports["weighted"], alone]]
    assert found[0] == found[1]
    assert found[0] == pytest.approx(found[2], rel=1e-4)
    assert found[0]["temperature"] != 1
    assert sum(half["held_out"] for half in reports["weighted"]) == alone["held_out"] == 12
    assert sum(half["weightless"] for half in reports["weighted"]) == alone["weightless"] == 15


def test_ranks_that_change_pictures_end_with_the_same_weights(reports: Reports) -> None:
    small, large = reports["augmented"]
    assert (small["failure"], large["failure"]) == (None, None)
    assert small["weights_digest"] == large["weights_digest"]


@pytest.mark.parametrize("name", ["timed", "timed without rows"])
def test_the_clock_of_rank_0_stops_all_ranks_after_the_same_step(reports: Reports, name: str) -> None:
    for report in reports[name]:
        assert report["failure"] is None
        assert report["stopped_by"] == "maxRuntimeSecs"
        assert [record["rows"] for record in report["history"]] == [15]
