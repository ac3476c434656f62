"""Distributions with a logarithmic link: deviances, gradients and limits against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import metrics

from sparkwater.gpu.tasks import RegressionTask
from sparkwater.gpu.tasks.regression import DISTRIBUTIONS, LOGARITHMIC

MEAN = 4.0


def random_rows(distribution: str, rows: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels that a distribution admits, and means; float64."""
    generator = np.random.default_rng(1)
    labels = generator.gamma(0.7, MEAN / 0.7, rows)
    if distribution != "gamma":
        labels[:40] = 0
    return torch.from_numpy(labels), torch.from_numpy(generator.uniform(0.5, 9.0, rows))


#: Derivatives of half the deviance by the logarithm of the mean: (mean - y) * mean**(1 - power).
POWERS = {"poisson": 1.0, "tweedie": 1.3, "gamma": 2.0}


@pytest.mark.parametrize("distribution", LOGARITHMIC)
def test_deviances_are_scikit_learns(distribution: str) -> None:
    labels, means = random_rows(distribution)
    task = RegressionTask(distribution, center=0.3, power=1.3)
    expected = metrics.mean_tweedie_deviance(labels, means, power=POWERS[distribution])
    assert float(task.deviances(means.log(), labels).mean()) == pytest.approx(expected)
    weights = np.random.default_rng(2).uniform(0.5, 2.0, len(labels))
    sums = task.sums(torch.device("cpu"))
    sums.add(means.log()[:, None], labels, torch.from_numpy(weights))
    expected = metrics.mean_tweedie_deviance(labels, means, power=POWERS[distribution], sample_weight=weights)
    assert sums.metrics().meanDeviance == pytest.approx(expected)
    assert sums.metrics().rmse == pytest.approx(
        math.sqrt(metrics.mean_squared_error(labels, means, sample_weight=weights))
    )


@pytest.mark.parametrize("distribution", LOGARITHMIC)
def test_losses_are_half_the_deviances_in_units_of_the_mean_and_gradients_those_of_the_formula(
    distribution: str,
) -> None:
    labels, means = random_rows(distribution)
    power = POWERS[distribution]
    task = RegressionTask(distribution, center=math.log(MEAN), power=1.3)
    outputs = (means.log() - math.log(MEAN))[:, None].requires_grad_()
    losses = task.losses(outputs, labels)
    torch.testing.assert_close(losses, task.deviances(means.log(), labels) / 2 / MEAN ** (2 - power))
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    units, relative = labels / MEAN, means / MEAN
    torch.testing.assert_close(gradient[:, 0], (relative - units) * relative ** (1 - power))
    (single,) = torch.autograd.grad(task.losses(outputs.float(), labels).sum(), outputs)
    torch.testing.assert_close(single, gradient, rtol=1e-4, atol=1e-5)


def finite_differences(loss: Callable[[torch.Tensor], torch.Tensor], outputs: torch.Tensor) -> torch.Tensor:
    step = 1e-6
    return (loss(outputs + step) - loss(outputs - step)) / (2 * step)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_gradients_are_finite_differences_of_the_losses(distribution: str) -> None:
    labels, means = random_rows("gamma")
    task = RegressionTask(distribution, center=0.2, scale=1.0, quantile=0.3, delta=0.7, power=1.6)
    outputs = means.log()[:, None].requires_grad_()
    (gradient,) = torch.autograd.grad(task.losses(outputs, labels).sum(), outputs)
    with torch.no_grad():
        expected = finite_differences(lambda each: task.losses(each, labels), outputs)
    torch.testing.assert_close(gradient[:, 0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("power", "limit"), [(1 + 1e-6, "poisson"), (2 - 1e-6, "gamma")])
def test_tweedie_lies_between_poisson_and_gamma(power: float, limit: str) -> None:
    labels, means = random_rows("gamma")
    found = RegressionTask("tweedie", power=power).deviances(means.log(), labels)
    torch.testing.assert_close(found, RegressionTask(limit).deviances(means.log(), labels), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("distribution", LOGARITHMIC)
def test_a_prediction_that_is_the_label_has_no_deviance_and_any_other_has(distribution: str) -> None:
    labels = torch.tensor([0.3, 1.0, 7.0, 1e6], dtype=torch.float64)
    task = RegressionTask(distribution)
    right = task.deviances(labels.log(), labels)
    torch.testing.assert_close(right / labels, torch.zeros_like(labels), rtol=0, atol=1e-9)
    for factor in (0.9, 1.1):
        assert (task.deviances((labels * factor).log(), labels) > 0).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_logarithmic_errors_are_scikit_learns_and_predictions_below_zero_count_as_zero(weighted: bool) -> None:
    labels, means = random_rows("tweedie")
    predictions = means - 1.0
    assert (predictions < 0).any()
    weights = torch.from_numpy(np.random.default_rng(2).uniform(0.5, 2.0, len(labels))) if weighted else None
    sums = RegressionTask("gaussian").sums(torch.device("cpu"))
    sums.add(predictions[:, None], labels, weights)
    expected = metrics.root_mean_squared_log_error(labels, predictions.clamp(min=0), sample_weight=weights)
    assert sums.metrics().rmsle == pytest.approx(expected)
    sums.add(torch.tensor([[1.0]]), torch.tensor([-0.5], dtype=torch.float64), None)
    assert sums.metrics().rmsle is None
    assert sums.metrics().rmse is not None


@pytest.mark.parametrize("power", [1.0, 2.0, 0.5, math.nan])
def test_a_power_outside_of_1_and_2_is_refused(power: float) -> None:
    with pytest.raises(ValueError, match="is not between 1 and 2"):
        RegressionTask("tweedie", power=power)
