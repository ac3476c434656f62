from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import (
    build_network,
    check_network,
    find_network,
    register_network,
    registry,
    resolve_network,
)


@pytest.fixture
def own_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries made by a test are gone after it."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def count_weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_lenet_has_the_published_number_of_weights() -> None:
    assert count_weights(build_network(find_network("lenet"), (1, 28, 28), 10, 1)) == 431_080


def test_lenet_layers_give_the_published_shapes() -> None:
    network = build_network(find_network("lenet"), (1, 28, 28), 10, 1)
    values, shapes = torch.zeros(2, 1, 28, 28), {}
    for name, layer in network.named_children():
        values = layer(values)
        shapes[name] = tuple(values.shape[1:])
    assert shapes == {
        "conv1": (20, 24, 24), "pool1": (20, 12, 12), "relu1": (20, 12, 12),
        "conv2": (50, 8, 8), "pool2": (50, 4, 4), "relu2": (50, 4, 4),
        "flatten": (800,), "fc1": (500,), "relu3": (500,), "fc2": (10,),
    }  # fmt: skip


def test_convnet_has_as_many_filters_as_it_is_given() -> None:
    convnet = find_network("convnet").factory
    assert count_weights(convnet((3, 32, 32), 10)) == 1_646_122
    assert count_weights(convnet((3, 32, 32), 10, filters=8)) == 103_954
    with pytest.raises(ConfigurationError, match="convnet has filters=0; accepted: integers from 1 up"):
        convnet((3, 32, 32), 10, filters=0)


def test_stridednet_is_a_perceptron_of_what_strided_filters_leave() -> None:
    stridednet = find_network("stridednet").factory
    network = stridednet((1, 28, 28), 10)
    assert count_weights(network) == 325_994
    assert count_weights(stridednet((1, 28, 28), 10, filters=8)) == 20_834
    values, sizes = torch.zeros(2, 1, 28, 28), []
    for layer in list(network.children())[:7]:
        values = layer(values)
        sizes.append(tuple(values.shape[1:]))
    assert [size[0] for size in sizes] == [32, 32, 32, 64, 64, 64, 128]
    assert [size[1] for size in sizes] == [size[2] for size in sizes] == [26, 24, 12, 10, 8, 4, 1]
    with pytest.raises(ConfigurationError, match="stridednet has filters=0; accepted: integers from 1 up"):
        stridednet((1, 28, 28), 10, filters=0)


@pytest.mark.parametrize(
    ("shape", "classes"), [((3, 32, 32), 10), ((1, 16, 16), 2), ((1, 16, 40), 7), ((4, 29, 31), 1000)]
)
def test_lenet_takes_other_pictures(shape: tuple[int, int, int], classes: int) -> None:
    check_network(find_network("lenet"), shape, classes)
    network = build_network(find_network("lenet"), shape, classes, 1)
    outputs = network(torch.rand(3, *shape))
    assert outputs.shape == (3, classes)
    assert torch.isfinite(outputs).all()


@pytest.mark.parametrize("shape", [(1, 15, 15), (1, 15, 40), (3, 40, 15), (1, 1, 1)])
def test_pictures_that_are_too_small_are_refused_with_the_minimum(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigurationError, match="at least 16 x 16 pixels"):
        check_network(find_network("lenet"), shape, 10)


def test_an_unknown_network_is_refused_with_the_names_that_there_are(own_entries: None) -> None:
    register_network("lemon", image_shape=(8, 8, 1))(lambda shape, classes: nn.Flatten())
    with pytest.raises(ConfigurationError, match=r"network='transformer' is not registered; accepted: .*lemon, lenet"):
        find_network("transformer")
    with pytest.raises(ConfigurationError, match="lenet"):
        check_network(find_network("transformer"), (1, 28, 28), 10)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet", "resnet50"),
        ("ResNet-18", "resnet18"),
        ("vgg19", "vgg1"),
        ("LeNet5", "lenet"),
        ("mobilenetv3", "mobilenet_v3_small"),
    ],
)
def test_an_unknown_network_is_refused_with_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"network='{name}' is not registered; did you mean .*{near}.*Accepted"
    ):
        find_network(name)


def test_a_registered_network_is_found_and_built(own_entries: None) -> None:
    @register_network("linear", image_shape=(4, 4, 1), smallest=4)
    def linear(shape: tuple[int, ...], classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))

    entry = find_network("linear")
    assert entry.factory is linear
    assert (entry.image_shape, entry.smallest) == ((4, 4, 1), 4)
    check_network(find_network("linear"), (1, 4, 4), 3)
    assert count_weights(build_network(entry, (1, 4, 4), 3, 1)) == 51
    with pytest.raises(ConfigurationError, match="at least 4 x 4"):
        check_network(find_network("linear"), (1, 3, 4), 3)


def test_a_network_with_a_wrong_output_is_refused_with_both_shapes(own_entries: None) -> None:
    register_network("flat", image_shape=(4, 4, 1))(lambda shape, classes: nn.Flatten())
    with pytest.raises(ConfigurationError, match=r"\[16\].*\[3\]"):
        check_network(find_network("flat"), (1, 4, 4), 3)


def test_a_network_that_cannot_take_the_pictures_is_refused_with_the_reason(own_entries: None) -> None:
    register_network("grey", image_shape=(8, 8, 1))(lambda shape, classes: nn.Conv2d(1, classes, 3))
    with pytest.raises(ConfigurationError, match=r"grey.*imageShape=\[8, 8, 3\]"):
        check_network(find_network("grey"), (3, 8, 8), 3)


def test_checking_a_network_takes_no_memory_for_its_weights(own_entries: None) -> None:
    # 4 TB of weights: building this one for real can't pass.
    register_network("huge", image_shape=(1000, 1000, 1))(
        lambda shape, classes: nn.Sequential(
            nn.Flatten(), nn.Linear(1_000_000, 1_000_000), nn.Linear(1_000_000, classes)
        )
    )
    check_network(find_network("huge"), (1, 1000, 1000), 10)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    entry = find_network("lenet")
    first, second, other = (build_network(entry, (1, 28, 28), 10, seed).state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_building_a_network_leaves_torchs_generator_as_it_was() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_network(find_network("lenet"), (1, 28, 28), 10, 7)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_do_not_depend_on_torchs_generator() -> None:
    torch.manual_seed(1)
    first = build_network(find_network("lenet"), (1, 16, 16), 10, 7).state_dict()
    torch.manual_seed(2)
    second = build_network(find_network("lenet"), (1, 16, 16), 10, 7).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_lenets_initial_weights_are_those_of_earlier_versions() -> None:
    state = build_network(find_network("lenet"), (1, 28, 28), 10, 7).state_dict()
    values = b"".join(name.encode() + value.numpy().tobytes() for name, value in state.items())
    assert hashlib.sha256(values).hexdigest() == "bc9fb2e2ac927c852056554d00b879ec650ed5094259e8d4082b9a790e06ffbb"


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((1, 16, 16), "lenet"), ((1, 28, 28), "lenet"), ((1, 32, 32), "lenet"), ((1, 16, 33), "convnet"),
        ((1, 15, 28), "convnet"), ((3, 28, 28), "convnet"), ((1, 8, 8), "convnet"), ((3, 64, 64), "convnet"),
        ((3, 65, 30), "resnet18"), ((1, 224, 224), "resnet18"), ((3, 7, 300), "mlp"), ((12,), "mlp"), ((5, 9), "mlp"),
    ],
)  # fmt: skip
def test_auto_is_a_network_that_takes_the_input(shape: tuple[int, ...], name: str) -> None:
    assert resolve_network("auto", shape) == name
    check_network(find_network("auto"), shape, 4)
    with torch.device("meta"):
        chosen, named = (find_network(entry).factory(shape, 4).state_dict() for entry in ("auto", name))
    assert {key: value.shape for key, value in chosen.items()} == {key: value.shape for key, value in named.items()}


def test_a_networks_own_name_is_resolved_to_itself_and_an_unknown_one_is_refused() -> None:
    assert resolve_network("vgg11", (1, 28, 28)) == "vgg11"
    with pytest.raises(ConfigurationError, match="did you mean"):
        resolve_network("vgg", (1, 28, 28))


def test_inputs_that_are_no_pictures_are_for_the_perceptron() -> None:
    check_network(find_network("mlp"), (12,), 3)
    with pytest.raises(ConfigurationError, match=r"'resnet18' doesn't take tensors of shape \[12\].*'mlp'"):
        check_network(find_network("resnet18"), (12,), 3)


def test_a_picture_that_is_too_small_is_refused_before_anything_is_built(own_entries: None) -> None:
    @register_network("unbuilt", image_shape=(40, 40, 1), smallest=40)
    def unbuilt(shape: tuple[int, ...], classes: int) -> nn.Module:
        raise AssertionError("it was built")

    with pytest.raises(ConfigurationError, match="'unbuilt' needs pictures of at least 40 x 40"):
        check_network(find_network("unbuilt"), (1, 39, 100), 10)


def spread(network: nn.Module, layer: str) -> float:
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, torch.Tensor)
    return float(weight.detach().std())


def test_weights_are_drawn_by_the_rule_that_is_asked_for() -> None:
    lenet = find_network("lenet")
    paper, he, xavier = (build_network(lenet, (1, 28, 28), 10, 1, rule) for rule in ("paper", "he", "xavier"))
    # fc1 has 800 inputs and 500 outputs.
    assert spread(paper, "fc1") == pytest.approx((1 / 3 / 800) ** 0.5, rel=0.01)
    assert spread(he, "fc1") == pytest.approx((2 / 800) ** 0.5, rel=0.01)
    assert spread(xavier, "fc1") == pytest.approx((2 / 1300) ** 0.5, rel=0.01)
    for network in (he, xavier):
        assert not network.get_submodule("fc1").bias.any()
    again = build_network(lenet, (1, 28, 28), 10, 1, "he").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in he.state_dict().items())


def test_an_unknown_rule_for_weights_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"initialization='zeros'.*paper, he, xavier"):
        build_network(find_network("lenet"), (1, 28, 28), 10, 1, "zeros")


def test_alexnet_begins_with_the_papers_weights() -> None:
    network = build_network(find_network("alexnet"), (1, 64, 64), 2, 1)
    assert spread(network, "conv3") == pytest.approx(0.01, rel=0.01)
    biases = {name: set(layer.bias.tolist()) for name, layer in network.named_children() if hasattr(layer, "bias")}
    ones = {name for name, values in biases.items() if values == {1.0}}
    zeros = {name for name, values in biases.items() if values == {0.0}}
    assert ones == {"conv2", "conv4", "conv5", "fc1", "fc2"}
    assert zeros == {"conv1", "conv3", "fc3"}


def test_a_normalised_perceptron_has_the_ladders_layers() -> None:
    network = build_network(find_network("mlp", {"hidden": [30, 20], "batch_norm": True}), (12,), 3, 1)
    # No biases, a shift for each unit, and one scale.
    assert sum(weights.numel() for weights in network.parameters()) == 12 * 30 + 30 * 20 + 20 * 3 + 30 + 20 + 3 + 1
    assert isinstance(network[-1], nn.Linear)
    rows = 5 + torch.randn(16, 12) * 3
    sums = network[1](rows)
    assert sums.mean(dim=0).abs().max() > 0.1
    expected = (sums - sums.mean(dim=0)) / sums.std(dim=0, correction=0)
    torch.testing.assert_close(network[2](sums), expected, rtol=1e-3, atol=1e-3)
    network[-1].scale.data.fill_(3.0)
    torch.testing.assert_close(network(rows).square().mean(dim=0), torch.full((3,), 9.0), rtol=1e-2, atol=1e-2)
    network.eval()
    torch.testing.assert_close(network(rows[:1]), network(rows)[:1])


def test_a_normalised_perceptron_s_outputs_are_float32_where_its_products_are_not() -> None:
    network = build_network(find_network("mlp", {"hidden": [30], "batch_norm": True}), (12,), 3, 1)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(torch.randn(16, 12))
    assert outputs.dtype == torch.float32
    assert not torch.equal(outputs, outputs.bfloat16().float())


def test_a_perceptron_takes_layers_and_dropout_as_arguments() -> None:
    arguments = {"hidden": [30, 20, 10], "dropout": 0.5, "input_dropout": 0.2}
    network = build_network(find_network("mlp", arguments), (12,), 3, 1)
    sizes = [layer.out_features for layer in network if isinstance(layer, nn.Linear)]
    rates = [layer.p for layer in network if isinstance(layer, nn.Dropout)]
    assert (sizes, rates) == ([30, 20, 10, 3], [0.2, 0.5, 0.5, 0.5])
    rows = torch.ones(4, 12)
    assert not torch.equal(network(rows), network(rows))
    network.eval()
    assert torch.equal(network(rows), network(rows))
    plain = build_network(find_network("mlp", {"hidden": [30, 20, 10]}), (12,), 3, 1)
    assert list(plain.state_dict()) == list(network.state_dict())
    with pytest.raises(ConfigurationError, match="dropout probability has to be between 0 and 1"):
        check_network(find_network("mlp", {"dropout": 1.5}), (12,), 3)
