"""Networks by import path and as instances, on the training side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import user_networks
from gpu import ranks
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks import build_network, check_network, find_network
from sparkwater.gpu.networks.inference import TrainedNetwork, portable_entry, predict_raw
from sparkwater.gpu.networks.sources import ImportedFactory
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights, load_weights
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask

SHAPE = (1, 16, 16)


def state_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def trained(network: str | nn.Module, **arguments: Any) -> TrainedNetwork:
    entry = find_network(network, arguments)
    weights = dump_weights(build_network(entry, SHAPE, 5, 1))
    return TrainedNetwork(
        entry, SHAPE, ClassificationTask.numbered(5), Scaling((0.0,), (1.0,)), weights, digest(weights)
    )


@pytest.mark.parametrize(
    ("path", "arguments", "outputs"),
    [
        ("user_networks:small", {"width": 3}, 5),
        ("user_networks:Net", {}, 5),
        ("user_networks:Net.of", {}, 5),
        ("user_networks:fixed", {"outputs": 7}, 7),
        ("torch.nn:Flatten", {}, 256),
    ],
)
def test_a_factory_gets_what_it_asks_for(path: str, arguments: dict[str, Any], outputs: int) -> None:
    entry = find_network(path, arguments)
    assert entry.takes_outputs == (outputs == 5)
    first, second = (build_network(entry, SHAPE, 5, 3) for _ in range(2))
    assert same(state_of(first), state_of(second))
    assert first(torch.zeros(2, *SHAPE)).shape == (2, outputs)
    check_network(entry, SHAPE, outputs)
    check_network(entry, SHAPE, None)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("os", "network='os' is not registered"),
        ("user_networks:", "is no import path; it is written 'package.module:factory'"),
        ("no_such_module:small", r"no_such_module can't be imported \(ModuleNotFoundError"),
        ("user_networks:smal", "there is no 'smal' in user_networks; did you mean small"),
        ("user_networks:not_callable", "is a int; it must be a function or a class"),
    ],
)
def test_what_is_no_factory_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_network(path)


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("user_networks:no_module", {}, "gave a str; it must give a torch.nn.Module"),
        ("user_networks:broken", {}, "OSError: no such architecture"),
        ("user_networks:small", {"depth": 2}, "unexpected keyword argument 'depth'"),
        ("user_networks:Net", {"slope": -1.0}, "has lazy layers"),
        ("user_networks:fixed", {}, r"a tensor of shape \[5\] a row; it must be \[4\]"),
        ("user_networks:pair", {}, "gives a tuple; it must give one tensor"),
        ("torch.nn:Identity", {}, r"a tensor of shape \[1, 16, 16\] a row"),
        ("lenet", {"width": 2}, "unexpected keyword argument 'width'"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_with_the_reason(
    path: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_network(find_network(path, arguments), SHAPE, 4)


def test_an_instance_is_trained_as_a_copy_from_its_weights_on() -> None:
    network = user_networks.small((1, 16, 16), 3)
    before = state_of(network)
    entry = find_network(network)
    still = replace(ranks.rank_job(30, learning_rate=1e-30), network=entry)
    outcome = run_rank(ranks.picture_batches(range(30)), still, SinglePeer())
    assert outcome.failure is None
    kept = user_networks.small((1, 16, 16), 3)
    load_weights(kept, outcome.weights)
    assert same(state_of(kept), before)
    moved = replace(ranks.rank_job(30), network=entry)
    assert run_rank(ranks.picture_batches(range(30)), moved, SinglePeer()).weights != outcome.weights
    assert same(state_of(network), before)
    nn.init.zeros_(network[1].weight)
    assert same(state_of(build_network(entry, SHAPE, 3, 1)), before)


def test_a_rank_where_the_module_is_missing_says_how_to_bring_it() -> None:
    entry = replace(find_network("user_networks:small"), factory=ImportedFactory("only_on_the_driver:small"))
    outcome = run_rank(ranks.picture_batches(range(6)), replace(ranks.rank_job(6), network=entry), SinglePeer())
    assert outcome.failure is not None
    assert outcome.failure.error_type == "ConfigurationError"
    assert "given to spark-submit --py-files" in outcome.failure.message


def test_an_instance_is_portable_where_its_class_gives_the_same_network_again() -> None:
    network = user_networks.Net(5, slope=0.5)
    model = trained(network, slope=0.5)
    entry = portable_entry(model)
    assert (entry.name, entry.arguments) == ("user_networks:Net", {"slope": 0.5})
    rows = torch.rand(3, *SHAPE).numpy()
    assert (predict_raw(replace(model, entry=entry), rows) == predict_raw(model, rows)).all()
    # Of the same class with the same weights, and yet another network.
    other = trained(user_networks.Net(5, slope=0.0))
    assert (predict_raw(replace(other, weights=model.weights, weights_digest=model.weights_digest), rows)
            != predict_raw(model, rows)).any()  # fmt: skip


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (user_networks.Net(5, slope=0.5), {}, r"networkArguments=\{\} computes something else"),
        (user_networks.Net(5), {"num_classes": 4}, "doesn't fit .CheckpointError"),
        (user_networks.fixed(), {}, "what its class builds with"),
        (type("Cell", (nn.Linear,), {"__module__": "__main__"})(256, 5), {}, "its class can't be imported"),
    ],
)
def test_an_instance_that_no_file_can_describe_is_refused(
    network: nn.Module, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        portable_entry(trained(network, **arguments))
