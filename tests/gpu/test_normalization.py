from __future__ import annotations

import pytest
import torch
from torch import nn

from sparkwater.gpu.collective.communicator import LocalCommunicator
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
