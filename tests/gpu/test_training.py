"""Weights, validation, stopping and fractions of epochs, by one rank."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from gpu import ranks
from gpu.fits import FIXED, train_network, trained
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks import build_network
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw
from sparkwater.gpu.networks.weight_bytes import dump_weights
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.rows.augmentation import parse_augmentation
from sparkwater.gpu.rows.held import RankRows, load_rows
from sparkwater.gpu.seeding import derive_seed
from sparkwater.gpu.tasks import MultiLabelTask, Task
from sparkwater.gpu.training.loop import train

ROWS = 40
HELD_OUT = list(range(30, 40))

EACH_KIND = pytest.mark.parametrize("kind", ranks.TASKS)


def train_rows(batches: list[pa.RecordBatch], kind: str, **changes: Any) -> torch.Tensor:
    """Return the weights after a training with a scaling that doesn't depend on the rows."""
    job, batches = (
        ranks.rank_job(0, batch_size=100, task=ranks.TASKS[kind][0], **changes),
        ranks.relabelled(batches, kind),
    )
    network = build_network(job.network, job.spec.shape, job.task.outputs, 1)
    return train_network(network, batches, Place(0, (count_rows(batches),)), job).flat.values.data


def count_rows(batches: list[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)


def training_metric(record: EpochRecord, name: str) -> float:
    return getattr(record.training, name)


def passed_on(layer: nn.Module, rank: int, **changes: Any) -> list[bytes]:
    """Return what a network's first layer makes of the batches of 3 steps in each of 2 epochs, on one of two ranks.

    All rows are the same, so batches differ by what is random only.
    """
    seen: list[bytes] = []
    layer.register_forward_hook(lambda module, given, output: seen.append(output.detach().numpy().tobytes()))
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(256, 3))
    job = ranks.rank_job(0, batch_size=10, epochs=2, **changes)
    train_network(network, ranks.picture_batches([5] * 30), Place(rank, ((30, 0), (0, 30))[rank]), job)
    assert len(seen) == 6
    return seen


class HostCopies(TorchDispatchMode):
    """Counts operations for which a GPU's host waits: copies of its own numbers, and picks by a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        copies = func is torch.ops.aten.lift_fresh.default
        self.count += copies or (func is torch.ops.aten.index.Tensor and args[1][0].dtype == torch.bool)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("task", [None, MultiLabelTask(("blue", "red"))])
def test_a_step_copies_nothing_from_the_host_and_picks_nothing_by_a_mask(task: Task | None) -> None:
    rows, counts = 40, []
    pictures = torch.randint(0, 256, (rows, *ranks.SPEC.shape), dtype=torch.uint8)
    FIXED.apply(pictures)  # its numbers are copied to a device once
    for batch_size in (40, 4):
        job = ranks.rank_job(0, batch_size=batch_size, epochs=1, task=task, **({} if task else {"top_k": 1}))
        targets = torch.zeros((rows, *job.task.target.shape), dtype=getattr(torch, job.task.target.dtype))
        network = build_network(job.network, job.spec.shape, job.task.outputs, 1)
        compute = Compute(network, FIXED, torch.device("cpu"))
        data = RankRows(pictures, targets)
        with HostCopies() as copies:
            train(compute, data, job.task, Place(0, (rows,)), job.config, LocalCommunicator())
        counts.append(copies.count)
    assert counts[0] == counts[1], "with one step and with ten"


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_cudnn_computes_the_same_bits_in_training_and_as_before_afterwards(
    before: bool, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", before)
    seen: list[bool] = []

    def look(module: nn.Module, given: Any, output: Any) -> None:
        del module, given, output
        seen.append(torch.backends.cudnn.deterministic)
        if fails:
            raise ArithmeticError("this step is too much")

    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    network.register_forward_hook(look)
    job = ranks.rank_job(0, epochs=2)
    with pytest.raises(ArithmeticError) if fails else nullcontext():
        train_network(network, ranks.picture_batches(range(ROWS)), Place(0, (ROWS,)), job)
    assert seen == [True] * (1 if fails else 6)
    assert torch.backends.cudnn.deterministic == before


def test_pictures_are_changed_otherwise_in_each_step_and_on_each_rank() -> None:
    steps = parse_augmentation([{"name": "shift", "pixels": 3}])
    seen = [each for rank in (0, 1) for each in passed_on(nn.Identity(), rank, augmentation=steps)]
    assert len(set(seen)) == 12
    assert passed_on(nn.Identity(), 1, augmentation=steps) == seen[6:]
    assert len(set(passed_on(nn.Identity(), 0))) == 1


def test_a_network_draws_other_numbers_in_each_step_and_on_each_rank() -> None:
    seen = [each for rank in (0, 1) for each in passed_on(nn.Dropout(0.5), rank)]
    assert len(set(seen)) == 12
    assert passed_on(nn.Dropout(0.5), 1) == seen[6:]


@EACH_KIND
def test_a_row_of_weight_2_is_that_row_twice(kind: str) -> None:
    batches = ranks.picture_batches([*range(12), 5, 5, 8])
    weighted = ranks.picture_batches(range(12), weights={5: 3.0, 8: 2.0})
    twice, heavy, plain = (
        train_rows(batches, kind, learning_rate=0.02),
        train_rows(weighted, kind, weighted=True, learning_rate=0.02),
        train_rows(ranks.picture_batches(range(12)), kind, learning_rate=0.02),
    )
    torch.testing.assert_close(heavy, twice, rtol=1e-4, atol=1e-6)
    assert (plain - twice).abs().max() > 1e-4


@EACH_KIND
def test_a_row_of_weight_0_is_as_good_as_absent(kind: str) -> None:
    absent = trained(ranks.picture_batches([row for row in range(ROWS) if row % 7]), ROWS - 6, kind, epochs=2)
    weights = dict.fromkeys(range(0, ROWS, 7), 0.0)
    light = trained(ranks.picture_batches(range(ROWS), weights=weights), kind=kind, epochs=2, weighted=True)
    assert light.weights == absent.weights
    assert light.scaling == absent.scaling
    assert [record.training for record in light.history] == [record.training for record in absent.history]
    assert (light.rows, light.weightless) == (ROWS - 6, 6)


def test_the_loss_and_the_metrics_of_training_rows_are_weighted_means() -> None:
    weights = {row: (0.5, 1.0, 4.0, 2.0)[row % 4] for row in range(ROWS)}
    batches = ranks.picture_batches(range(ROWS), weights=weights)
    # Without a learning rate the network stays what it is.
    job = ranks.rank_job(0, epochs=1, learning_rate=0.0, weighted=True)
    network = build_network(job.network, job.spec.shape, 3, 1)
    (record,) = train_network(network, batches, Place(0, (ROWS,)), job).history
    pictures = load_rows(batches, job.spec, job.task, "error").features
    with torch.no_grad():
        outputs = network(FIXED.apply(pictures))
    labels, counts = torch.arange(ROWS) % 3, torch.tensor([*weights.values()])
    losses = functional.cross_entropy(outputs, labels, reduction="none")
    wrong = (outputs.argmax(dim=1) != labels).float()
    logloss, error = (float((values * counts).sum() / counts.sum()) for values in (losses, wrong))
    assert record.loss == pytest.approx(logloss, rel=1e-5)
    assert training_metric(record, "logloss") == pytest.approx(logloss, rel=1e-5)
    assert training_metric(record, "error") == pytest.approx(error, rel=1e-5)
    assert abs(logloss - float(losses.mean())) > 1e-4
    assert abs(error - float(wrong.mean())) > 0.01


def test_weights_of_classes_are_weights_of_their_rows_and_are_corrected_in_scores() -> None:
    class_weights = (1.0, 2.0, 4.0)
    weights = {row: class_weights[row % 3] for row in range(ROWS)}
    rows = trained(ranks.picture_batches(range(ROWS), weights=weights), weighted=True, epochs=2)
    classes = trained(ranks.picture_batches(range(ROWS)), class_weights=class_weights, epochs=2)
    assert classes.weights == rows.weights
    assert [record.loss for record in classes.history] == [record.loss for record in rows.history]
    assert classes.history[-1].training.logloss != rows.history[-1].training.logloss
    job = ranks.rank_job(0)
    assert classes.scaling is not None
    plain = TrainedNetwork(
        job.network, job.spec.shape, job.task, classes.scaling, classes.weights, classes.weights_digest
    )
    pictures = np.random.default_rng(0).integers(0, 255, (6, *job.spec.shape), dtype=np.uint8)
    corrected = predict_raw(replace(plain, task=replace(job.task, class_weights=class_weights)), pictures)
    np.testing.assert_allclose(corrected, predict_raw(plain, pictures) - np.log(class_weights), rtol=1e-6)


@EACH_KIND
def test_held_out_rows_have_no_part_in_training_and_are_scored_as_they_are(kind: str) -> None:
    steps = parse_augmentation([{"name": "shift", "pixels": 3}, {"name": "rotation", "degrees": 30}, {"name": "flip"}])
    recipe: dict[str, Any] = {"epochs": 2, "augmentation": steps, "learning_rate": 0.02, "momentum": 0.9, "kind": kind}
    without = trained(ranks.picture_batches(range(30)), 30, **recipe)
    validated = trained(ranks.picture_batches(range(ROWS), held_out=HELD_OUT), **recipe, validation=True)
    assert validated.weights == without.weights
    assert validated.scaling == without.scaling
    assert (validated.rows, validated.held_out) == (30, 10)
    assert without.history[-1].validation is None
    assert [record.training for record in validated.history] == [record.training for record in without.history]
    job = ranks.rank_job(0, task=ranks.TASKS[kind][0])
    rows = load_rows(ranks.relabelled(ranks.picture_batches(HELD_OUT), kind), job.spec, job.task, "error")
    assert validated.scaling is not None
    network = TrainedNetwork(
        job.network, job.spec.shape, job.task, validated.scaling, validated.weights, validated.weights_digest
    )
    logits = torch.from_numpy(predict_raw(network, rows.features.numpy()))
    found = validated.history[-1].validation
    assert found is not None
    sums = job.task.sums(torch.device("cpu"))
    targets = job.task.targets_of(validated.scaling.apply(rows.features), rows.targets)
    sums.add(logits, targets, None)
    expected = sums.metrics()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, rel=1e-5)), name
    if kind != "classification":
        return
    assert found.logloss == pytest.approx(float(functional.cross_entropy(logits, rows.targets)), rel=1e-5)
    assert found.error == pytest.approx(float((logits.argmax(dim=1) != rows.targets).double().mean()))


def test_the_best_epoch_is_the_one_that_is_kept() -> None:
    batches = ranks.misleading_batches(ROWS, HELD_OUT)
    recipe: dict[str, Any] = {"validation": True, "learning_rate": 0.02, "momentum": 0.5}
    kept = trained(batches, **recipe, epochs=6, keep_best=True, stopping_rounds=2)
    values = [record.judged.logloss for record in kept.history]
    assert kept.best_epoch == int(np.argmin(values)) < len(values) - 1
    assert (kept.stopped_by, len(values)) == ("stoppingRounds", 4)
    again = trained(batches, **recipe, epochs=kept.best_epoch + 1)
    assert kept.weights == again.weights
    assert again.best_epoch is None


def test_the_confusion_matrix_is_the_kept_epochs() -> None:
    batches = ranks.misleading_batches(ROWS, HELD_OUT)
    recipe: dict[str, Any] = {"validation": True, "learning_rate": 0.005, "momentum": 0.9}
    kept = trained(batches, **recipe, epochs=6, keep_best=True)
    assert kept.best_epoch == 0
    assert kept.details == trained(batches, **recipe, epochs=1).details
    assert kept.details != trained(batches, **recipe, epochs=6).details


def test_a_fraction_of_an_epoch_is_that_share_of_its_steps() -> None:
    half = trained(ranks.picture_batches(range(ROWS)), epochs=1.5, batch_size=10, schedule="cosine")
    assert [record.rows for record in half.history] == [40, 20]
    assert half.stopped_by == "epochs"
    # The schedule ends where the training does.
    assert half.history[-1].learning_rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 5 / 6)) / 2)


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_the_best_epoch_of_other_tasks_is_kept_too(kind: str) -> None:
    batches = ranks.misleading_batches(ROWS, HELD_OUT)
    task, _ = ranks.TASKS[kind]
    for metric, larger in task.METRICS.items():
        recipe: dict[str, Any] = {"kind": kind, "validation": True, "learning_rate": 0.02, "momentum": 0.5}
        kept = trained(batches, **recipe, epochs=4, keep_best=True, stopping_metric=metric)
        values = [record.judged[metric] for record in kept.history]
        assert kept.best_epoch == int(np.argmax(values) if larger else np.argmin(values)), (metric, values)
        assert kept.weights == trained(batches, **recipe, epochs=kept.best_epoch + 1).weights


@EACH_KIND
def test_no_epochs_give_the_network_as_it_begins(kind: str) -> None:
    outcome = trained(ranks.picture_batches(range(ROWS)), kind=kind, epochs=0)
    job = ranks.rank_job(0, task=ranks.TASKS[kind][0])
    fresh = build_network(job.network, job.spec.shape, job.task.outputs, derive_seed(42, "weights"))
    assert outcome.weights == dump_weights(fresh)
    assert (outcome.history, outcome.stopped_by) == ([], "epochs")


@pytest.mark.parametrize(
    ("batches", "changes", "message"),
    [
        (ranks.picture_batches(range(6), held_out=[99]), {"validation": True}, "no rows to validate on"),
        (ranks.picture_batches(range(6), held_out=range(6)), {"validation": True}, "6 are to validate on"),
        (ranks.picture_batches(range(6), weights=dict.fromkeys(range(6), 0.0)), {}, "6 have the weight 0"),
    ],
)
def test_rows_that_are_all_of_one_kind_are_an_error(batches, changes, message) -> None:
    outcome = run_rank(batches, ranks.rank_job(6, **changes), SinglePeer())
    assert outcome.failure is not None
    assert (outcome.failure.error_type, message in outcome.failure.message) == ("DataError", True)
