"""Several quantiles at once: order, losses, metrics, and what a network of constants learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from gpu import ranks
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from torch import nn

from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.tasks import QuantilesTask
from sparkwater.gpu.tasks.quantiles import QUANTILE_COLUMNS, QUANTILES

CPU = torch.device("cpu")
TASK = QuantilesTask((0.1, 0.25, 0.5, 0.9), center=30.0, scale=4.0)


def random_rows(rows: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return outputs, labels, and weights."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(rows, TASK.outputs, generator=generator)
    labels = 30 + 6 * torch.randn(rows, generator=generator).double()
    return outputs, labels, torch.rand(rows, generator=generator).double() + 0.2


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(outputs=st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4))
def test_quantiles_never_cross(outputs: list[float]) -> None:
    levels = TASK.adjust(torch.tensor([outputs]))[0]
    assert levels.dtype == torch.float64
    assert (levels.diff() >= 0).all()
    losses = TASK.losses(torch.tensor([outputs]), torch.tensor([25.0], dtype=torch.float64))
    assert losses.isfinite().all()


def test_outputs_of_zero_are_the_quantiles_of_a_normal_distribution() -> None:
    levels = TASK.adjust(torch.zeros(1, 4))[0]
    np.testing.assert_allclose(levels, stats.norm(30.0, 4.0).ppf(TASK.quantiles), rtol=1e-6)
    moved = TASK.adjust(torch.tensor([[0.5, 0.0, 0.0, 0.0]]))[0]
    np.testing.assert_allclose(moved, levels + 2.0, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_metrics_are_scikit_learns(weighted: bool) -> None:
    outputs, labels, weights = random_rows()
    given = weights if weighted else None
    levels = TASK.adjust(outputs)
    sums = TASK.sums(CPU)
    for rows in torch.split(torch.arange(len(labels)), 128):
        sums.add(levels[rows], labels[rows], None if given is None else given[rows])
    found, table = sums.metrics(), sums.details()[QUANTILES]
    rates = None if given is None else given.numpy()
    arguments: dict[str, Any] = {"sample_weight": rates}
    pinballs = [
        metrics.mean_pinball_loss(labels, levels[:, place], alpha=quantile, **arguments)
        for place, quantile in enumerate(TASK.quantiles)
    ]
    assert found.meanDeviance == pytest.approx(np.mean(pinballs))
    losses = TASK.losses(outputs, labels)
    assert float(np.average(losses, weights=rates)) == pytest.approx(np.mean(pinballs) / TASK.scale, rel=1e-5)
    # The median is the prediction.
    assert found.mae == pytest.approx(metrics.mean_absolute_error(labels, levels[:, 2], **arguments))
    assert found.rmse == pytest.approx(math.sqrt(metrics.mean_squared_error(labels, levels[:, 2], **arguments)))
    assert found.r2 == pytest.approx(metrics.r2_score(labels, levels[:, 2], **arguments))
    inside = ((labels >= levels[:, 0]) & (labels <= levels[:, -1])).double()
    assert found.coverage == pytest.approx(float(np.average(inside, weights=rates)))
    assert found.width == pytest.approx(float(np.average(levels[:, -1] - levels[:, 0], weights=rates)))
    columns = dict(zip(QUANTILE_COLUMNS, table.T.tolist(), strict=True))
    assert columns["quantile"] == list(TASK.quantiles)
    assert columns["pinballLoss"] == pytest.approx(pinballs)
    below = [np.average((labels <= levels[:, place]).double(), weights=rates) for place in range(4)]
    assert columns["shareBelow"] == pytest.approx(below)


def test_gradients_are_finite_differences_of_the_losses() -> None:
    outputs, labels, _ = random_rows(40)
    outputs = outputs.double().requires_grad_()
    (gradient,) = torch.autograd.grad(TASK.losses(outputs, labels).sum(), outputs)
    for place in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[place] = 1e-6
        with torch.no_grad():
            difference = (TASK.losses(outputs + step, labels) - TASK.losses(outputs - step, labels)) / 2e-6
        torch.testing.assert_close(gradient[:, place], difference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("quantiles", "place"),
    [((0.1, 0.5, 0.9), 1), ((0.05, 0.45, 0.55), 1), ((0.8, 0.9), 0), ((0.1, 0.2), 1), ((0.25, 0.75), 0)],
)
def test_the_quantile_nearest_to_the_median_is_the_prediction(quantiles: tuple[float, ...], place: int) -> None:
    assert QuantilesTask(quantiles).middle == place


@pytest.mark.parametrize(
    ("quantiles", "message"),
    [
        ((0.5,), "not two or more"),
        ([0.1, 0.9], "not two or more"),
        ((0.0, 0.5), "not above 0 and below 1"),
        ((0.5, 1.0), "not above 0 and below 1"),
        ((0.5, math.nan), "not above 0 and below 1"),
        ((0.9, 0.1), "not ascending"),
        ((0.5, 0.5), "not ascending"),
    ],
)
def test_quantiles_that_are_none_are_refused(quantiles: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuantilesTask(quantiles)


class Constants(nn.Module):
    """A network that gives every picture the same numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(256, 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.head.weight.requires_grad_(False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(0 * pictures.flatten(1))


def test_a_network_of_constants_learns_the_quantiles_of_skewed_labels() -> None:
    labels = np.exp(np.linspace(0, 4, 60))
    table = pa.Table.from_batches(ranks.picture_batches(range(60)))
    batches = table.set_column(table.column_names.index("label"), "label", pa.array(labels)).to_batches()
    task = QuantilesTask((0.2, 0.5, 0.85), center=float(labels.mean()), scale=float(labels.std()))
    job = ranks.rank_job(
        60, task=task, network=Constants(), batch_size=100, epochs=400, learning_rate=0.3, schedule="cosine",
        momentum=0.5,
    )  # fmt: skip
    outcome = run_rank(batches, job, SinglePeer())
    assert outcome.failure is None, outcome.failure
    # Between two labels all numbers are as good.
    below = [row[QUANTILE_COLUMNS.index("shareBelow")] for row in outcome.details[QUANTILES]]
    assert below == pytest.approx(list(task.quantiles), abs=2 / 60 + 1e-9)
    assert outcome.history[-1].training.coverage == pytest.approx(0.65, abs=2 / 60 + 1e-9)
