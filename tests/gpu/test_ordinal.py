"""Classes in an order: probabilities, losses and metrics against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics

from sparkwater.gpu.tasks import OrdinalTask, task_from_dict
from sparkwater.gpu.tasks.losses import ordinal_logits
from sparkwater.gpu.tasks.ordinal import beginning_of

TASK = OrdinalTask((0.0, 1.0, 2.0, 5.0))


def random_rows(rows: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return outputs, positions of classes, and weights."""
    generator = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(rows, 3, generator=generator)
    targets = torch.randint(0, 4, (rows,), generator=generator)
    return outputs, targets, torch.rand(rows, generator=generator).double() + 0.2


def test_probabilities_are_differences_of_those_of_being_above() -> None:
    outputs = random_rows()[0].double()
    above = expit(ordinal_logits(outputs).numpy())
    assert (np.diff(above, axis=1) < 0).all()
    falls = np.log1p(np.exp(outputs[:, 1:].numpy()))
    np.testing.assert_allclose(above[:, 2], expit(outputs[:, 0].numpy() - falls.sum(axis=1)))
    edges = np.hstack([np.ones((300, 1)), above, np.zeros((300, 1))])
    shares = TASK.respond(outputs.numpy())
    np.testing.assert_allclose(shares, -np.diff(edges, axis=1), atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    targets = random_rows()[1]
    losses = TASK.losses(outputs, targets)
    np.testing.assert_allclose(losses, -np.log(shares[np.arange(300), targets]))


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(outputs=st.lists(st.floats(-80, 80, width=32), min_size=3, max_size=3), target=st.integers(0, 3))
def test_losses_and_gradients_of_sure_predictions_are_finite(outputs: list[float], target: int) -> None:
    given = torch.tensor([outputs]).requires_grad_()
    loss = TASK.losses(given, torch.tensor([target]))
    (gradient,) = torch.autograd.grad(loss.sum(), given)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
    exact = torch.tensor([outputs], dtype=torch.float64)
    for place in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[place] = 1e-5
        ends = [float(TASK.losses(exact + way * step, torch.tensor([target]))) for way in (1, -1)]
        assert float(gradient[0, place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_scikit_learns(weighted: bool) -> None:
    outputs, targets, weights = random_rows()
    given = weights if weighted else None
    sums = TASK.sums(torch.device("cpu"))
    for rows in torch.split(torch.arange(300), 128):
        sums.add(TASK.adjust(outputs[rows]), targets[rows], None if given is None else given[rows])
    found = sums.metrics()
    shares, truth = TASK.respond(outputs.double().numpy()), targets.numpy()
    predicted, arguments = shares.argmax(axis=1), {"sample_weight": None if given is None else given.numpy()}
    assert found.logloss == pytest.approx(metrics.log_loss(truth, shares, **arguments), rel=1e-5)
    assert found.error == pytest.approx(metrics.zero_one_loss(truth, predicted, **arguments))
    assert found.meanPerClassError == pytest.approx(1 - metrics.balanced_accuracy_score(truth, predicted, **arguments))
    assert found.meanRankError == pytest.approx(metrics.mean_absolute_error(truth, predicted, **arguments))
    kappa = metrics.cohen_kappa_score(truth, predicted, weights="quadratic", **arguments)
    assert found.kappa == pytest.approx(kappa)
    table = sums.details()["confusion"].numpy()
    np.testing.assert_allclose(table, metrics.confusion_matrix(truth, predicted, **arguments))


def test_agreement_is_undefined_where_all_is_one_class() -> None:
    sums = TASK.sums(torch.device("cpu"))
    sums.add(torch.tensor([[-5.0, 0.0, 0.0]] * 4), torch.zeros(4, dtype=torch.int64), None)
    assert (sums.metrics().kappa, sums.metrics().error) == (None, 0.0)


def test_a_network_begins_at_the_shares_of_the_classes() -> None:
    task = OrdinalTask(("low", "high", "higher"), beginning=beginning_of([30.0, 50.0, 20.0]))
    np.testing.assert_allclose(
        task.respond(task.adjust(torch.zeros(1, 2)).double().numpy()), [[0.3, 0.5, 0.2]], rtol=1e-5
    )
    rare = OrdinalTask(TASK.classes, beginning=beginning_of([0.0, 90.0, 0.0, 10.0]))
    shares = rare.respond(rare.adjust(torch.zeros(1, 3)).double().numpy())[0]
    np.testing.assert_allclose(shares, np.array([0.25, 90, 0.25, 10]) / 100.5, rtol=1e-4)
    many = beginning_of([1.0] * 300)
    assert np.isfinite(many).all()
    np.testing.assert_allclose(
        OrdinalTask(tuple(map(float, range(300))), beginning=many).respond(np.array([many])), 1 / 300, rtol=1e-3
    )


def test_strings_stand_in_their_own_order_and_numbers_in_theirs() -> None:
    assert OrdinalTask(("low", "high")).names == ("low", "high")
    for classes in ((1.0, 0.0), ("low", "low"), ("low",), (0.0,)):
        with pytest.raises(ValueError, match=r"order|sorted"):
            OrdinalTask(classes)  # type: ignore[arg-type]


@pytest.mark.parametrize("beginning", [(0.0,), (0.0, 1.0, float("nan")), [0.0, 0.0, 0.0], ("a", "b", "c")])
def test_a_beginning_that_does_not_fit_is_refused(beginning: Any) -> None:
    with pytest.raises(ValueError, match="beginning"):
        OrdinalTask(TASK.classes, beginning=beginning)
    assert task_from_dict({**TASK.to_dict(), "beginning": [0.0, 1.0, 2.0]}).to_dict()["beginning"] == (0.0, 1.0, 2.0)
