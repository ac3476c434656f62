from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gpu import ranks
from gpu.ranks import train_config
from torch import nn
from torch.nn import functional

from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.optimizers import OPTIMIZERS, make_optimizer, set_step
from sparkwater.gpu.training.regularizers.penalties import limit_norms, shape_gradients

SHAPE, CLASSES = (1, 16, 16), 4


def small_network() -> nn.Module:
    return build_network(find_network("lenet"), SHAPE, CLASSES, 3)


def backward(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (12,), generator=generator)
    inputs = torch.randn(12, *SHAPE, generator=generator)
    functional.cross_entropy(network(inputs), labels).backward()


@pytest.mark.parametrize(
    ("name", "maker", "settings"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ("adam", torch.optim.Adam, {"weight_decay": 0.01}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.01}),
        ("adadelta", torch.optim.Adadelta, {"weight_decay": 0.01}),
        ("adadelta", torch.optim.Adadelta, {"rho": 0.99, "eps": 1e-8}),
        ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.02}),
        ("rmsprop", torch.optim.RMSprop, {"weight_decay": 0.01}),
    ],
)
def test_an_optimizer_on_the_vector_does_what_torchs_does_on_each_parameter(name, maker, settings) -> None:
    ours = {key: value for key, value in settings.items() if key not in ("betas", "eps")}
    if "betas" in settings:
        ours["beta1"], ours["beta2"] = settings["betas"]
    config = train_config(optimizer=name, learning_rate=0.01, epsilon=settings.get("eps", 0.0), **ours)
    network, plain = small_network(), small_network()
    flat = FlatParameters(network, extra=1)
    mine, theirs = make_optimizer(config, [flat.values]), maker(plain.parameters(), lr=0.01, **settings)
    start = flat.values.data.clone()
    for step in range(5):
        rate = 0.01 / (step + 1)
        set_step(mine, rate, config.momentum)
        flat.clear()
        backward(network, step)
        mine.step()
        theirs.param_groups[0]["lr"] = rate
        theirs.zero_grad()
        backward(plain, step)
        theirs.step()
    assert (flat.values.data - start).abs().max() > 1e-5
    for (key, value), expected in zip(network.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7, msg=key)


def test_nesterov_waits_for_a_momentum_that_begins_at_zero() -> None:
    values = nn.Parameter(torch.ones(3))
    values.grad = torch.ones(3)
    optimizer = make_optimizer(train_config(momentum=0.0, nesterov=True), [values])
    set_step(optimizer, 0.5, 0.0)
    optimizer.step()
    assert values.tolist() == [0.5] * 3
    set_step(optimizer, 0.5, 0.5)
    optimizer.step()
    assert values.tolist() == [0.5 - 0.5 * (1 + 0.5)] * 3


@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.0, 0.1), (0.01, 0.1)])
def test_an_l1_and_an_l2_penalty_are_what_autograd_makes_of_them(l1: float, l2: float) -> None:
    network, plain = small_network(), small_network()
    flat = FlatParameters(network, extra=0)
    backward(network, 1)
    shape_gradients(flat, train_config(l1=l1, l2=l2))
    backward(plain, 1)
    kernels = [parameter for parameter in plain.parameters() if parameter.dim() > 1]
    penalties = [l1 * kernel.abs().sum() + l2 * kernel.square().sum() / 2 for kernel in kernels]
    torch.stack(penalties).sum().backward()
    expected = torch.cat([parameter.grad.reshape(-1) for parameter in plain.parameters()])
    torch.testing.assert_close(flat.values.grad, expected)


def test_no_training_loads_the_compiler_of_torch(tmp_path: Path) -> None:
    (found,) = ranks.launch("compiling", tmp_path, ranks=1)
    assert found == dict.fromkeys(OPTIMIZERS, False)


@pytest.mark.parametrize(("setting", "limit"), [("clip_norm", 0.1), ("clip_value", 0.001)])
def test_clipping_is_torchs(setting: str, limit: float) -> None:
    network, plain = small_network(), small_network()
    flat = FlatParameters(network, extra=0)
    backward(network, 1)
    shape_gradients(flat, train_config(**{setting: limit}))
    backward(plain, 1)
    clip = {"clip_norm": nn.utils.clip_grad_norm_, "clip_value": nn.utils.clip_grad_value_}[setting]
    clip(plain.parameters(), limit)
    expected = torch.cat([parameter.grad.reshape(-1) for parameter in plain.parameters()])
    torch.testing.assert_close(flat.values.grad, expected)


def test_no_unit_has_more_incoming_weight_than_the_limit() -> None:
    network = small_network()
    flat = FlatParameters(network, extra=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    limit_norms(flat, train_config(max_norm=0.6))
    changed = 0
    for name, value in network.state_dict().items():
        if value.dim() == 1:
            assert torch.equal(value, before[name])
            continue
        norms = value.reshape(len(value), -1).norm(dim=1)
        assert norms.max() < 0.6 + 1e-5
        small = before[name].reshape(len(value), -1).norm(dim=1) < 0.6
        assert torch.equal(value[small], before[name][small])
        changed += int((~small).sum())
    assert changed > 0
