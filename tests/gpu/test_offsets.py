"""Offsets: what is learned beside them, on one rank and two, after a break, and in scoring."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import safetensors.torch
import torch
from gpu import ranks

from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks import find_network
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.tasks import ClassificationTask, RegressionTask

ROWS, HELD_OUT = 60, tuple(range(50, 60))
SETTINGS: dict[str, Any] = {"epochs": 3, "learning_rate": 0.02, "validation": True}

#: Metrics that are the same where labels and predictions are larger by the same.
SAME = ("rmse", "mae", "meanDeviance")


def numbers(offsets: bool = True) -> list[pa.RecordBatch]:
    """Rows of numbers near 1003, with offsets by which their labels are larger, or without either."""
    batches = ranks.relabelled(ranks.picture_batches(range(ROWS), held_out=HELD_OUT), "regression")
    return ranks.with_offsets(batches) if offsets else batches


def task_of(distribution: str) -> RegressionTask:
    return RegressionTask(distribution, center=1003.0, scale=6.0, quantile=0.8, delta=0.5)


def train(batches: list[pa.RecordBatch], **changes: Any) -> Outcome:
    job = ranks.rank_job(ROWS, **{"task": task_of("huber"), **SETTINGS, **changes})
    return run_rank(batches, job, SinglePeer())


def metrics(outcome: Outcome) -> list[float | None]:
    assert outcome.failure is None, outcome.failure
    parts = [part for record in outcome.history for part in (record.training, record.validation)]
    return [record.loss for record in outcome.history] + [part[name] for part in parts if part for name in SAME]


@pytest.mark.parametrize(
    "task",
    [*map(task_of, ("gaussian", "laplace", "huber", "quantile")), replace(task_of("huber"), alpha=0.6)],
    ids=lambda task: f"{task.distribution} {task.alpha}",
)
def test_what_is_learned_beside_offsets_is_what_is_learned_of_labels_less_offsets(task: RegressionTask) -> None:
    plain, beside = (train(numbers(offsets), task=task) for offsets in (False, True))
    assert len(metrics(plain)) == 3 + 3 * 2 * 3
    assert metrics(beside) == pytest.approx(metrics(plain), rel=1e-4)
    for name, values in safetensors.torch.load(plain.weights).items():
        torch.testing.assert_close(safetensors.torch.load(beside.weights)[name], values, rtol=1e-3, atol=1e-5)


def test_two_ranks_of_which_one_may_have_no_rows_learn_what_one_rank_learns(tmp_path: Path) -> None:
    usual: dict[str, Any] = {
        "kind": "regression",
        "held_out": HELD_OUT,
        "collective": "memory",
        **SETTINGS,
        "batch_size": 100,
    }
    jobs = {
        "halves": {**usual, "starts": [0, 30, ROWS], "offsets": True},
        "nothing on one": {**usual, "starts": [0, ROWS, ROWS], "offsets": True},
    }
    alone = train(numbers(), task=ranks.TASKS["regression"][0], batch_size=100)
    for reports in ranks.launch("trainings", tmp_path, jobs=jobs):
        for name in jobs:
            assert reports[name]["failure"] is None
            report = {key: value for key, value in reports[name].items() if key != "weights_bytes"}
            outcome = Outcome.from_json(json.dumps(report), b"")
            assert metrics(outcome) == pytest.approx(metrics(alone), rel=1e-4), name


def test_a_training_that_broke_off_goes_on_with_the_same_offsets_only(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"checkpoint_interval": 3, "keep_best": True, "stopping_metric": "mae"}
    whole = train(numbers(), **settings, checkpoint_dir=str(tmp_path / "whole"))
    settings["checkpoint_dir"] = str(tmp_path / "parts")
    assert train(numbers(), **settings, fail_at=8).failure is not None
    table = pa.Table.from_batches(numbers())
    larger = pc.add(table["offset"], 1.0)
    other = table.set_column(table.column_names.index("offset"), "offset", larger).to_batches()
    assert train(other, **settings).resumed_at == 0
    again = train(numbers(), **settings)
    assert (again.resumed_at, again.weights, metrics(again)) == (6, whole.weights, metrics(whole))


def test_predictions_are_larger_by_the_offsets() -> None:
    job = ranks.rank_job(ROWS, task=task_of("gaussian"), **SETTINGS)
    outcome = run_rank(numbers(), job, SinglePeer())
    assert outcome.scaling is not None
    trained = TrainedNetwork(
        find_network("lenet"), job.spec.shape, job.task, outcome.scaling, outcome.weights, outcome.weights_digest
    )
    held_out = load_rows(numbers(), job.spec, job.task, "error").held_out
    assert held_out is not None
    rows = held_out.take(torch.arange(len(held_out)))
    assert rows.offsets is not None
    pictures, offsets, labels = rows.features.numpy(), rows.offsets.numpy(), rows.targets.numpy()
    raw = predict_raw(trained, pictures, offsets)
    np.testing.assert_allclose(raw[:, 0], predict_raw(trained, pictures)[:, 0] + offsets, rtol=1e-12)
    # As in validation.
    last = outcome.history[-1].validation
    assert last is not None
    assert last.rmse == pytest.approx(np.sqrt(np.mean((raw[:, 0] - labels) ** 2)), rel=1e-5)
    assert predict_raw(trained, pictures[:0], offsets[:0]).shape == (0, 1)


def test_two_classes_are_learned_beside_log_odds() -> None:
    """Offsets that tell the classes apart leave nothing to learn; those that say the opposite are made up for."""
    table = pa.Table.from_batches(ranks.picture_batches(range(ROWS)))
    labels = np.array([float(row % 3 == 2) for row in range(ROWS)])
    table = table.set_column(table.column_names.index("label"), "label", pa.array(labels))
    task, losses = ClassificationTask((0.0, 1.0)), {}
    for name, scale in (("known", 20.0), ("opposite", -3.0)):
        batches = table.append_column("offset", pa.array(scale * (labels - 0.5))).to_batches()
        outcome = train(batches, task=task, validation=False, epochs=8, momentum=0.9)
        assert outcome.failure is None, outcome.failure
        losses[name] = [record.loss for record in outcome.history]
        # The last epoch's own metrics are those of log-odds with their offsets.
        assert outcome.history[-1].training.logloss == pytest.approx(outcome.history[-1].loss, rel=5e-3)
    assert losses["known"][0] < 1e-3
    assert losses["opposite"][0] > 0.8
    assert losses["opposite"][-1] < 0.4


def test_a_task_without_offsets_says_so() -> None:
    three = replace(ClassificationTask((0.0, 1.0)), classes=(0.0, 1.0, 2.0))
    assert three.unfit_offsets() == "offsets are added to the log-odds of 2 classes; there are 3"
    assert ranks.TASKS["multilabel"][0].unfit_offsets() == "multilabel takes no offsets"
