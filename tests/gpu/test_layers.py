"""Layers inside networks, read on the way of a forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import user_networks
from torch import nn

from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection.cuts import Cut, check_cuts, find_cuts, layer_features, read_cuts
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw, ready_network
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights
from sparkwater.gpu.rows.scaling import PackedScaling, Scaling
from sparkwater.gpu.tasks import ClassificationTask

SHAPE = (1, 28, 28)
TASK = ClassificationTask.numbered(10)


class Still(nn.Module):
    """Weightless, and the same output however many rows there are."""

    def __init__(self) -> None:
        super().__init__()
        self.total = nn.Flatten(0)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.total(inputs).sum() + inputs


def trained(network: str | nn.Module, shape: tuple[int, ...] = SHAPE) -> TrainedNetwork:
    entry = find_network(network)
    built = build_network(entry, shape, 10, 1)
    generator = torch.Generator().manual_seed(2)
    for name, buffer in built.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    weights = dump_weights(built)
    return TrainedNetwork(
        entry, shape, TASK, Scaling((100.0,) * shape[0], (60.0,) * shape[0]), weights, digest(weights)
    )


def pixels(rows: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (rows, *shape), dtype=np.uint8)


def hooked(network: TrainedNetwork, module: str, tensors: Any) -> torch.Tensor:
    """Return a module's output by plain PyTorch, in the layout that scoring chose."""
    found: list[torch.Tensor] = []
    plain = network.entry.factory(network.shape, network.task.outputs)
    scorer = ready_network(network)
    plain.load_state_dict(scorer.network.state_dict())
    plain.eval().to(memory_format=scorer.layout).get_submodule(module).register_forward_hook(
        lambda *call: found.append(call[2].clone())
    )
    with torch.no_grad():
        plain(scorer.inputs(as_torch(tensors)))
    return found[0]


def spec_of(network: TrainedNetwork) -> TensorSpec:
    return TensorSpec("uint8", network.shape)


def features(network: TrainedNetwork, layers: list[str | int], tensors: Any, pooling: str = "flatten") -> list[Any]:
    cuts = find_cuts(ready_network(network).network, spec_of(network), layers)
    values = layer_features(network, cuts, pooling, tensors)
    shapes = check_cuts(ready_network(network).network, spec_of(network), cuts, pooling)
    assert [value.shape[1:] for value in values] == list(shapes)
    return values


@pytest.mark.parametrize(
    ("network", "shape", "modules"),
    [
        ("lenet", SHAPE, ["conv1", "pool2", "flatten", "fc1", "fc2"]),
        ("resnet18", (3, 32, 32), ["bn1", "layer1", "layer2.0", "layer3.1.relu"]),
        ("mobilenet_v3_small", (3, 32, 32), ["block1.squeeze.pool", "block2"]),
    ],
)
def test_values_are_those_of_forward_hooks_bit_for_bit(network, shape, modules):
    scorer, tensors = trained(network, shape), pixels(40, shape)
    for module, values in zip(modules, features(scorer, modules, tensors), strict=True):
        assert np.array_equal(values, hooked(scorer, module, tensors).numpy()), module


def test_other_batch_sizes_come_close_and_several_layers_equal_one_at_a_time():
    scorer, tensors = trained("lenet"), pixels(300)  # two batches
    together = features(scorer, ["fc1", "conv2", "penultimate", -1], tensors)
    for layer, values in zip(["fc1", "conv2", "penultimate", -1], together, strict=True):
        assert np.array_equal(values, features(scorer, [layer], tensors)[0])
    np.testing.assert_allclose(together[0], hooked(scorer, "fc1", tensors), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together[-1], predict_raw(scorer, tensors), rtol=1e-4, atol=1e-5)


def test_positions_count_as_the_table_does_and_penultimate_is_what_the_head_takes():
    network = ready_network(trained("lenet")).network
    assert find_cuts(network, TensorSpec("uint8", SHAPE), [0, 7, -1, "penultimate"]) == (
        Cut("conv1"),
        Cut("fc1"),
        Cut("fc2"),
        Cut("fc2", of_input=True),
    )


def test_pooling_is_over_space_and_leaves_flat_layers_alone():
    scorer, tensors = trained("lenet"), pixels(20)
    maps = hooked(scorer, "conv2", tensors)
    for pooling, expected in (("average", maps.mean(dim=(2, 3))), ("max", maps.amax(dim=(2, 3)))):
        pooled, flat = features(scorer, ["conv2", "fc1"], tensors, pooling)
        np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)
        assert np.array_equal(flat, hooked(scorer, "fc1", tensors))


def test_work_in_place_later_on_leaves_the_values_alone():
    scorer, tensors = trained(user_networks.Winding()), pixels(8)
    conv, second = features(scorer, ["conv", "relu#2"], tensors)
    assert np.array_equal(conv, hooked(scorer, "conv", tensors))
    assert (conv < 0).any()
    assert (second >= 0).all()


def test_forward_pass_ends_at_the_last_cut_and_leaves_no_hook():
    network = user_networks.Winding().eval()
    read_cuts(network, [Cut("conv"), Cut("relu", 2)], "flatten", lambda: network(torch.rand(2, *SHAPE)))
    assert network.finished == 0
    network(torch.rand(2, *SHAPE))
    assert network.finished == 1
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_network_that_needs_row_major_tensors_is_scored_all_the_same():
    scorer, tensors = trained(user_networks.Winding()), pixels(8)
    columns_first = torch.zeros(8, 1, 28, 28).contiguous().as_strided((8, 1, 28, 28), (784, 1, 28, 1))
    with pytest.raises(RuntimeError, match="view"):
        ready_network(scorer).network(columns_first)
    np.testing.assert_allclose(predict_raw(scorer, tensors), hooked(scorer, "fc", tensors), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "layer", "message"),
    [
        ("lenet", "fc9", r"'fc9' is no layer; did you mean 'fc.' or 'fc.'\?; accepted: .*0 conv1 \(20 x 24 x 24\)"),
        ("lenet", 10, r"layer=10: there is no such position; .* 9 fc2 \(10\)"),
        ("lenet", "fc1#2", r"'fc1' isn't called 2 times"),
        ("lenet", "", "is no layer"),
        (user_networks.Winding(), "pair", "layer 'pair' gives a tuple; features need a single tensor"),
        (user_networks.Winding(), "unused", "layer 'unused' isn't called 1 times"),
        (user_networks.Winding(), "add", "'add', where layers join"),
        (Still(), "total", "one entry a row"),
        (Still(), "penultimate", "no layer of the network has weights"),
    ],
)
def test_what_gives_no_features_is_refused(network, layer, message):
    module = build_network(find_network(network), SHAPE, 10, 1)
    spec = TensorSpec("uint8", SHAPE)
    with pytest.raises(ConfigurationError, match=message):
        check_cuts(module, spec, find_cuts(module, spec, [layer]), "flatten")


def test_networks_of_ids_and_of_several_inputs_have_features_too():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(9, 3)
            self.fc = nn.Linear(3 * 5 + 4, 10)

        def forward(self, tokens: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.cat([self.embed(tokens).flatten(1), numbers], dim=1))

    network, spec = Both().eval(), PackedSpec([TensorSpec("int32", (5,)), TensorSpec("float32", (4,))])
    weights = dump_weights(network)
    scaling = PackedScaling(spec, (Scaling((), ()), Scaling((0.0,) * 4, (1.0,) * 4)))
    scorer = TrainedNetwork(find_network(network), ((5,), (4,)), TASK, scaling, weights, digest(weights))
    tokens = np.random.default_rng(0).integers(0, 9, (6, 5), dtype=np.int32)
    numbers = np.random.default_rng(1).random((6, 4), dtype=np.float32)
    packed = np.concatenate([tokens.view(np.uint8), numbers.view(np.uint8)], axis=1)
    cuts = find_cuts(network, spec, ["embed", "penultimate"])
    assert check_cuts(network, spec, cuts, "flatten") == ((5, 3), (19,))
    embedded, head = layer_features(scorer, cuts, "flatten", packed)
    assert np.array_equal(embedded, network.embed(torch.from_numpy(tokens).long()).detach())
    assert np.array_equal(head, np.concatenate([embedded.reshape(6, -1), numbers], axis=1))
