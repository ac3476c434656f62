"""Batches on their way to a device."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sparkwater.gpu.rows.feeding import feed
from sparkwater.gpu.rows.held import Batch

CPU = torch.device("cpu")


def batches(weighted: bool) -> list[Batch]:
    weights = torch.arange(3, dtype=torch.float64) if weighted else None
    return [Batch(torch.full((3, 2), step, dtype=torch.uint8), torch.arange(3) + step, weights) for step in range(4)]


def test_batches_that_are_on_the_processor_stay_as_they_are() -> None:
    given = batches(weighted=True)
    assert all(fed is batch for fed, batch in zip(feed(given, CPU), given, strict=True))


def test_a_batch_is_made_only_when_it_is_asked_for() -> None:
    made = []

    def making():
        for step, batch in enumerate(batches(weighted=False)):
            made.append(step)
            yield batch

    fed = feed(making(), CPU)
    assert made == []
    next(fed)
    assert made == [0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="copies to a GPU")
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_arrive_on_a_gpu_whole_and_in_order_while_it_is_busy(weighted: bool) -> None:
    device = torch.device("cuda", 0)
    weights = torch.arange(1 << 18, dtype=torch.float64) if weighted else None
    given = [Batch(torch.full((1 << 18, 8), step), torch.arange(1 << 18) + step, weights) for step in range(20)]
    arrived = []
    for batch in feed(given, device):
        # Nothing here waits for the GPU: copies run ahead of its kernels, and their memory is used again.
        torch.cuda._sleep(20_000_000)
        arrived.append(batch.each(torch.clone))
    for fed, batch in zip(arrived, given, strict=True):
        for field in dataclasses.fields(Batch):
            copy, tensor = getattr(fed, field.name), getattr(batch, field.name)
            assert (copy is None) == (tensor is None)
            assert tensor is None or (copy.device == device and torch.equal(copy.cpu(), tensor))
