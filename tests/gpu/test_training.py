"""Weights, validation, stopping and fractions of epochs, by one rank."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from gpu import ranks
from torch.nn import functional

from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks import build_network
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_logits
from sparkwater.gpu.networks.weight_bytes import dump_weights
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.augmentation import parse_augmentation
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.seeding import derive_seed
from sparkwater.gpu.training.loop import train

ROWS = 40
HELD_OUT = list(range(30, 40))


def trained(batches: list[pa.RecordBatch], rows: int = ROWS, **changes: Any) -> Outcome:
    outcome = run_rank(batches, ranks.rank_job(rows, **changes), SinglePeer())
    assert outcome.failure is None, outcome.failure
    return outcome


def train_rows(batches: list[pa.RecordBatch], **changes: Any) -> torch.Tensor:
    """Return the weights after a training with a scaling that doesn't depend on the rows."""
    job = ranks.rank_job(0, batch_size=100, **changes)
    rows = load_rows(batches, job.spec, job.classes, "error")
    network = build_network(job.network, job.spec.shape, 3, 1)
    compute = Compute(network, Scaling((80.0,), (50.0,)), torch.device("cpu"))
    state = train(compute, rows, 3, Place(0, (len(rows),)), job.config, LocalCommunicator())
    return state.flat.values.data


def test_a_row_of_weight_2_is_that_row_twice() -> None:
    batches = ranks.picture_batches([*range(12), 5, 5, 8])
    weighted = ranks.picture_batches(range(12), weights={5: 3.0, 8: 2.0})
    twice, heavy, plain = (
        train_rows(batches, learning_rate=0.02),
        train_rows(weighted, weighted=True, learning_rate=0.02),
        train_rows(ranks.picture_batches(range(12)), learning_rate=0.02),
    )
    torch.testing.assert_close(heavy, twice, rtol=1e-4, atol=1e-6)
    assert (plain - twice).abs().max() > 1e-4


def test_a_row_of_weight_0_is_as_good_as_absent() -> None:
    absent = trained(ranks.picture_batches([row for row in range(ROWS) if row % 7]), ROWS - 6, epochs=2)
    weights = dict.fromkeys(range(0, ROWS, 7), 0.0)
    light = trained(ranks.picture_batches(range(ROWS), weights=weights), epochs=2, weighted=True)
    assert light.weights == absent.weights
    assert light.scaling == absent.scaling
    assert (light.rows, light.weightless) == (ROWS - 6, 6)


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
    plain = TrainedNetwork(job.network, job.spec.shape, 3, classes.scaling, classes.weights, classes.weights_digest)
    pictures = np.random.default_rng(0).integers(0, 255, (6, *job.spec.shape), dtype=np.uint8)
    corrected = predict_logits(replace(plain, class_weights=class_weights), pictures)
    np.testing.assert_allclose(corrected, predict_logits(plain, pictures) - np.log(class_weights), rtol=1e-6)


def test_held_out_rows_have_no_part_in_training_and_are_scored_as_they_are() -> None:
    steps = parse_augmentation([{"name": "shift", "pixels": 3}, {"name": "rotation", "degrees": 30}, {"name": "flip"}])
    recipe: dict[str, Any] = {"epochs": 2, "augmentation": steps, "learning_rate": 0.02, "momentum": 0.9}
    without = trained(ranks.picture_batches(range(30)), 30, **recipe)
    validated = trained(ranks.picture_batches(range(ROWS), held_out=HELD_OUT), **recipe, validation=True)
    assert validated.weights == without.weights
    assert validated.scaling == without.scaling
    assert (validated.rows, validated.held_out) == (30, 10)
    assert without.history[-1].validation is None
    assert [record.training for record in validated.history] == [record.training for record in without.history]
    job = ranks.rank_job(0)
    rows = load_rows(ranks.picture_batches(HELD_OUT), job.spec, job.classes, "error")
    assert validated.scaling is not None
    network = TrainedNetwork(
        job.network, job.spec.shape, 3, validated.scaling, validated.weights, validated.weights_digest
    )
    logits = torch.from_numpy(predict_logits(network, rows.features.numpy()))
    found = validated.history[-1].validation
    assert found is not None
    assert found.logloss == pytest.approx(float(functional.cross_entropy(logits, rows.labels)), rel=1e-5)
    assert found.error == pytest.approx(float((logits.argmax(dim=1) != rows.labels).double().mean()))


def test_the_best_epoch_is_the_one_that_is_kept() -> None:
    table = pa.Table.from_batches(ranks.picture_batches(range(ROWS), held_out=HELD_OUT))
    # What is held out has other labels: the more is learned, the worse it is predicted.
    labels = [float((row + (row in HELD_OUT)) % 3) for row in range(ROWS)]
    batches = table.set_column(table.column_names.index("label"), "label", pa.array(labels)).to_batches()
    recipe: dict[str, Any] = {"validation": True, "learning_rate": 0.02, "momentum": 0.5}
    kept = trained(batches, **recipe, epochs=6, keep_best=True, stopping_rounds=2)
    values = [record.judged.logloss for record in kept.history]
    assert kept.best_epoch == int(np.argmin(values)) < len(values) - 1
    assert (kept.stopped_by, len(values)) == ("stoppingRounds", 4)
    again = trained(batches, **recipe, epochs=kept.best_epoch + 1)
    assert kept.weights == again.weights
    assert again.best_epoch is None


def test_a_fraction_of_an_epoch_is_that_share_of_its_steps() -> None:
    half = trained(ranks.picture_batches(range(ROWS)), epochs=1.5, batch_size=10, schedule="cosine")
    assert [record.rows for record in half.history] == [40, 20]
    assert half.stopped_by == "epochs"
    # The schedule ends where the training does.
    assert half.history[-1].learning_rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 5 / 6)) / 2)


def test_no_epochs_give_the_network_as_it_begins() -> None:
    outcome = trained(ranks.picture_batches(range(ROWS)), epochs=0)
    job = ranks.rank_job(0)
    fresh = build_network(job.network, job.spec.shape, 3, derive_seed(42, "weights"))
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
