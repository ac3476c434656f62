"""Losses and metrics of any number of labels a row against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from gpu import ranks
from sklearn import metrics
from torch.nn import functional

from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.tasks import Metrics, MultiLabelTask
from sparkwater.gpu.tasks.multilabel import AREAS, COUNTS
from sparkwater.gpu.tasks.score_bins import MOST_RANKED_LABELS

CPU = torch.device("cpu")
ROWS, LABELS = 300, 4


def random_rows(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return log-odds that tell something, labels, and weights."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(ROWS, LABELS, generator=generator) > torch.tensor([0.5, 0.2, 0.8, 0.6])
    outputs = 2 * torch.randn(ROWS, LABELS, generator=generator) + targets
    return outputs, targets, torch.rand(ROWS, generator=generator).double() + 0.2


def measured(
    outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None
) -> tuple[Metrics, dict[str, torch.Tensor]]:
    sums = MultiLabelTask(tuple(map(float, range(outputs.shape[1])))).sums(CPU)
    for rows in torch.split(torch.arange(len(outputs)), 128):
        sums.add(outputs[rows], targets[rows], None if weights is None else weights[rows])
    return sums.metrics(), sums.details()


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_scikit_learns(weighted: bool) -> None:
    outputs, targets, weights = random_rows()
    found, tables = measured(outputs, targets, weights if weighted else None)
    given = weights.numpy() if weighted else None
    truth, odds = targets.numpy(), outputs.numpy()
    predicted, probabilities = odds > 0, 1 / (1 + np.exp(-odds.astype(float)))
    losses = [
        metrics.log_loss(truth[:, label], probabilities[:, label], sample_weight=given) for label in range(LABELS)
    ]
    assert found.logloss == pytest.approx(np.mean(losses), rel=1e-6)
    assert found.subsetError == pytest.approx(metrics.zero_one_loss(truth, predicted, sample_weight=given))
    assert found.hammingLoss == pytest.approx(metrics.hamming_loss(truth, predicted, sample_weight=given))
    # Pairs that are closer than 1 / 64 count half.
    areas = metrics.roc_auc_score(truth, odds, average=None, sample_weight=given)
    assert tables[AREAS].tolist() == pytest.approx(areas, abs=2e-3)
    assert found.auc == pytest.approx(np.mean(areas), abs=2e-3)
    ties = np.floor(odds.astype(float) * 64)
    assert tables[AREAS].tolist() == pytest.approx(
        metrics.roc_auc_score(truth, ties, average=None, sample_weight=given)
    )
    precision, recall, _, support = metrics.precision_recall_fscore_support(truth, predicted, sample_weight=given)
    both, only_predicted, only_had, neither = tables[COUNTS].T.numpy()
    np.testing.assert_allclose(both / (both + only_predicted), precision)
    np.testing.assert_allclose(both / (both + only_had), recall)
    np.testing.assert_allclose(both + only_had, support)
    np.testing.assert_allclose(both + only_predicted + only_had + neither, ROWS if given is None else given.sum())


def test_areas_are_exact_for_perfect_inverted_and_constant_scores_and_beyond_the_reach() -> None:
    targets = torch.tensor([[False], [False], [True], [True]])
    for odds, area in (
        ([-2.0, -1.0, 0.1, 3.0], 1.0),
        ([3.0, 1.0, -1.0, -2.0], 0.0),
        ([0.0, -0.0, 0.0, -0.0], 0.5),
        ([-1e9, -900.0, 900.0, 1e9], 1.0),
        ([20.0, 30.0, 40.0, 50.0], 0.5),
    ):
        found, tables = measured(torch.tensor(odds)[:, None], targets)
        assert found.auc == tables[AREAS].item() == area
        assert np.isfinite(found.logloss or 0.0)


def test_labels_that_all_rows_have_or_none_have_no_area() -> None:
    outputs, targets, _ = random_rows()
    targets[:, 1], targets[:, 2] = True, False
    found, tables = measured(outputs, targets)
    areas = tables[AREAS]
    assert areas.isnan().tolist() == [False, True, True, False]
    assert found.auc == pytest.approx(float(areas[[0, 3]].mean()))
    assert measured(outputs[:, 1:3], targets[:, 1:3])[0].auc is None


def test_of_many_labels_no_areas_are_measured() -> None:
    few, many = (
        MultiLabelTask(tuple(map(float, range(count)))) for count in (MOST_RANKED_LABELS, MOST_RANKED_LABELS + 1)
    )
    assert few.unfit("auc") is None
    assert (
        many.unfit("auc")
        == f"auc is measured for up to {MOST_RANKED_LABELS} labels; there are {MOST_RANKED_LABELS + 1}"
    )
    sums = many.sums(CPU)
    sums.add(torch.ones(2, many.outputs), torch.ones(2, many.outputs, dtype=torch.bool), None)
    assert (sums.metrics().auc, sums.metrics().subsetError) == (None, 0.0)
    assert sums.details()[AREAS].isnan().all()
    assert len(sums.values) < 10 * MOST_RANKED_LABELS


def test_a_label_that_a_row_names_twice_counts_once() -> None:
    task = MultiLabelTask(("a", "b", "c"))
    once, twice = (task.encode(pa.array(rows)) for rows in ([["a", "c"]], [["c", "a", "a", "c"]]))
    assert once.values.tolist() == twice.values.tolist() == [[True, False, True]]
    outputs = torch.tensor([[0.5, -1.0, 2.0]])
    losses = [task.losses(outputs, torch.from_numpy(found.values)) for found in (once, twice)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_of_the_labels_cross_entropies(smoothing: float) -> None:
    outputs, targets, _ = random_rows()
    task = MultiLabelTask(tuple("abcd"), label_smoothing=smoothing)
    probabilities = outputs.double().sigmoid()
    goals = targets.double() * (1 - smoothing) + smoothing / 2
    expected = -(goals * probabilities.log() + (1 - goals) * (1 - probabilities).log()).mean(dim=1)
    torch.testing.assert_close(task.losses(outputs, targets).double(), expected, rtol=1e-5, atol=1e-6)
    # Of one label it is the cross entropy of two classes.
    pair = torch.stack([torch.zeros(ROWS), outputs[:, 0]], dim=1)
    alone = MultiLabelTask(("a",)).losses(outputs[:, :1], targets[:, :1])
    torch.testing.assert_close(alone, functional.cross_entropy(pair, targets[:, 0].long(), reduction="none"))


def test_a_network_learns_labels_that_are_there_together() -> None:
    rows = 60
    table = pa.Table.from_batches(ranks.picture_batches(range(rows)))
    # Every picture has its class's label; "odd" pictures of classes 1 and 2 share one.
    labels = [[["zero"], ["one", "some"], ["some", "two"]][row % 3] for row in range(rows)]
    batches = table.set_column(table.column_names.index("label"), "label", pa.array(labels)).to_batches()
    task = MultiLabelTask(("one", "some", "two", "zero"))
    job = ranks.rank_job(rows, task=task, epochs=12, momentum=0.9, learning_rate=0.05)
    outcome = run_rank(batches, job, SinglePeer())
    assert outcome.failure is None, outcome.failure
    last = outcome.history[-1]
    assert last.training.subsetError < 0.1
    assert last.training.auc > 0.99
    assert last.accuracy is None
    assert len(outcome.details[COUNTS]) == len(outcome.details[AREAS]) == 4
    assert [sum(counts[::2]) for counts in outcome.details[COUNTS]] == [20, 40, 20, 20]
