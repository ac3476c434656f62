"""Factors of the learning rate and of the weight decay reach the weights that they are for, and no others."""

from __future__ import annotations

import copy

import pytest
import torch
from gpu import ranks
from torch import nn

from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.treatment import Treatment, progressing_in
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.optimizers import make_optimizer, set_step

#: Of RealMLP's parameters, by what their names end in: factors of the rate, and of the decay.
REALMLP = {
    "table.number_layer.": (0.1, 1.0),
    "scale.weight": (6.0, 1.0),
    "bias": (0.1, 0.0),
    "share": (0.1, 1.0),
    "weight": (1.0, 1.0),
}


def built(name: str = "realmlp", **arguments: object) -> nn.Module:
    layout = {"numbers": 3, "categories": [4, 30], "hidden": [8, 7]}
    return build_network(find_network(name, {**layout, **arguments}), (5,), 2, 1)


def step_by(network: nn.Module, head: str = "", multiplier: float = 1.0, layer_decay: float = 1.0, **config) -> dict:
    """Return by how much a step of SGD at the rate 0.01 changes each parameter, where all gradients are 1."""
    before = copy.deepcopy(network.state_dict())
    flat = FlatParameters(network, extra=2, head=head)
    optimizer = make_optimizer(ranks.train_config(**config), flat.groups(multiplier, layer_decay))
    flat.gradients.fill_(1.0 if not config.get("weight_decay") else 0.0)
    set_step(optimizer, 0.01, 0.0, config.get("weight_decay", 0.0))
    optimizer.step()
    return {name: (before[name] - value) / 0.01 for name, value in network.state_dict().items()}


def expected(name: str) -> tuple[float, float]:
    return next(factors for part, factors in REALMLP.items() if name.startswith(part) or name.endswith(part))


def test_each_parameter_learns_at_its_own_rate() -> None:
    network = built()
    for name, change in step_by(network).items():
        torch.testing.assert_close(change, torch.full_like(change, expected(name)[0]), rtol=1e-3, atol=1e-3, msg=name)


def test_penalties_are_for_weights_that_may_decay() -> None:
    network = build_network(find_network("tabm", {"numbers": 5, "hidden": [8], "members": 3}), (5,), 2, 1)
    kernels = {id(kernel) for kernel in FlatParameters(network, extra=2).kernels}
    names = {name for name, parameter in network.named_parameters() if id(parameter) in kernels}
    assert any(name.endswith("weight") for name in names)
    assert not [name for name in names if name.endswith(("bias", "factors"))], names


def test_biases_do_not_decay() -> None:
    network = built()
    before = copy.deepcopy(network.state_dict())
    changes = step_by(network, weight_decay=0.5)
    for name, change in changes.items():
        rate, decay = expected(name)
        torch.testing.assert_close(change, 0.5 * rate * decay * before[name], rtol=1e-3, atol=1e-3, msg=name)
    assert before["fc1.bias"].any()


@pytest.mark.parametrize("name", ["tabm", "realmlp"])
def test_values_and_groups_are_all_there_once(name: str) -> None:
    network = built(name)
    before = copy.deepcopy(network.state_dict())
    flat = FlatParameters(network, extra=2)
    groups = flat.groups(1.0)
    assert sum(group["params"][0].numel() for group in groups) == flat.values.numel()
    assert len(groups) == len({(group["multiplier"], group["decay"]) for group in groups}), "as few as there can be"
    # Gradients leave from the end of the vector: the weights of most layers must be there.
    assert (groups[-1]["multiplier"], groups[-1]["decay"]) == (1.0, 1.0)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_layers_learn_more_slowly_one_after_the_other() -> None:
    changes = step_by(built("h2o", categories=[], numbers=5), layer_decay=0.5)
    for name, change in changes.items():
        layer = int(name[2])
        torch.testing.assert_close(change, torch.full_like(change, 0.5 ** (layer - 1)), rtol=1e-3, atol=1e-3, msg=name)


def test_the_heads_rate_comes_on_top() -> None:
    changes = step_by(built(), head="fc3", multiplier=5.0)
    for name, change in changes.items():
        rate = expected(name)[0] * (5.0 if name.startswith("fc3.") else 1.0)
        torch.testing.assert_close(change, torch.full_like(change, rate), rtol=1e-3, atol=1e-3, msg=name)


class Told(nn.Linear):
    """A layer of a user's that learns at twice the rate and is told how far the training is."""

    def treatments(self) -> dict[str, Treatment]:
        return {"weight": Treatment(rate=2.0)}

    def set_progress(self, share: float) -> None:
        SHARES.append(share)


SHARES: list[float] = []


def test_a_network_of_the_users_is_told_the_share_of_the_steps_that_is_done() -> None:
    network = nn.Sequential(nn.Flatten(), Told(256, 3))
    assert progressing_in(network) == [network[1]]
    SHARES.clear()
    job = ranks.rank_job(60, network=network, epochs=2)
    assert run_rank(ranks.picture_batches(range(60)), job, SinglePeer()).failure is None
    assert pytest.approx([step / 8 for step in range(8)]) == SHARES
    assert FlatParameters(network, extra=0).groups(1.0)[-1]["multiplier"] == 2.0
