from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.tasks.class_metrics import ClassSums

CPU = torch.device("cpu")


def empty_sums(classes: int) -> ClassSums:
    return ClassSums(classes, 2, CPU)


def scored(rows: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs = 2 * torch.randn(rows, classes, generator=generator)
    labels = torch.randint(0, classes, (rows,), generator=generator)
    return outputs, labels, torch.rand(rows, generator=generator).double() + 0.1


def test_metrics_are_what_their_definitions_say() -> None:
    outputs, labels, weights = scored(200, 5)
    sums = ClassSums(5, 2, CPU)
    for rows in torch.split(torch.arange(200), 64):
        sums.add(outputs[rows], labels[rows], weights[rows])
    found = sums.metrics()
    losses = functional.cross_entropy(outputs, labels, reduction="none")
    wrong = (outputs.argmax(dim=1) != labels).double()
    far = (outputs.topk(2).indices != labels[:, None]).all(dim=1).double()
    average = lambda values, rows=slice(None): float((values * weights)[rows].sum() / weights[rows].sum())  # noqa: E731
    assert found.logloss == pytest.approx(average(losses), rel=1e-6)
    assert found.error == pytest.approx(average(wrong))
    assert found.topKError == pytest.approx(average(far))
    assert found.meanPerClassError == pytest.approx(np.mean([average(wrong, labels == k) for k in range(5)]))
    assert found.auc is None
    assert ClassSums(2, 2, CPU).values.sum() == 0


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(rows=st.integers(2, 60), parts=st.integers(1, 4), seed=st.integers(0, 1000))
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order_on_any_number_of_ranks(rows, parts, seed) -> None:
    outputs, labels, weights = scored(rows, 2, seed)
    labels[0], labels[1] = 0, 1
    outputs[rows // 2] = outputs[0]
    ranks = [ClassSums(2, 5, CPU) for _ in range(parts)]
    for row in range(rows):
        ranks[row % parts].add(outputs[row : row + 1], labels[row : row + 1], weights[row : row + 1])
    total = ClassSums(2, 5, CPU)
    total.values += sum(rank.values for rank in ranks)
    margins = outputs[:, 1] - outputs[:, 0]
    positive, negative = labels == 1, labels == 0
    above = margins[positive][:, None] - margins[negative]
    order = (above > 0).double() + (above == 0).double() / 2
    pairs = weights[positive][:, None] * weights[negative]
    # Each pair that is closer than the bins may count half.
    close = (above.abs() < 0.01 * margins[positive].abs()[:, None]).double() * pairs
    expected = float((order * pairs).sum() / pairs.sum())
    assert total.metrics().auc == pytest.approx(expected, abs=float(close.sum() / pairs.sum()) / 2 + 1e-9)


def test_the_area_is_exact_for_perfect_inverted_constant_and_one_sided_scores() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    for margins, expected in (([-2, -1, 1e-9, 3], 1.0), ([3, 1, -1, -3], 0.0), ([0.0, -0.0, 0.0, -0.0], 0.5)):
        sums = ClassSums(2, 5, CPU)
        sums.add(torch.tensor([[0.0, margin] for margin in margins]), labels, None)
        assert sums.metrics().auc == expected
    sums = ClassSums(2, 5, CPU)
    sums.add(torch.zeros(2, 2), torch.tensor([1, 1]), None)
    assert sums.metrics().auc is None


def test_metrics_that_say_nothing_are_named_with_the_reason() -> None:
    unfit = lambda name, classes: ClassificationTask.numbered(classes).unfit(name)  # noqa: E731
    assert unfit("auc", 3) == "auc is defined for 2 classes; there are 3"
    assert "topK=5" in str(unfit("topKError", 5))
    assert unfit("auc", 2) is unfit("topKError", 6) is unfit("error", 9) is None


def test_of_many_classes_no_table_of_labels_and_predictions_is_kept() -> None:
    few, many = (ClassSums(classes, 5, torch.device("cpu")) for classes in (200, 201))
    assert few.confusion is not None
    assert few.confusion.shape == (200, 200)
    assert many.confusion is None
    few.add(torch.eye(200)[:3], torch.tensor([0, 1, 7]), torch.tensor([1.0, 2.0, 0.5]))
    assert few.confusion.nonzero().tolist() == [[0, 0], [1, 1], [7, 2]]
    assert few.confusion[7, 2] == 0.5
    many.add(torch.eye(201)[:3], torch.tensor([0, 1, 7]), None)
    assert many.metrics().error == pytest.approx(1 / 3)


def test_the_mean_over_classes_leaves_out_those_without_rows() -> None:
    outputs, labels, weights = scored(60, 5)
    labels %= 3
    sums = empty_sums(5)
    sums.add(outputs, labels, weights)
    wrong = (outputs.argmax(dim=1) != labels).double()
    errors = [float((wrong * weights)[labels == k].sum() / weights[labels == k].sum()) for k in range(3)]
    assert sums.metrics().meanPerClassError == pytest.approx(np.mean(errors))
