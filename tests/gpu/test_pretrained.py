"""Weights from elsewhere: read, fitted by name, given to a network, frozen."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import user_networks
from gpu import ranks
from torch import nn

from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.heads import calls_of, head_of
from sparkwater.gpu.networks.pretrained import Beginning, plan_beginning
from sparkwater.gpu.networks.state_files import read_state
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.optimizers import make_optimizer, set_step

SHAPE, ZEROS = (1, 16, 16), torch.zeros(2, 1, 16, 16)


def state_of(name: str = "convnet", classes: int = 10, seed: int = 5) -> dict[str, torch.Tensor]:
    return build_network(find_network(name), SHAPE, classes, seed).state_dict()


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def planned(name: Any, state: dict[str, torch.Tensor] | None, freeze: str = "none", **arguments: Any) -> Any:
    return plan_beginning(find_network(name, arguments), SHAPE, ZEROS, state, "weights='file'", freeze, "paper")


def trained(name: Any, state: dict[str, torch.Tensor] | None, freeze: str, **changes: Any) -> Outcome:
    entry, beginning = planned(name, state, freeze)
    job = replace(ranks.rank_job(30, **{"epochs": 2, **changes}), network=entry, beginning=beginning)
    outcome = run_rank(ranks.picture_batches(range(30)), job, SinglePeer())
    assert outcome.failure is None, outcome.failure
    return outcome


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "content",
    [
        safetensors.torch.save(state_of("lenet")),
        saved(state_of("lenet")),
        saved(OrderedDict(state_of("lenet"))),
        saved({"epoch": 3, "state_dict": state_of("lenet")}),
    ],
)
def test_weights_are_read_from_safetensors_and_from_state_dicts(content: bytes) -> None:
    read = read_state(content, "file")
    assert read.keys() == state_of("lenet").keys()
    assert all(torch.equal(value, read[name]) for name, value in state_of("lenet").items())


def test_a_file_that_would_execute_something_is_refused_and_executes_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    whole = nn.Linear(2, 2)
    for content in (saved({"fc": Trap(touched)}), pickle.dumps(Trap(touched)), saved(whole), b"", b"no weights at all"):
        with pytest.raises(CheckpointError, match=r"'file' is neither safetensors nor a state dict"):
            read_state(content, "file")
    for content in (saved({}), saved([torch.zeros(1)]), saved({"fc": 1})):
        with pytest.raises(CheckpointError, match="'file' holds no state dict"):
            read_state(content, "file")
    with pytest.raises(CheckpointError, match="'file' is damaged"):
        read_state(safetensors.torch.save(state_of("lenet"))[:200], "file")
    assert not touched.exists()


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module.", "model.backbone."])
def test_prefixes_of_wrappers_are_dropped(prefix: str) -> None:
    state = state_of()
    _, beginning = planned("convnet", {f"{prefix}{name}": value for name, value in state.items()})
    network = build_network(find_network("convnet"), SHAPE, 10, 1)
    beginning.apply(network)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_weights_of_another_network_are_refused_with_their_names() -> None:
    state = state_of()
    with pytest.raises(CheckpointError, match=r"missing: conv1\.weight, .* unexpected: conv1\.conv\.weight, .* more"):
        planned("lenet", state)
    del state["conv1.bn.bias"], state["conv1.bn.num_batches_tracked"]
    state["extra"] = torch.zeros(1)
    state["conv1.conv.weight"] = torch.zeros(32, 3, 3, 3)
    with pytest.raises(CheckpointError) as caught:
        planned("convnet", state)
    assert str(caught.value) == (
        "weights='file' are of another network; missing: conv1.bn.bias; unexpected: extra; "
        "of another shape: conv1.conv.weight [32, 3, 3, 3] for [32, 1, 3, 3]"
    )


def test_a_head_of_another_size_is_made_anew_and_the_rest_is_kept() -> None:
    state = state_of(classes=10)
    entry, beginning = planned("convnet", state)
    assert (entry.head, beginning.head) == ("", "fc")
    network = build_network(entry, SHAPE, 3, 1)
    fresh = network.state_dict()["fc.weight"].clone()
    beginning.apply(network)
    assert torch.equal(network.state_dict()["fc.weight"], fresh)
    assert torch.equal(network.state_dict()["layer2.conv.conv.weight"], state["layer2.conv.conv.weight"])


@pytest.mark.parametrize("network", ["user_networks:fixed", user_networks.fixed()])
def test_a_network_with_outputs_of_its_own_gets_a_head_for_the_classes(network: Any) -> None:
    state = user_networks.fixed().state_dict()
    entry, _ = planned(network, state)
    assert (entry.head, entry.takes_outputs) == ("1", True)
    first, second = (build_network(entry, SHAPE, 3, 4) for _ in range(2))
    assert first(ZEROS).shape == (2, 3)
    assert torch.equal(first[1].weight, second[1].weight)
    assert build_network(entry, SHAPE, 5, 4)[1].out_features == 5


def test_frozen_layers_end_as_they_began_statistics_included() -> None:
    state = state_of()
    begun, after = (
        safetensors.torch.load(trained("convnet", state, "backbone", epochs=epochs).weights) for epochs in (0, 2)
    )
    assert not torch.equal(begun["fc.weight"], after["fc.weight"])
    unlike = [name for name, value in after.items() if name not in ("fc.weight", "fc.bias")
              and not torch.equal(value, state[name])]  # fmt: skip
    assert unlike == []
    part = safetensors.torch.load(trained("convnet", state, "layer2").weights)
    changed = {name.split(".")[0] for name, value in part.items() if not torch.equal(value, state[name])
               and "fc" not in name}  # fmt: skip
    assert changed == {"layer3", "residual3"}


def test_no_epochs_leave_the_weights_as_they_begin() -> None:
    state = state_of(classes=3)
    entry, beginning = planned("convnet", state)
    job = replace(ranks.rank_job(30, epochs=0), network=entry, beginning=beginning)
    outcome = run_rank(ranks.picture_batches(range(30)), job, SinglePeer())
    assert (outcome.failure, outcome.history) == (None, [])
    assert all(torch.equal(value, state[name]) for name, value in safetensors.torch.load(outcome.weights).items())


def test_the_head_is_the_layer_that_is_called_last_not_the_one_that_is_defined_last() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 3)
            self.body = nn.Linear(256, 8)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(pictures.flatten(1)))

    network = Backwards()
    assert head_of(network, calls_of(network, ZEROS), "own") == "head"
    _, beginning = planned(network, None, "body")
    assert beginning.frozen == ("body.weight", "body.bias")
    with pytest.raises(ConfigurationError, match="no layer with weights"):
        planned(nn.Flatten(), None, "backbone")


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(
        epochs=1,
        batch_size=8,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=0.0,
        schedule="constant",
        seed=1,
        **changes,
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_head_learns_at_a_rate_of_its_own(optimizer: str) -> None:
    ends = {}
    for multiplier in (1.0, 3.0):
        network = user_networks.fixed()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        body = nn.Linear(256, 256)
        whole = nn.Sequential(OrderedDict(fc=network[1], flatten=nn.Flatten(), body=body))
        flat = FlatParameters(whole, 3, "fc")
        before = flat.values.data.clone()
        stepper = make_optimizer(replace(config(), optimizer=optimizer), flat.groups(multiplier))
        flat.message.fill_(1.0)
        set_step(stepper, 0.1, 0.9)
        stepper.step()
        ends[multiplier] = (
            (flat.values.data - before)[: body.weight.numel()].mean(),
            network[1].weight.detach().mean(),
        )
    torch.testing.assert_close(ends[3.0][0], ends[1.0][0])
    torch.testing.assert_close(ends[3.0][1], 3 * ends[1.0][1])


def test_a_beginning_that_asks_for_nothing_changes_nothing() -> None:
    network = build_network(find_network("lenet"), SHAPE, 3, 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    Beginning().apply(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
