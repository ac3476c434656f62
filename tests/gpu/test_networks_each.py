"""What holds for each registered network for pictures, on the smallest that it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import build_network, check_network, find_network, registered_networks
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask

NAMES = [name for name in registered_networks() if find_network(name).image_shape]
CLASSES = 3


def smallest_shape(name: str) -> tuple[int, int, int]:
    size = find_network(name).smallest
    return (1, size, size)


def some_pictures(name: str, rows: int) -> torch.Tensor:
    return torch.randn(rows, *smallest_shape(name), generator=torch.Generator().manual_seed(1))


def built(name: str) -> nn.Module:
    return build_network(find_network(name), smallest_shape(name), CLASSES, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient_and_weights_come_back_for_scoring(name: str) -> None:
    network, pictures = built(name), some_pictures(name, 4)
    outputs = network(pictures)
    assert outputs.shape == (4, CLASSES)
    functional.cross_entropy(outputs, torch.tensor([0, 1, 2, 0])).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.dim() == 1 or parameter.grad.any(), key
    # The pass above has moved the batch statistics: they must travel too.
    weights = dump_weights(network)
    channels = pictures.shape[1]
    trained = TrainedNetwork(
        find_network(name),
        smallest_shape(name),
        ClassificationTask.numbered(CLASSES),
        Scaling((0.0,) * channels, (1.0,) * channels),
        weights,
        digest(weights),
    )
    network.eval()
    with torch.no_grad():
        expected = network(pictures)
    assert torch.isfinite(expected).all()
    # Scoring has another memory layout, in which fifty layers round differently.
    torch.testing.assert_close(as_torch(predict_raw(trained, pictures.numpy())), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if find_network(name).smallest > 1])
def test_pictures_below_the_smallest_are_refused_with_the_minimum(name: str) -> None:
    size = find_network(name).smallest
    for shape in ((1, size, size), (3, size, 90), (2, 70, size)):
        check_network(find_network(name), shape, CLASSES)
    for shape in ((1, size - 1, size), (3, 90, size - 1)):
        with pytest.raises(ConfigurationError, match=f"'{name}' needs pictures of at least {size} x {size} pixels"):
            check_network(find_network(name), shape, CLASSES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(4, 28, 63), (3, 300, 260)])
def test_pictures_of_all_sizes_and_channels_are_taken(name: str, shape: tuple[int, ...]) -> None:
    check_network(find_network(name), shape, 7)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_layer_is_linear_and_found_by_name(name: str) -> None:
    with torch.device("meta"):
        network = find_network(name).factory((1, 28, 28), CLASSES)
    last, layer = list(network.named_children())[-1]
    assert last.startswith("fc")
    assert isinstance(layer, nn.Linear)
    assert layer.out_features == CLASSES
    assert network.get_submodule(last) is layer


@pytest.mark.parametrize("name", ["convnet", "mobilenet_v3_small", "mlp"])
@pytest.mark.parametrize("initialization", ["paper", "he", "xavier"])
def test_the_same_seed_gives_the_same_weights_by_every_rule(name: str, initialization: str) -> None:
    entry, shape = find_network(name), (1, 8, 8)
    first, second, other = (
        build_network(entry, shape, CLASSES, seed, initialization).state_dict() for seed in (7, 7, 8)
    )
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    drawn = [key for key, value in first.items() if value.dim() > 1]
    assert not any(torch.equal(first[key], other[key]) for key in drawn)
