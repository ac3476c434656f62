"""Areas, thresholds and gains of two classes against scikit-learn's and against a loop over the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from sparkwater.gpu.tasks.class_metrics import ClassSums
from sparkwater.gpu.tasks.curves import (
    GAINS,
    GAINS_COLUMNS,
    GROUPS,
    MAX_THRESHOLDS,
    THRESHOLD_COLUMNS,
    THRESHOLDS,
)
from sparkwater.gpu.tasks.score_bins import MOST_RANKED_CLASSES, float_bins, lowest_scores

CPU = torch.device("cpu")


def two_classes(rows: int = 600, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return log-odds of both classes that tell something, labels, and weights."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(rows, generator=generator) < 0.3).long()
    outputs = torch.randn(rows, 2, generator=generator)
    outputs[:, 1] += 1.5 * labels
    return outputs, labels, torch.rand(rows, generator=generator).double() + 0.2


def summed(outputs: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> ClassSums:
    sums = ClassSums(outputs.shape[1], 2, CPU)
    for rows in torch.split(torch.arange(len(labels)), 250):
        sums.add(outputs[rows], labels[rows], None if weights is None else weights[rows])
    return sums


def as_binned(outputs: torch.Tensor) -> np.ndarray:
    """Return the scores that rows of one bin share."""
    return lowest_scores(float_bins(outputs[:, 1] - outputs[:, 0])).numpy()


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(score=st.floats(-(2.0**99), 2.0**99, width=32))
def test_a_bin_begins_at_its_lowest_score(score: float) -> None:
    own = float_bins(torch.tensor([score]))
    lowest = lowest_scores(own)
    assert float(lowest[0]) <= score
    assert float_bins(lowest.float()) == own
    before = torch.nextafter(lowest.float(), torch.tensor(-math.inf))
    assert float_bins(before) < own or float(before) == 0 == float(lowest[0])
    assert abs(score - float(lowest[0])) <= abs(score) / 128 + 1e-38


@pytest.mark.parametrize("weighted", [False, True])
def test_areas_and_thresholds_are_scikit_learns(weighted: bool) -> None:
    outputs, labels, weights = two_classes()
    given = weights if weighted else None
    sums = summed(outputs, labels, given)
    found, table = sums.metrics(), sums.details()[THRESHOLDS]
    truth, scores, rates = labels.numpy(), as_binned(outputs), None if given is None else given.numpy()
    exact = (outputs[:, 1] - outputs[:, 0]).numpy()
    assert found.auc == pytest.approx(metrics.roc_auc_score(truth, scores, sample_weight=rates))
    assert found.auc == pytest.approx(metrics.roc_auc_score(truth, exact, sample_weight=rates), abs=1e-3)
    assert found.gini == pytest.approx(2 * found.auc - 1)
    assert found.aucMacro == found.aucWeighted == found.auc
    assert found.aucPr == pytest.approx(metrics.average_precision_score(truth, scores, sample_weight=rates))
    assert found.aucPr == pytest.approx(metrics.average_precision_score(truth, exact, sample_weight=rates), abs=3e-3)
    precision, recall, levels = metrics.precision_recall_curve(truth, scores, sample_weight=rates)
    f1 = 2 * precision * recall / (precision + recall)
    assert found.maxF1 == pytest.approx(f1[:-1].max())
    assert len(table) <= MAX_THRESHOLDS + 1 < len(levels)
    columns = dict(zip(THRESHOLD_COLUMNS, table.T.numpy(), strict=True))
    assert (np.diff(columns["threshold"]) < 0).all()
    places = [int(np.flatnonzero(np.isclose(1 / (1 + np.exp(-levels)), level))[0]) for level in columns["threshold"]]
    np.testing.assert_allclose(columns["precision"], precision[places])
    np.testing.assert_allclose(columns["recall"], recall[places])
    np.testing.assert_allclose(columns["f1"], f1[places])
    assert columns["f1"].max() == found.maxF1
    for place in (0, 40, len(table) - 1):
        predicted = scores >= levels[places[place]]
        assert columns["accuracy"][place] == pytest.approx(
            metrics.accuracy_score(truth, predicted, sample_weight=rates)
        )
        assert columns["specificity"][place] == pytest.approx(
            metrics.recall_score(truth, predicted, pos_label=0, sample_weight=rates)
        )


@pytest.mark.parametrize("weighted", [False, True])
def test_gains_are_those_of_groups_of_rows(weighted: bool) -> None:
    outputs, labels, weights = two_classes()
    weights = weights if weighted else torch.ones(len(labels), dtype=torch.float64)
    table = summed(outputs, labels, weights).details()[GAINS]
    columns = dict(zip(GAINS_COLUMNS, table.T.numpy(), strict=True))
    truth, scores, counts = labels.numpy() == 1, as_binned(outputs), weights.numpy()
    share = counts[truth].sum() / counts.sum()
    # As bins of scores allow.
    np.testing.assert_allclose(columns["dataFraction"], GROUPS, atol=0.03)
    assert GROUPS[0] == pytest.approx(1 / 100)
    assert columns["lift"][0] == summed(outputs, labels, weights).metrics().liftTopGroup
    above = np.inf
    for group, threshold in enumerate(columns["threshold"]):
        level = scores[np.argmin(abs(1 / (1 + np.exp(-scores)) - threshold))]
        own, so_far = (scores >= level) & (scores < above), scores >= level
        rate = counts[own & truth].sum() / counts[own].sum()
        cumulative = counts[so_far & truth].sum() / counts[so_far].sum()
        captured = counts[so_far & truth].sum() / counts[truth].sum()
        expected = {
            "dataFraction": counts[so_far].sum() / counts.sum(),
            "responseRate": rate,
            "lift": rate / share,
            "captureRate": counts[own & truth].sum() / counts[truth].sum(),
            "gain": 100 * (rate / share - 1),
            "cumulativeResponseRate": cumulative,
            "cumulativeLift": cumulative / share,
            "cumulativeCaptureRate": captured,
            "cumulativeGain": 100 * (cumulative / share - 1),
            "kolmogorovSmirnov": captured - counts[so_far & ~truth].sum() / counts[~truth].sum(),
        }
        for name, value in expected.items():
            assert columns[name][group] == pytest.approx(value, abs=1e-9), (group, name)
        above = level
    assert columns["dataFraction"][-1] == columns["cumulativeLift"][-1] == pytest.approx(1)
    assert columns["lift"][0] > 1.5


def test_rows_of_one_score_are_one_group_and_one_threshold() -> None:
    outputs, labels = torch.zeros(40, 2), torch.arange(40) % 2
    sums = summed(outputs, labels, None)
    tables, found = sums.details(), sums.metrics()
    assert tables[GAINS].shape == (1, len(GAINS_COLUMNS))
    assert tables[THRESHOLDS].tolist() == [[0.5, pytest.approx(2 / 3), 0.5, 1.0, 0.0, 0.5]]
    assert (found.auc, found.gini, found.aucPr, found.maxF1) == (0.5, 0.0, 0.5, pytest.approx(2 / 3))


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_have_no_curves(label: int) -> None:
    sums = summed(torch.randn(9, 2), torch.full((9,), label), None)
    found = sums.metrics()
    assert [found[name] for name in ("auc", "gini", "aucPr", "maxF1", "liftTopGroup")] == [None] * 5
    assert (found.aucMacro, found.aucWeighted) == (None, None)
    assert list(sums.details()) == ["confusion"]


@pytest.mark.parametrize("weighted", [False, True])
def test_areas_of_one_class_against_the_rest_are_scikit_learns(weighted: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.multinomial(torch.tensor([0.5, 0.1, 0.3, 0.1]), 800, replacement=True, generator=generator)
    told = torch.tensor([3.0, 0.5, 2.0, 1.0])[:, None] * torch.eye(4)
    outputs = torch.randn(800, 4, generator=generator) + told[labels]
    weights = torch.rand(800, generator=generator).double() + 0.2 if weighted else None
    found = summed(outputs, labels, weights).metrics()
    shares, truth = outputs.double().softmax(dim=1).numpy(), labels.numpy()
    given = None if weights is None else weights.numpy()
    each = [metrics.roc_auc_score(truth == k, shares[:, k], sample_weight=given) for k in range(4)]
    assert found.aucMacro == pytest.approx(np.mean(each), abs=5e-4)
    support = np.bincount(truth, given)
    assert found.aucWeighted == pytest.approx(np.average(each, weights=support), abs=5e-4)
    if not weighted:
        assert found.aucWeighted == pytest.approx(
            metrics.roc_auc_score(truth, shares, multi_class="ovr", average="weighted"), abs=5e-4
        )
    assert abs(found.aucMacro - found.aucWeighted) > 0.001
    assert found.auc is found.aucPr is None


def test_classes_without_rows_have_no_area_and_sure_predictions_are_ranked() -> None:
    outputs = 1e4 * torch.nn.functional.one_hot(torch.tensor([0, 1, 0, 1, 2]), 4).float()
    found = summed(outputs, torch.tensor([0, 1, 0, 1, 0]), None).metrics()
    # One row of class 0 is below two of class 1 by its probability, and as likely as the others of the rest.
    assert found.aucMacro == pytest.approx((2 / 3 + 1 / 3 * 0.5 + 1) / 2)
    alone = summed(outputs, torch.zeros(5, dtype=torch.int64), None).metrics()
    assert alone.aucMacro is alone.aucWeighted is None


def test_of_many_classes_no_areas_are_measured() -> None:
    few, many = (ClassSums(classes, 5, CPU) for classes in (MOST_RANKED_CLASSES, MOST_RANKED_CLASSES + 1))
    for sums in (few, many):
        sums.add(torch.eye(MOST_RANKED_CLASSES + 1)[:3, : sums._classes], torch.tensor([0, 1, 7]), None)
    assert few.metrics().aucMacro is not None
    assert many.metrics().aucMacro is many.metrics().aucWeighted is None
    assert len(many.values) < 1000
