"""Networks of Keras on its torch backend, on the training side."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from gpu import ranks
from torch import nn
from torch.func import functional_call

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.inspection.cuts import check_cuts, find_cuts, read_cuts
from sparkwater.gpu.inspection.describe import describe_entry
from sparkwater.gpu.networks import build_network, check_network, find_network
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw
from sparkwater.gpu.networks.pretrained import plan_beginning
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights, load_weights
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.batch_statistics import copied_buffers

if importlib.util.find_spec("keras") is None:
    pytest.skip("keras isn't installed: it needs Python 3.11", allow_module_level=True)

PATH = "keras_networks:pictures"
SHAPE = (1, 16, 16)
ROWS, HELD_OUT = 60, tuple(range(50, 60))


def built(factory: str = "pictures", seed: int = 1, classes: int = 5, shape: Any = SHAPE, **arguments: Any) -> Any:
    return build_network(find_network(f"keras_networks:{factory}", arguments), shape, classes, seed)


def same(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_weights_and_their_names_follow_from_the_seed_alone() -> None:
    built()  # imports draw as well
    python, numpy = random.getstate(), np.random.get_state()[1].tolist()
    first, second, other = built(), built(), built(seed=2)
    assert same(first, second)
    assert not same(first, other)
    assert list(first.state_dict())[:4] == ["conv2d.kernel", "conv2d.bias", "batch_normalization.gamma",
        "batch_normalization.beta"]  # fmt: skip
    assert [name for name, _ in first.named_buffers()] == [
        "batch_normalization.moving_mean", "batch_normalization.moving_variance"
    ]  # fmt: skip
    assert "penultimate_layer" in dict(first.named_modules())
    # It took its torch backend by itself, and left the environment as it was.
    assert "KERAS_BACKEND" not in os.environ
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (python, numpy)


def test_it_computes_what_keras_computes() -> None:
    rows = torch.rand(6, *SHAPE)
    network = built(dropout=0.0).eval()
    (model,) = network._model
    assert torch.equal(network(rows), model(rows.movedim(1, -1), training=False))
    assert not torch.equal(network.train()(rows), network.eval()(rows))


@pytest.mark.parametrize(
    ("factory", "shape"), [("channels_first", (3, 8, 8)), ("with_blocks", (3, 8, 8)), ("Subclassed", (1, 6, 6))]
)
def test_models_of_other_kinds_learn_and_take_weights(factory: str, shape: tuple[int, ...]) -> None:
    network, rows = built(factory, shape=shape), torch.rand(6, *shape)
    outputs = network(rows)
    outputs.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert len([*network.parameters()]) == len(network._model[0].trainable_variables)
    assert all(network.get_submodule(name) is module for name, module in network.named_modules())
    other = built(factory, seed=2, shape=shape).eval()
    assert not torch.equal(other(rows), network.eval()(rows))
    load_weights(other, dump_weights(network))
    assert torch.equal(other(rows), network(rows))


def test_what_is_put_in_place_of_weights_and_statistics_counts() -> None:
    network, rows = built(dropout=0.0), torch.rand(6, *SHAPE)
    zeros = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    assert not functional_call(network.eval(), zeros, (rows,)).any()
    before = {name: value.clone() for name, value in network.named_buffers()}
    assert before
    with copied_buffers(network):
        network.train()(rows)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    network(rows)
    assert not any(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_maps_inside_have_their_channels_first() -> None:
    network, spec = built().eval(), TensorSpec("float32", SHAPE)
    cuts = find_cuts(network, spec, ["conv2d"])
    assert check_cuts(network, spec, cuts, "average") == ((4,),)
    rows = torch.rand(3, *SHAPE)
    (means,) = read_cuts(network, cuts, "average", lambda: network(rows))
    kernel, bias = network.conv2d._parameters["kernel"], network.conv2d._parameters["bias"]
    maps = nn.functional.conv2d(rows, kernel.permute(3, 2, 0, 1), bias).relu()
    assert torch.allclose(means, maps.mean(dim=(2, 3)), atol=1e-6)


@pytest.mark.parametrize(("factory", "arguments"), [("pictures", {"activation": "softmax"}), ("with_blocks", {})])
def test_a_softmax_at_the_end_is_left_off(factory: str, arguments: dict[str, Any]) -> None:
    rows = torch.rand(6, *SHAPE)
    outputs = built(factory, **arguments).eval()(rows)
    assert (outputs < 0).any()
    if factory == "pictures":
        assert torch.equal(outputs, built(factory).eval()(rows))


@pytest.mark.parametrize(
    ("factory", "arguments", "message"),
    [
        ("Subclassed", {"final": "softmax"}, "gives probabilities; give it a last layer without softmax"),
        ("Subclassed", {"final": "regularized"}, "has regularizers in its layers"),
        ("wrong_size", {}, r"takes inputs of shape \(9, 9, 1\); accepted here: \(16, 16, 1\) \(height, width, channel"),
    ],
)
def test_models_that_would_train_wrongly_are_refused(factory: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_network(find_network(f"keras_networks:{factory}", arguments), SHAPE, 5)


def test_what_torch_networks_alone_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="whose layers draw their own weights"):
        build_network(find_network(PATH), SHAPE, 5, 1, "he")
    (model,) = built()._model
    with pytest.raises(ConfigurationError, match="give the import path of a function that makes it"):
        find_network(model)


def test_another_backend_is_refused_before_anything_runs() -> None:
    program = (
        "from sparkwater.errors import ConfigurationError\nfrom sparkwater.gpu.networks import find_network\n"
        "try:\n    find_network('keras_networks:pictures')\nexcept ConfigurationError as error:\n    print(error)\n"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert "KERAS_BACKEND='jax'" in done.stdout
    assert "set KERAS_BACKEND=torch before keras is imported, on the driver and, with" in done.stdout


def train(folder: Path, **changes: Any) -> Any:
    settings = {
        "network": PATH, "epochs": 2, "optimizer": "adam", "learning_rate": 0.003, "validation": True,
        "keep_best": True, "checkpoint_interval": 3, "checkpoint_dir": str(folder), "collective": "local",
    }  # fmt: skip
    job = ranks.rank_job(ROWS, **{**settings, **changes})
    return run_rank(ranks.picture_batches(range(ROWS), held_out=HELD_OUT), job, SinglePeer())


@pytest.mark.parametrize("network", [PATH, "keras_networks:Subclassed"])
def test_a_training_with_dropout_and_statistics_that_broke_off_gives_the_same_bits(
    tmp_path: Path, network: str
) -> None:
    whole = train(tmp_path / "whole", network=network)
    assert whole.failure is None
    assert train(tmp_path / "parts", network=network, fail_at=5).failure is not None
    again = train(tmp_path / "parts", network=network)
    assert again.resumed_at == 4
    assert again.weights == whole.weights
    others = {"network_arguments": {"dropout": 0.1}} if network == PATH else {"seed": 1}
    assert train(tmp_path / "other", network=network, **others).weights != whole.weights


def test_layers_are_described_and_the_last_can_be_frozen_out() -> None:
    description = describe_entry(find_network(PATH), TensorSpec("float32", SHAPE), 5)
    assert [layer.name for layer in description.layers][:2] == ["conv2d", "batch_normalization"]
    entry = find_network(PATH)
    _, beginning = plan_beginning(entry, SHAPE, torch.zeros(2, *SHAPE), None, "", "backbone", "paper", 5)
    assert beginning.head == "dense"
    network = built()
    beginning.apply(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()(torch.rand(8, *SHAPE)).square().sum().backward()
    assert [name for name, value in network.named_parameters() if value.requires_grad] == ["dense.kernel", "dense.bias"]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_it_scores_from_its_weights_alone() -> None:
    weights = dump_weights(built())
    trained = TrainedNetwork(
        find_network(PATH), SHAPE, ClassificationTask.numbered(5), Scaling((0.0,), (1.0,)), weights, digest(weights)
    )
    rows = np.random.default_rng(0).integers(0, 255, (6, *SHAPE), np.uint8)
    raw = predict_raw(trained, rows)
    assert np.allclose(raw, built().eval()(torch.from_numpy(rows).float()).detach().numpy(), atol=1e-3, rtol=1e-5)
