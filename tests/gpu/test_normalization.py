from __future__ import annotations

import pytest
import torch
from fakes import in_threads
from torch import nn

from sparkwater.gpu.collective.communicator import Communicator, LocalCommunicator
from sparkwater.gpu.training.batch_statistics import average_buffers, stored_statistics


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def test_a_single_row_is_normalised_by_the_stored_statistics() -> None:
    net, row = network(), torch.ones(1, 3)
    with pytest.raises(ValueError, match="more than 1 value"):
        net(row)
    with stored_statistics(net, use=True):
        net(row).sum().backward()
        assert net[2].training  # dropout stays as it is
    assert net[1].training
    assert net[0].weight.grad is not None


def test_more_rows_are_normalised_by_themselves() -> None:
    net = network()
    with stored_statistics(net, use=False):
        net(torch.rand(4, 3))
    assert int(net[1].num_batches_tracked) == 1


def test_one_rank_keeps_its_statistics() -> None:
    net = network()
    net(torch.rand(8, 3))
    before = [buffer.clone() for buffer in net.buffers()]
    average_buffers(net, 8, LocalCommunicator())
    assert all(map(torch.equal, net.buffers(), before))


def test_a_network_without_buffers_needs_no_message() -> None:
    average_buffers(nn.Linear(2, 2), 0, LocalCommunicator())


def test_each_rank_counts_by_its_rows_and_one_without_rows_not_at_all() -> None:
    rows, networks = (3, 9, 0), [network() for _ in range(3)]

    def rank(number: int, communicator: Communicator) -> None:
        statistics = networks[number][1]
        statistics.running_mean.fill_(10.0 * number)
        # A mask may hold infinities, and a rank without rows has no say in them.
        statistics.running_var.fill_(1.0 if number < 2 else float("inf"))
        statistics.num_batches_tracked.fill_(5 + number)
        average_buffers(networks[number], rows[number], communicator)

    in_threads(rank, len(rows))
    for net in networks:
        assert net[1].running_mean.tolist() == [7.5] * 4
        assert net[1].running_var.tolist() == [1.0] * 4
        assert int(net[1].num_batches_tracked) == 5
