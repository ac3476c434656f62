from __future__ import annotations

import copy

import pytest
import torch
from gpu.ranks import train_config
from torch import nn
from torch.nn import functional

from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.optimizers import make_optimizer, set_step

SHAPE, CLASSES = (1, 16, 16), 4


def small_network() -> nn.Module:
    return build_network(find_network("lenet"), SHAPE, CLASSES, 3)


def some_batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (12,), generator=generator)
    return torch.randn(12, *SHAPE, generator=generator), labels


def backward(network: nn.Module, seed: int) -> None:
    inputs, labels = some_batch(seed)
    functional.cross_entropy(network(inputs), labels).backward()


def test_parameters_keep_their_values_shapes_and_names() -> None:
    network = small_network()
    before = copy.deepcopy(network.state_dict())
    inputs, _ = some_batch(1)
    outputs = network(inputs)
    flat = FlatParameters(network, extra=2)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(network(inputs), outputs)
    assert flat.values.numel() == sum(value.numel() for value in before.values())
    assert torch.equal(flat.values.data, torch.cat([value.reshape(-1) for value in before.values()]))


def test_parameters_are_views_of_the_vector() -> None:
    network = small_network()
    flat = FlatParameters(network, extra=0)
    with torch.no_grad():
        flat.values.fill_(0.25)
    assert all((parameter == 0.25).all() for parameter in network.parameters())
    with torch.no_grad():
        next(network.parameters()).fill_(4.0)
    assert flat.values.data[0] == 4.0
    base = flat.values.data.untyped_storage().data_ptr()
    assert {parameter.data.untyped_storage().data_ptr() for parameter in network.parameters()} == {base}


def test_gradients_land_in_the_message_before_the_extra_slots() -> None:
    network, plain = small_network(), small_network()
    flat = FlatParameters(network, extra=3)
    flat.extra.copy_(torch.tensor([1.0, 2.0, 3.0]))
    backward(network, 1)
    backward(plain, 1)
    expected = torch.cat([parameter.grad.reshape(-1) for parameter in plain.parameters()])
    assert expected.abs().sum() > 0
    assert torch.equal(flat.message[:-3], expected)
    assert flat.message[-3:].tolist() == [1.0, 2.0, 3.0]
    assert flat.message.is_contiguous()
    assert flat.values.grad is not None
    assert flat.values.grad.data_ptr() == flat.message.data_ptr()


def test_clear_sets_gradients_and_extra_slots_to_zero_and_keeps_the_views() -> None:
    network, plain = small_network(), small_network()
    flat = FlatParameters(network, extra=1)
    backward(network, 1)
    flat.extra.fill_(9.0)
    before = flat.values.data.clone()
    flat.clear()
    assert not flat.message.any()
    assert torch.equal(flat.values.data, before)
    backward(network, 2)
    backward(plain, 2)
    assert torch.equal(flat.message[:-1], torch.cat([parameter.grad.reshape(-1) for parameter in plain.parameters()]))


def test_frozen_parameters_stay_out_of_the_vector() -> None:
    network = small_network()
    frozen = network.get_submodule("conv1")
    frozen.requires_grad_(False)
    before = copy.deepcopy(frozen.state_dict())
    flat = FlatParameters(network, extra=0)
    assert flat.values.numel() == sum(p.numel() for p in network.parameters()) - sum(
        p.numel() for p in frozen.parameters()
    )
    with torch.no_grad():
        flat.values.zero_()
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())


@pytest.mark.parametrize("frozen", [False, True])
def test_the_head_has_its_own_learning_rate_also_where_nothing_else_is_trained(frozen: bool) -> None:
    network = small_network()
    head = list(network.named_modules())[-1][0]
    if frozen:
        network.requires_grad_(False).get_submodule(head).requires_grad_(True)
    before = copy.deepcopy(network.state_dict())
    flat = FlatParameters(network, extra=0, head=head)
    optimizer = make_optimizer(train_config(), flat.groups(5.0))
    flat.gradients.fill_(1.0)
    set_step(optimizer, 0.01, 0.0)
    optimizer.step()
    for name, value in network.state_dict().items():
        rate = 0.05 if name.startswith(f"{head}.") else 0.0 if frozen else 0.01
        torch.testing.assert_close(before[name] - value, torch.full_like(value, rate), rtol=0, atol=1e-6)
