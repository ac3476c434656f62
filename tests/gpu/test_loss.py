from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from sparkwater.gpu.tasks.losses import cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_smoothed_target_shares_out_its_part_over_all_classes(smoothing: float) -> None:
    outputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 1, 1])
    targets = (1 - smoothing) * functional.one_hot(labels, 4) + smoothing / 4
    expected = -(targets * outputs.log_softmax(dim=1)).sum(dim=1)
    torch.testing.assert_close(cross_entropy(outputs, labels, smoothing), expected)
