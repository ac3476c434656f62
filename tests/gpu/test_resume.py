"""Trainings that go on from a checkpoint give what they would have given without a break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from gpu import ranks
from torch import nn

from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks import register_network, registry
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.seeding import derive_seed
from sparkwater.gpu.training import step
from sparkwater.gpu.training.checkpoints import CheckpointFolder
from sparkwater.gpu.training.resume import weights_of

ROWS, HELD_OUT = 60, tuple(range(50, 60))

#: 50 rows in batches of 16 are 4 steps an epoch. All that a checkpoint has to hold is used.
SETTINGS: dict[str, Any] = {
    "network": "noisy", "epochs": 3, "optimizer": "adam", "learning_rate": 0.003, "validation": True,
    "keep_best": True, "schedule": "cosine", "checkpoint_interval": 3,
}  # fmt: skip


def noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Noise in training, and statistics that batches leave behind."""
    layers = [nn.Conv2d(shape[0], 4, 5), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.LazyLinear(classes))


@pytest.fixture(autouse=True, scope="module")
def _network() -> Iterator[None]:
    before = dict(registry._REGISTRY)

    def factory(shape: tuple[int, ...], classes: int) -> nn.Module:
        network = noisy(shape, classes).eval()
        network(torch.zeros(1, *shape))
        return network.train()

    register_network("noisy", image_shape=(16, 16, 1))(factory)
    yield
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)


def train(folder: Path, batches: list[Any] | None = None, **changes: Any) -> Outcome:
    job = ranks.rank_job(ROWS, **{**SETTINGS, "checkpoint_dir": str(folder), **changes})
    return run_rank(batches or ranks.picture_batches(range(ROWS), held_out=HELD_OUT), job, SinglePeer())


def without_times(outcome: Outcome) -> list[Any]:
    return [replace(record, seconds=0.0) for record in outcome.history]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = train(tmp_path_factory.mktemp("undisturbed"))
    assert outcome.failure is None
    return outcome


@pytest.mark.parametrize(("call", "steps"), [(3, 0), (4, 3), (5, 4), (8, 6), (12, 9)])
def test_a_training_that_broke_off_gives_the_same_bits(
    tmp_path: Path, undisturbed: Outcome, call: int, steps: int
) -> None:
    broken = train(tmp_path, fail_at=call)
    assert broken.failure is not None
    again = train(tmp_path)
    assert again.resumed_at == steps
    assert again.weights == undisturbed.weights
    assert without_times(again) == without_times(undisturbed)
    assert (again.best_epoch, again.stopped_by) == (undisturbed.best_epoch, undisturbed.stopped_by)
    assert again.details == undisturbed.details


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_a_training_of_another_task_that_broke_off_gives_the_same_bits(tmp_path: Path, kind: str) -> None:
    metric = {"regression": "r2", "multilabel": "hammingLoss"}[kind]
    settings: dict[str, Any] = {"task": ranks.TASKS[kind][0], "stopping_metric": metric}
    batches = ranks.relabelled(ranks.picture_batches(range(ROWS), held_out=HELD_OUT), kind)
    whole = train(tmp_path / "whole", batches, **settings)
    assert whole.failure is None
    assert train(tmp_path / "parts", batches, **settings, fail_at=8).failure is not None
    again = train(tmp_path / "parts", batches, **settings)
    assert (again.resumed_at, again.best_epoch, again.weights) == (6, whole.best_epoch, whole.weights)
    assert without_times(again) == without_times(whole)
    assert again.details == whole.details
    # Another task of the same rows is another training.
    other = {"regression": {"center": 0.0}, "multilabel": {"label_smoothing": 0.1}}[kind]
    task = replace(ranks.TASKS[kind][0], **other)
    assert train(tmp_path / "parts", batches, **{**settings, "task": task}).resumed_at == 0


def test_a_bound_of_errors_that_follows_them_goes_on_exactly(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"task": replace(ranks.TASKS["regression"][0], alpha=0.6), "stopping_metric": "mae"}
    batches = ranks.relabelled(ranks.picture_batches(range(ROWS), held_out=HELD_OUT), "regression")
    whole = train(tmp_path / "whole", batches, **settings)
    assert whole.failure is None
    for call in (5, 8):  # after an epoch's first steps, whose bound is that of its beginning
        folder = tmp_path / f"parts {call}"
        assert train(folder, batches, **settings, fail_at=call).failure is not None
        again = train(folder, batches, **settings)
        assert again.resumed_at > 0
        assert again.weights == whole.weights
        assert without_times(again) == without_times(whole)
    fixed = train(tmp_path / "fixed", batches, **{**settings, "task": ranks.TASKS["regression"][0]})
    assert fixed.weights != whole.weights


@pytest.mark.parametrize("call", [4, 9])
def test_a_training_by_a_recipe_for_tables_that_broke_off_gives_the_same_bits(tmp_path: Path, call: int) -> None:
    settings: dict[str, Any] = {
        "network": "realmlp", "network_arguments": {"hidden": [20, 20], "dropout": 0.3}, "optimizer": "adamw",
        "learning_rate": 0.02, "schedule": "fourCycles", "weight_decay": 0.1, "weight_decay_schedule": "flatCosine",
    }  # fmt: skip
    whole = train(tmp_path / "whole", **settings)
    assert whole.failure is None
    assert train(tmp_path / "parts", **settings, fail_at=call).failure is not None
    again = train(tmp_path / "parts", **settings)
    assert again.resumed_at > 0
    assert again.weights == whole.weights
    assert without_times(again) == without_times(whole)
    for changes in ({"network_arguments": {"hidden": [20, 20], "dropout": 0.0}}, {"weight_decay_schedule": "constant"}):
        assert train(tmp_path / "others", **{**settings, **changes}).weights != whole.weights


def test_a_training_that_is_done_is_not_repeated(tmp_path: Path, undisturbed: Outcome) -> None:
    train(tmp_path)
    again = train(tmp_path, fail_at=1)
    assert (again.failure, again.resumed_at, again.weights) == (None, 12, undisturbed.weights)
    assert again.details["confusion"]
    assert again.details == undisturbed.details


def test_the_best_epoch_before_a_break_stays_the_best(tmp_path: Path) -> None:
    batches = ranks.misleading_batches(ROWS, HELD_OUT)
    settings: dict[str, Any] = {"batches": batches, "epochs": 4, "learning_rate": 0.01}
    whole = train(tmp_path / "whole", **settings)
    assert (whole.failure, whole.best_epoch) == (None, 0)
    assert train(tmp_path / "parts", **settings, fail_at=12).failure is not None
    again = train(tmp_path / "parts", **settings)
    assert (again.resumed_at, again.best_epoch, again.weights) == (9, 0, whole.weights)
    assert again.details == whole.details


def test_a_training_that_stopped_before_its_last_epoch_is_not_continued(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"stopping_rounds": 1, "stopping_tolerance": 10.0}
    stopped = train(tmp_path, **settings)
    assert (stopped.stopped_by, len(stopped.history)) == ("stoppingRounds", 2)
    again = train(tmp_path, **settings, fail_at=1)
    assert (again.failure, again.resumed_at, again.stopped_by) == (None, 8, "stoppingRounds")
    assert without_times(again) == without_times(stopped)
    assert again.weights == stopped.weights


def test_an_epoch_that_was_cut_short_for_want_of_time_is_trained_again(tmp_path: Path, undisturbed: Outcome) -> None:
    cut = train(tmp_path, max_runtime_secs=1e-9)
    assert (cut.failure, cut.stopped_by) == (None, "maxRuntimeSecs")
    assert [record.rows for record in cut.history] == [13]
    again = train(tmp_path)
    assert (again.failure, again.resumed_at) == (None, 0)
    assert again.weights == undisturbed.weights
    assert without_times(again) == without_times(undisturbed)


def test_want_of_time_is_the_reason_also_where_nothing_gets_better(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"stopping_rounds": 1, "stopping_tolerance": 10.0}
    assert train(tmp_path, **settings, fail_at=5).failure is not None
    # The second epoch is cut short; it would have been the last one anyway.
    cut = train(tmp_path, **settings, max_runtime_secs=1e-9)
    assert (cut.resumed_at, cut.stopped_by) == (4, "maxRuntimeSecs")
    again = train(tmp_path, **settings)
    assert (again.resumed_at, again.stopped_by) == (4, "stoppingRounds")
    assert [record.rows for record in again.history] == [50, 50]


@pytest.mark.parametrize("lost", ["noise", "optimizer.0.exp_avg_sq", "own", "weights"])
def test_nothing_that_a_checkpoint_holds_is_dispensable(
    tmp_path: Path, undisturbed: Outcome, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, fail_at=8)
    if lost == "noise":
        # As if the state of the random numbers were lost.
        other = lambda seed, kind, *parts: derive_seed(seed + (kind == "noise"), kind, *parts)  # noqa: E731
        monkeypatch.setattr(step, "derive_seed", other)
    else:
        (folder,) = (CheckpointFolder(str(path)) for path in tmp_path.iterdir())
        last = folder.latest()
        assert last is not None
        folder.write(replace(last, tensors={**last.tensors, lost: torch.ones_like(last.tensors[lost])}))
    again = train(tmp_path)
    assert again.resumed_at == 6
    assert again.weights != undisturbed.weights


#: Of each step's three passes, the first of the step in the middle of the second epoch.
AVERAGED: dict[str, Any] = {"weight_averaging": 0.9, "virtual_adversarial_radius": 1.0}


@pytest.mark.parametrize("keep_best", [True, False])
def test_averages_and_adversaries_go_on_exactly(tmp_path: Path, keep_best: bool) -> None:
    settings = {**AVERAGED, "keep_best": keep_best}
    whole = train(tmp_path / "whole", **settings)
    assert whole.failure is None
    assert train(tmp_path / "parts", **settings, fail_at=20).failure is not None
    again = train(tmp_path / "parts", **settings)
    assert (again.resumed_at, again.weights) == (6, whole.weights)
    assert without_times(again) == without_times(whole)
    # A training that begins with a checkpoint's weights gets those that the training itself gives.
    (folder,) = (CheckpointFolder(str(path)) for path in (tmp_path / "whole").iterdir())
    last = folder.latest()
    assert last is not None
    given = safetensors.torch.load(whole.weights)
    assert all(torch.equal(value, given[name]) for name, value in weights_of(last).items())


@pytest.mark.parametrize("lost", ["average.weights", "own"])
def test_no_average_that_a_checkpoint_holds_is_dispensable(tmp_path: Path, lost: str) -> None:
    settings = {**AVERAGED, "keep_best": False}
    whole = train(tmp_path / "whole", **settings)
    train(tmp_path / "parts", **settings, fail_at=20)
    (folder,) = (CheckpointFolder(str(path)) for path in (tmp_path / "parts").iterdir())
    last = folder.latest()
    assert last is not None
    folder.write(replace(last, tensors={**last.tensors, lost: torch.ones_like(last.tensors[lost])}))
    again = train(tmp_path / "parts", **settings)
    assert again.resumed_at == 6
    assert again.weights != whole.weights


def test_a_loss_that_is_not_finite_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"network": "lenet", "optimizer": "sgd", "learning_rate": 1e30, "checkpoint_interval": 1}
    outcome = train(tmp_path, **settings)
    assert outcome.failure is not None
    assert (outcome.failure.error_type, outcome.failure.epoch) == ("DataError", 0)
    (folder,) = (CheckpointFolder(str(path)) for path in tmp_path.iterdir())
    last = folder.latest()
    assert last is not None
    assert last.steps == outcome.failure.step
    assert all(record.epoch == 0 for record in outcome.history)


def test_other_settings_rows_and_weights_are_other_trainings(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    for changes in ({"epochs": 2}, {"epochs": 1, "seed": 7}, {"epochs": 1, "network": "lenet"}):
        assert train(tmp_path, **changes).resumed_at == 0
    job = ranks.rank_job(ROWS, **{**SETTINGS, "epochs": 1, "checkpoint_dir": str(tmp_path)})
    other = run_rank(ranks.picture_batches(range(1, ROWS + 1), held_out=HELD_OUT), job, SinglePeer())
    assert (other.failure, other.resumed_at) == (None, 0)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_checkpoint_that_cannot_be_written_is_counted_and_the_training_goes_on(
    tmp_path: Path, undisturbed: Outcome
) -> None:
    (tmp_path / "file").write_text("no folder")
    outcome = train(tmp_path / "file")
    assert outcome.failure is None
    assert outcome.weights == undisturbed.weights
    assert len(outcome.lost_checkpoints) == 6  # after 3, 4, 6, 8, 9 and 12 steps
    assert "no checkpoint could be written" in outcome.lost_checkpoints[0]


@pytest.mark.parametrize("collective", ["horovod", "memory"])
def test_two_ranks_go_on_in_the_middle_of_an_epoch(tmp_path: Path, collective: str) -> None:
    settings: dict[str, Any] = {
        "starts": [0, 20, 60], "network": "convnet", "epochs": 2, "optimizer": "adam", "learning_rate": 0.003,
        "collective": collective, "checkpoint_interval": 3,
    }  # fmt: skip
    directories = {name: str(tmp_path / name) for name in ("whole", "parts")}
    jobs = {
        "whole": {**settings, "checkpoint_dir": directories["whole"]},
        "broken": {**settings, "checkpoint_dir": directories["parts"], "fail_at": 7},
        "again": {**settings, "checkpoint_dir": directories["parts"]},
    }
    reports = ranks.launch("trainings", tmp_path, jobs=jobs)
    assert all(report["broken"]["failure"] for report in reports)
    assert {report["again"]["resumed_at"] for report in reports} == {6}
    digests = {report[name]["weights_digest"] for report in reports for name in ("whole", "again")}
    assert len(digests) == 1
