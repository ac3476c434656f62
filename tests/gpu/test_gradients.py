"""Sums of gradients in buckets that are sent while the backward pass goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.gradients import GradientSum

ROWS, EXTRA = 6, 3


class Twins(Communicator):
    """The sums of two ranks that have the same rows, of what is there when they begin; notes what was sent."""

    def __init__(self, flat: FlatParameters | None = None) -> None:
        self.flat = flat
        self.sent: list[int] = []
        self.missing: list[int] = []

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        self.sent.append(values.numel())
        if self.flat is not None:
            self.missing.append(int((self.flat.gradients == 0).sum()))

        total = 2 * values

        def finish() -> None:
            values.copy_(total)

        return finish

    def broadcast_(self, values: torch.Tensor) -> None:
        """All have it already."""


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def backward(net: nn.Module, seed: int = 0) -> None:
    inputs = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(seed))
    net(inputs).square().sum().backward()


def plain_gradients(net: nn.Module, seed: int = 0) -> torch.Tensor:
    backward(net, seed)
    return torch.cat([parameter.grad.reshape(-1) for parameter in net.parameters()])


@pytest.mark.parametrize("full", [1, 300, 10_000])
def test_buckets_hold_each_number_once_from_the_last_layer_to_the_first(full: int) -> None:
    flat = FlatParameters(network(), EXTRA)
    buckets = flat.buckets(full)
    assert buckets[0].stop == len(flat.message)
    assert buckets[-1].start == 0
    assert [bucket.start for bucket in buckets[:-1]] == [bucket.stop for bucket in buckets[1:]]
    sizes = [sum(parameter.numel() for parameter in bucket.parameters) for bucket in buckets]
    assert [bucket.stop - bucket.start for bucket in buckets] == [sizes[0] + EXTRA, *sizes[1:]]
    assert len(buckets) == {1: 6, 300: 2, 10_000: 1}[full]


@pytest.mark.parametrize("compression", ["none", "bfloat16"])
@pytest.mark.parametrize("full", [1, 300, 10_000])
def test_sums_are_the_same_however_they_are_divided_and_whenever_they_are_sent(full: int, compression: str) -> None:
    net = network()
    flat = FlatParameters(net, EXTRA)
    sums = GradientSum(flat, compression, Twins(), full)
    with sums.overlapping():
        for step in range(3):
            flat.clear()
            flat.extra.copy_(torch.tensor([1.0, 2.0, 3.0]))
            backward(net, step)
            sums.send_rest()
            sums.finish()
            expected = plain_gradients(network(), step)
            if compression == "bfloat16":
                expected = expected.bfloat16().float()
            assert torch.equal(flat.gradients, 2 * expected)
            assert flat.extra.tolist() == [2.0, 4.0, 6.0]


def test_the_last_layers_are_sent_before_the_first_ones_are_computed() -> None:
    net = network()
    flat = FlatParameters(net, EXTRA)
    twins = Twins(flat)
    sums = GradientSum(flat, "none", twins, 1)
    with sums.overlapping():
        for _ in range(2):
            flat.clear()
            twins.missing.clear()
            backward(net)
            sums.send_rest()
            sums.finish()
    first_layer = sum(parameter.numel() for parameter in net[0].parameters())
    assert twins.missing[0] >= first_layer + sum(parameter.numel() for parameter in net[2].parameters())
    assert twins.missing[2] >= first_layer
    assert twins.missing[-1] == 0
    twins.sent.clear()
    flat.clear()
    backward(net)  # no longer watched
    assert twins.sent == []


def test_a_rank_without_rows_sends_the_same_buckets_in_the_same_order() -> None:
    sent = []
    for rows in (True, False):
        net, twins = network(), Twins()
        sums = GradientSum(FlatParameters(net, EXTRA), "none", twins, 1)
        with sums.overlapping():
            for _ in range(2):
                if rows:
                    backward(net)
                sums.send_rest()
                sums.finish()
        sent.append(twins.sent)
    assert sent[0] == sent[1]


def test_layers_that_were_not_used_are_sent_at_the_end() -> None:
    net = network()
    flat, twins = FlatParameters(net, EXTRA), Twins()
    sums = GradientSum(flat, "none", twins, 1)
    with sums.overlapping():
        for _ in range(2):
            flat.clear()
            twins.sent.clear()
            net[:3](torch.ones(ROWS, 4)).sum().backward()
            assert twins.sent == []  # the last layer has none, and the others wait for their turn
            sums.send_rest()
            sums.finish()
    assert len(twins.sent) == 6


class Segments(nn.Module):
    """One layer in segments that are computed again in the backward pass: its gradient comes in so many parts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(4, 4)
        self.parts = 2

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = inputs.requires_grad_()
        for _ in range(self.parts):
            inputs = checkpoint(self.layer, inputs, use_reentrant=True)
        return inputs


def test_gradients_that_come_in_parts_are_summed_once_they_are_whole() -> None:
    net = Segments()
    flat = FlatParameters(net, EXTRA)
    sums = GradientSum(flat, "none", Twins(), 1)
    with sums.overlapping():
        for net.parts in (2, 1, 2):
            fresh = Segments()
            fresh.parts = net.parts
            expected = plain_gradients(fresh)
            flat.clear()
            backward(net)
            sums.send_rest()
            sums.finish()
            assert torch.equal(flat.gradients, 2 * expected)


def test_a_gradient_that_comes_in_parts_all_of_a_sudden_is_an_error() -> None:
    net = Segments()
    flat = FlatParameters(net, EXTRA)
    sums = GradientSum(flat, "none", Twins(), 1)
    with sums.overlapping():
        net.layer(torch.ones(ROWS, 4)).sum().backward()
        sums.send_rest()
        sums.finish()
        with pytest.raises(RuntimeError, match="came in several parts"):
            backward(net)
