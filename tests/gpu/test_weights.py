from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from sparkwater.errors import CheckpointError
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights, load_weights
from sparkwater.gpu.training.flat_parameters import FlatParameters


def network_of(classes: int = 3, seed: int = 1) -> nn.Module:
    return build_network(find_network("lenet"), (1, 16, 16), classes, seed)


def test_weights_come_back_bit_for_bit() -> None:
    network, other = network_of(seed=1), network_of(seed=2)
    with torch.no_grad():
        next(network.parameters()).view(-1)[:4] = torch.tensor([0.0, -0.0, 1e-45, 3.4e38])
    weights = dump_weights(network)
    load_weights(other, weights)
    assert dump_weights(other) == weights
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name].view(torch.int32), value.view(torch.int32))


def test_buffers_and_whole_numbers_come_back_too() -> None:
    network, other = (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(2))
    network(torch.randn(9, 4))
    load_weights(other, dump_weights(network))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())
    assert int(other.state_dict()["1.num_batches_tracked"]) == 1


def test_the_layout_of_weights_in_memory_cannot_be_seen() -> None:
    network, flat = network_of(), network_of()
    FlatParameters(flat, extra=3)
    assert dump_weights(flat) == dump_weights(network)


def test_weights_that_are_dumped_do_not_change_with_the_network() -> None:
    network = network_of()
    weights = dump_weights(network)
    copy = bytes(weights)
    with torch.no_grad():
        next(network.parameters()).zero_()
    assert weights == copy
    assert dump_weights(network) != copy


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, -1, -1000])
def test_truncated_weights_are_refused(length: int) -> None:
    weights = dump_weights(network_of())
    with pytest.raises(CheckpointError, match="fit the network"):
        load_weights(network_of(), weights[:length])


def test_damage_anywhere_in_the_header_is_refused() -> None:
    weights = dump_weights(network_of())
    header = 8 + int.from_bytes(weights[:8], "little")
    end = weights.rindex(b"}", 0, header)
    network = network_of()
    for place in range(end + 1):
        damaged = bytearray(weights)
        damaged[place] ^= 0x55
        with pytest.raises(CheckpointError):
            load_weights(network, bytes(damaged))


@pytest.mark.parametrize("weights", [b"\x80\x04N.", b"PK\x03\x04" * 40, b"\xff" * 64, b"\0" * 64, b"{}"])
def test_bytes_of_another_kind_are_refused(weights: bytes) -> None:
    with pytest.raises(CheckpointError):
        load_weights(network_of(), weights)


@pytest.mark.parametrize(
    "other",
    [network_of(classes=4), nn.Linear(3, 3), nn.Sequential(network_of()), nn.Sequential()],
    ids=["other classes", "other layers", "other names", "no layers"],
)
def test_weights_of_another_network_are_refused(other: nn.Module) -> None:
    with pytest.raises(CheckpointError):
        load_weights(other, dump_weights(network_of()))
    with pytest.raises(CheckpointError):
        load_weights(network_of(), dump_weights(other))


def test_the_digest_is_the_sha256_and_sees_every_bit() -> None:
    weights = dump_weights(network_of())
    assert digest(weights) == hashlib.sha256(weights).hexdigest()
    damaged = bytearray(weights)
    damaged[-1] ^= 1
    assert digest(bytes(damaged)) != digest(weights)
