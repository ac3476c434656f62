from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.tasks.class_weights import balanced_weights


def test_balanced_classes_weigh_the_same_and_rows_one_on_average() -> None:
    totals = [6.0, 3.0, 0.0, 1.0]
    weights = balanced_weights(totals)
    shares = [weight * total for weight, total in zip(weights, totals, strict=True)]
    assert shares == pytest.approx([10 / 3, 10 / 3, 0, 10 / 3])
    assert weights[2] == 1.0
    assert sum(shares) == pytest.approx(sum(totals))


def test_corrected_probabilities_are_divided_by_the_weights() -> None:
    outputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    weights = (0.5, 1.0, 4.0)
    task = ClassificationTask.numbered(3)
    corrected = replace(task, class_weights=weights).adjust(outputs).softmax(dim=1)
    expected = outputs.softmax(dim=1) / torch.tensor(weights)
    torch.testing.assert_close(corrected, expected / expected.sum(dim=1, keepdim=True))
    assert torch.equal(task.adjust(outputs), outputs)
