"""Losses and metrics of numbers against scikit-learn's, and what networks learn by each distribution."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from gpu import ranks
from sklearn import metrics
from torch import nn

from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks import find_network
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.tasks import Metrics, RegressionTask, Task
from sparkwater.gpu.tasks.regression import LOGARITHMIC

CPU = torch.device("cpu")
ROWS = 200

Numbers = npt.NDArray[np.float64]


def random_rows(seed: int = 0) -> tuple[Numbers, Numbers, Numbers]:
    """Return labels and predictions above 0, and weights."""
    generator = np.random.default_rng(seed)
    labels = generator.poisson(4.0, ROWS).astype(float)
    return labels, generator.uniform(0.5, 9.0, ROWS), generator.uniform(0.2, 3.0, ROWS)


def measured(task: RegressionTask, labels: Numbers, predictions: Numbers, weights: Numbers | None = None) -> Metrics:
    """Return the metrics of predictions, through the outputs of a network in double precision."""
    raw = np.log(predictions) if task.is_logarithmic else predictions
    sums = task.sums(CPU)
    for rows in np.array_split(np.arange(len(labels)), 3):
        given = None if weights is None else torch.from_numpy(weights[rows])
        sums.add(torch.from_numpy(raw[rows, None]), torch.from_numpy(labels[rows]), given)
    return sums.metrics()


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_scikit_learns(weighted: bool) -> None:
    labels, predictions, weights = random_rows()
    given = weights if weighted else None
    found = measured(RegressionTask("gaussian", center=4.0, scale=2.0), labels, predictions, given)
    arguments: dict[str, Any] = {"sample_weight": given}
    assert found.rmse == pytest.approx(math.sqrt(metrics.mean_squared_error(labels, predictions, **arguments)))
    assert found.mae == pytest.approx(metrics.mean_absolute_error(labels, predictions, **arguments))
    assert found.r2 == pytest.approx(metrics.r2_score(labels, predictions, **arguments))
    expected = {
        "gaussian": metrics.mean_squared_error(labels, predictions, **arguments),
        "laplace": metrics.mean_absolute_error(labels, predictions, **arguments),
        "poisson": metrics.mean_poisson_deviance(labels, predictions, **arguments),
        "tweedie": metrics.mean_tweedie_deviance(labels, predictions, power=1.5, **arguments),
        "quantile": metrics.mean_pinball_loss(labels, predictions, alpha=0.9, **arguments),
        "huber": np.average(huber_deviances(labels - predictions, 0.5 * 2.0), weights=given),
    }
    for distribution, value in expected.items():
        scale = 1.0 if distribution in LOGARITHMIC else 2.0
        task = RegressionTask(distribution, center=1.3, scale=scale, quantile=0.9, delta=0.5)
        assert measured(task, labels, predictions, given).meanDeviance == pytest.approx(value), distribution


def huber_deviances(residuals: Numbers, delta: float) -> Numbers:
    """Twice Huber's loss: the square up to ``delta``, a straight line beyond."""
    values = [r * r if abs(r) <= delta else delta * (2 * abs(r) - delta) for r in residuals.tolist()]
    assert 10 < sum(abs(residuals) <= delta) < ROWS - 10
    return np.array(values)


@pytest.mark.parametrize(
    ("distribution", "share"), [("gaussian", 0.5), ("huber", 0.5), ("laplace", 1.0), ("quantile", 1.0)]
)
def test_losses_are_shares_of_the_deviances_in_units_of_the_labels_deviation(distribution: str, share: float) -> None:
    task = RegressionTask(distribution, center=3.0, scale=2.5, quantile=0.3, delta=0.4)
    labels, predictions, _ = (torch.from_numpy(values) for values in random_rows())
    losses = task.losses(((predictions - 3.0) / 2.5)[:, None], labels)
    squared = distribution in ("gaussian", "huber")
    expected = share * task.deviances(predictions, labels) / 2.5 ** (2 if squared else 1)
    torch.testing.assert_close(losses, expected)


def test_the_loss_of_counts_is_half_the_deviance_in_units_of_their_mean() -> None:
    task = RegressionTask("poisson", center=math.log(4.0))
    labels, predictions, _ = (torch.from_numpy(values) for values in random_rows())
    losses = task.losses((predictions.log() - math.log(4.0))[:, None], labels)
    torch.testing.assert_close(losses, task.deviances(predictions.log(), labels) / 2 / 4.0)
    assert float(labels.min()) == 0


def test_huber_is_the_square_far_within_and_the_absolute_error_far_beyond_its_delta() -> None:
    residuals = torch.tensor([-0.5, 0.2, 0.0, 1.0, -1.0, 30.0, -30.0], dtype=torch.float64)
    losses = RegressionTask("huber", delta=1.0).losses(torch.zeros(7, 1, dtype=torch.float64), residuals)
    assert losses.tolist() == pytest.approx([0.125, 0.02, 0.0, 0.5, 0.5, 29.5, 29.5])


@pytest.mark.parametrize("far", [0.0, 1e9, -1e9, 1234567890.0])
def test_labels_far_from_zero_keep_their_digits(far: float) -> None:
    labels = np.array([-1.0, 1.0, 0.5, -0.25]) + far
    predictions = np.array([-0.75, 0.75, 0.5, 0.0]) + far
    found = measured(RegressionTask("gaussian", center=far + 0.0625, scale=0.76), labels, predictions)
    near = measured(RegressionTask("gaussian"), labels - far, predictions - far)
    for name in ("rmse", "mae", "r2", "meanDeviance"):
        assert found[name] == pytest.approx(near[name], rel=1e-9)
    assert near.r2 == pytest.approx(metrics.r2_score(labels - far, predictions - far))
    # So does what the network is to learn, in single precision.
    task = RegressionTask("gaussian", center=far + 0.0625, scale=0.76)
    outputs = torch.from_numpy((predictions - task.center) / task.scale).float()[:, None]
    losses = task.losses(outputs, torch.from_numpy(labels)).double() * 2 * 0.76**2
    torch.testing.assert_close(losses, torch.from_numpy((labels - predictions) ** 2), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(task.adjust(outputs)[:, 0], torch.from_numpy(predictions), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 7])
@pytest.mark.parametrize("label", [0.0, 0.1, 1 / 3, 1e9 / 7])
def test_where_all_labels_are_equal_no_variance_is_explained(label: float, rows: int) -> None:
    labels = np.full(rows, label)
    # The center is rounded, so it isn't the label.
    task = RegressionTask("gaussian", center=float(f"{label:.6g}"))
    assert measured(task, labels, labels + 1).r2 is None
    assert measured(task, np.append(labels, label + 0.01), np.append(labels, label + 0.01)).r2 == 1


def test_the_best_constant_explains_nothing_and_a_worse_one_less() -> None:
    labels, _, weights = random_rows()
    mean = np.full(ROWS, np.average(labels, weights=weights))
    task = RegressionTask("gaussian", center=2.0)
    assert measured(task, labels, mean, weights).r2 == pytest.approx(0, abs=1e-12)
    assert (measured(task, labels, mean + 1, weights).r2 or 0) < -0.1


#: Skewed counts: mean, median and the quantiles are far apart.
LABELS = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 68.0] * 4)


class Bias(nn.Module):
    """A network that gives every picture the same number."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(256, 1)
        nn.init.zeros_(self.head.weight)
        self.head.weight.requires_grad_(False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(0 * pictures.flatten(1))


@pytest.mark.parametrize(
    ("distribution", "learned"),
    [
        ("gaussian", LABELS.mean()),
        ("poisson", LABELS.mean()),
        ("tweedie", LABELS.mean()),
        ("gamma", LABELS.mean() + 1),
        ("laplace", np.median(LABELS)),
        ("quantile", 6.0),
        ("huber", None),
    ],
)
def test_a_network_that_gives_one_number_learns_that_of_the_distribution(
    distribution: str, learned: float | None
) -> None:
    labels = LABELS + 1 if distribution == "gamma" else LABELS
    center, scale = (math.log(labels.mean()), 1.0) if distribution in LOGARITHMIC else (labels.mean(), labels.std())
    # Neither begins at what it should learn.
    task = RegressionTask(distribution, center=center + 0.3, scale=scale, quantile=0.85, delta=0.5)
    predictions = trained_predictions(task, labels)
    assert len(set(predictions.tolist())) == 1
    if learned is None:
        # No closed form: what pulls it up is as strong as what pulls it down.
        derivatives = np.clip(labels - predictions[0], -0.5 * scale, 0.5 * scale)
        assert abs(derivatives.mean()) < 0.05
        assert np.median(labels) < predictions[0] < labels.mean()
    else:
        assert predictions[0] == pytest.approx(learned, abs=0.55 if distribution in ("laplace", "quantile") else 0.02)


def trained_predictions(task: RegressionTask, labels: Numbers, epochs: int = 400) -> Numbers:
    """Return what a trained bias gives for the rows."""
    table = pa.Table.from_batches(ranks.picture_batches(range(len(labels))))
    batches = table.set_column(table.column_names.index("label"), "label", pa.array(labels)).to_batches()
    job = ranks.rank_job(
        len(labels), task=task, network=Bias(), batch_size=100, epochs=epochs, learning_rate=0.05, schedule="cosine",
        momentum=0.5,
    )  # fmt: skip
    outcome = run_rank(batches, job, SinglePeer())
    assert outcome.failure is None, outcome.failure
    assert outcome.scaling is not None
    entry = find_network(Bias())
    network = TrainedNetwork(entry, job.spec.shape, task, outcome.scaling, outcome.weights, outcome.weights_digest)
    raw = predict_raw(network, load_rows(batches, job.spec, task, "error").features.numpy())
    return task.respond(raw)[:, 0]


def test_a_share_of_the_errors_are_squares_and_the_others_pull_as_the_largest_of_them() -> None:
    task = RegressionTask("huber", center=LABELS.mean() + 0.3, scale=LABELS.std(), delta=3.0, alpha=0.8)
    prediction = trained_predictions(task, LABELS, epochs=150)[0]
    bound = np.sort(abs(LABELS - prediction))[int(0.8 * len(LABELS)) - 1]
    # What pulls it up is as strong as what pulls it down, where a fixed bound lets the largest one pull more.
    assert abs(np.clip(LABELS - prediction, -bound, bound).mean()) < 0.05
    assert bound < 0.2 * task.delta * task.scale
    assert trained_predictions(replace(task, alpha=None), LABELS, epochs=150)[0] > prediction + 1


def test_the_bound_of_an_epoch_is_a_quantile_of_absolute_errors_and_deviances_keep_theirs() -> None:
    task, asked = RegressionTask("huber", scale=2.0, delta=3.0, alpha=0.7), []

    def quantile(share: float, other: Task) -> float:
        outputs, targets = torch.tensor([[1.0], [0.0]]), torch.tensor([0.0, 5.0], dtype=torch.float64)
        asked.append((share, other.losses(outputs, targets).tolist()))
        return 0.25

    assert task.adapted(quantile) == replace(task, delta=0.25)
    assert asked == [(0.7, [1.0, 2.5])]
    assert task.adapted(lambda share, other: 0.0) == task  # all errors are 0
    for other in (replace(task, alpha=None), replace(task, distribution="gaussian")):
        assert (other.adapts, other.adapted(quantile)) == (False, other)
    for alpha in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="is not between 0 and 1"):
            RegressionTask("huber", alpha=alpha)


def test_predictions_of_labels_far_from_zero_keep_their_digits() -> None:
    labels = 1e9 + LABELS / 4
    predictions = trained_predictions(RegressionTask("gaussian", center=1e9 + 1.0, scale=2.7), labels)
    assert predictions[0] - 1e9 == pytest.approx(LABELS.mean() / 4, abs=0.02)


def test_the_deviance_of_a_count_of_zero_is_defined_however_small_its_mean() -> None:
    task = RegressionTask("poisson")
    raw = torch.tensor([-800.0, -1e5], dtype=torch.float64)
    assert task.deviances(raw, torch.zeros(2, dtype=torch.float64)).tolist() == [0.0, 0.0]
