"""Temperatures: the minimum of the cross entropy, its bounds, and what a calibrated network gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gpu import ranks
from scipy.optimize import minimize_scalar
from torch import nn
from torch.nn import functional

from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.held import RankRows
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.calibration import LARGEST, Calibration, fit_temperature

CPU = torch.device("cpu")


def fitted(
    odds: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None = None,
    task: ClassificationTask | None = None,
) -> Calibration:
    """Return the temperature of a network that gives its inputs back."""
    compute = Compute(nn.Identity(), Scaling((0.0,), (1.0,)), CPU, torch.contiguous_format, "float32")
    rows = RankRows(features=odds[:, None], targets=labels, weights=weights)
    network = replace(compute, network=nn.Flatten())
    return fit_temperature(network, rows, task or ClassificationTask.numbered(odds.shape[1]), LocalCommunicator())


def sampled(temperature: float, rows: int = 3000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return log-odds, labels that have their probabilities at a temperature, and weights."""
    generator = torch.Generator().manual_seed(seed)
    odds = 2 * torch.randn(rows, 4, generator=generator)
    labels = torch.multinomial((odds / temperature).softmax(dim=1), 1, generator=generator)[:, 0]
    return odds, labels, torch.rand(rows, generator=generator).double() + 0.2


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 9.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_is_where_the_rows_and_one_of_each_class_alike_are_most_probable(
    temperature: float, weighted: bool
) -> None:
    odds, labels, weights = sampled(temperature)
    given = weights if weighted else torch.ones(len(labels), dtype=torch.float64)

    def loss(logarithm: float, smoothing: float) -> float:
        scaled = odds.double() / np.exp(logarithm)
        losses = functional.cross_entropy(scaled, labels, reduction="none", label_smoothing=smoothing)
        return float(losses @ given / given.sum())

    found = fitted(odds, labels, weights if weighted else None)
    smoothing = 1 / (1 + len(labels))
    best = minimize_scalar(loss, args=(smoothing,), bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    assert found.temperature == pytest.approx(float(np.exp(best.x)), rel=1e-4)
    assert found.temperature == pytest.approx(temperature, rel=0.15)
    few = odds[:20], labels[:20]  # of which the further row is a part that counts, in whatever unit weights are
    assert fitted(*few, 0.001 * given[:20]).temperature == pytest.approx(fitted(*few, given[:20]).temperature, rel=1e-4)
    assert found.before == pytest.approx(loss(0.0, 0.0), rel=1e-6)
    assert found.after == pytest.approx(loss(best.x, 0.0), rel=1e-6)


def test_class_weights_are_corrected_before() -> None:
    odds, labels, _ = sampled(2.0)
    weights = (1.0, 4.0, 0.5, 2.0)
    task = ClassificationTask((0.0, 1.0, 2.0, 3.0), class_weights=weights)
    shifted = odds + torch.tensor(weights).log()
    assert fitted(shifted, labels, task=task).temperature == pytest.approx(fitted(odds, labels).temperature, rel=1e-4)


def test_rows_that_are_all_right_leave_a_doubt_which_more_of_them_lessen() -> None:
    odds = 6 * nn.functional.one_hot(torch.arange(1000) % 3, 3).float()
    few, many = (fitted(odds[:rows], torch.arange(rows) % 3) for rows in (40, 1000))
    for found, rows in ((few, 40), (many, 1000)):
        sure = (odds[0] / found.temperature).softmax(dim=0)[0]
        assert float(sure) == pytest.approx((rows + 1 / 3) / (rows + 1), rel=1e-5)
    assert few.temperature > 1 > many.temperature
    assert many.after < many.before


def test_rows_that_are_all_wrong_have_the_bound_and_equal_outputs_none() -> None:
    odds = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    assert fitted(odds, odds.argmin(dim=1)).temperature == pytest.approx(LARGEST, rel=1e-3)
    assert fitted(torch.zeros(6, 3), torch.arange(6) % 3).temperature == 1


def test_a_temperature_divides_log_odds_and_leaves_the_order_of_classes() -> None:
    odds, labels, _ = sampled(2.5)
    plain, weights = ClassificationTask.numbered(4), (1.0, 2.0, 3.0, 4.0)
    found = fitted(odds, labels)
    task = found.of(plain)
    assert isinstance(task, ClassificationTask)
    torch.testing.assert_close(task.adjust(odds), odds / found.temperature)
    sums = task.sums(CPU)
    sums.add(task.adjust(odds), labels, None)
    assert sums.metrics().logloss == pytest.approx(found.after, rel=1e-5)
    both = replace(task, class_weights=weights)
    torch.testing.assert_close(both.adjust(odds), (odds - torch.tensor(weights).log()) / found.temperature)
    with pytest.raises(ValueError, match="temperature 0 is not above 0"):
        ClassificationTask((0.0, 1.0), temperature=0)


def test_a_rank_calibrates_the_network_that_it_keeps() -> None:
    held_out = range(40, 60)
    batches = ranks.picture_batches(range(60), held_out=held_out)
    recipe = {"validation": True, "keep_best": True, "epochs": 3, "learning_rate": 0.02, "label_smoothing": 0.2}
    outcome = run_rank(batches, ranks.rank_job(60, **recipe, calibrate=True), SinglePeer())
    without = run_rank(batches, ranks.rank_job(60, **recipe), SinglePeer())
    assert outcome.failure is without.failure is None
    assert (outcome.weights, without.calibration) == (without.weights, None)
    assert outcome.calibration is not None
    kept = outcome.history[outcome.best_epoch or 0].validation
    assert kept is not None
    assert outcome.calibration.before == pytest.approx(kept.logloss, rel=1e-5)
    assert outcome.calibration.after < outcome.calibration.before
    assert outcome.calibration.temperature < 0.9
    # Without a training the network that there is gets a temperature as well.
    fresh = run_rank(batches, ranks.rank_job(60, validation=True, epochs=0, calibrate=True), SinglePeer())
    assert fresh.calibration is not None
    assert fresh.calibration.temperature != outcome.calibration.temperature
