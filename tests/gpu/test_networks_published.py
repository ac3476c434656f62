"""Networks at the size of their papers, on torch's meta device: nothing is computed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparkwater.gpu.inspection.describe import describe_network
from sparkwater.gpu.networks import find_network

COLOUR = (3, 224, 224)


def full_size(name: str) -> nn.Module:
    with torch.device("meta"):
        return find_network(name).factory(COLOUR, 1000)


@pytest.mark.parametrize(
    ("name", "parameters", "billions"),
    [
        # torchvision documents both numbers; MobileNet's multiply-adds are in its paper's table 4.
        ("alexnet", 61_100_840, 0.71),
        ("vgg11", 132_863_336, 7.61),
        ("vgg16", 138_357_544, 15.47),
        ("resnet18", 11_689_512, 1.81),
        ("resnet34", 21_797_672, 3.66),
        ("resnet50", 25_557_032, 4.09),
        ("mobilenet_v3_small", 2_542_856, 0.056),
        # Caffe's bvlc_googlenet without the auxiliary classifiers.
        ("googlenet", 6_998_552, 1.58),
        # Replications for Caffe, MXNet and torch; the paper gives 2 billion.
        ("inception_bn", 11_295_240, 2.03),
    ],
)
def test_weights_and_multiply_adds_are_the_published_numbers(name: str, parameters: int, billions: float) -> None:
    description = describe_network(name, COLOUR, 1000)
    assert description.parameters == parameters
    assert sum(layer.parameters for layer in description.layers) == parameters
    assert description.multiply_adds / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("alexnet", {"conv1": (64, 55, 55), "pool1": (64, 27, 27), "pool2": (192, 13, 13), "pool5": (256, 6, 6),
                     "fc1": (4096,), "fc2": (4096,), "fc3": (1000,)}),
        ("vgg16", {"conv1_2": (64, 224, 224), "conv2_2": (128, 112, 112), "conv3_3": (256, 56, 56),
                   "conv4_3": (512, 28, 28), "conv5_3": (512, 14, 14), "pool5": (512, 7, 7), "fc1": (4096,)}),
        ("vgg11", {"pool1": (64, 112, 112), "conv3_2": (256, 56, 56), "pool5": (512, 7, 7), "fc2": (4096,)}),
        ("googlenet", {"conv1": (64, 112, 112), "pool1": (64, 56, 56), "conv2": (192, 56, 56), "pool2": (192, 28, 28),
                       "inception3a": (256, 28, 28), "inception3b": (480, 28, 28), "pool3": (480, 14, 14),
                       "inception4a": (512, 14, 14), "inception4b": (512, 14, 14), "inception4c": (512, 14, 14),
                       "inception4d": (528, 14, 14), "inception4e": (832, 14, 14), "pool4": (832, 7, 7),
                       "inception5a": (832, 7, 7), "inception5b": (1024, 7, 7), "flatten": (1024,)}),
        ("inception_bn", {"conv1": (64, 112, 112), "pool1": (64, 56, 56), "conv2": (192, 56, 56),
                          "pool2": (192, 28, 28), "inception3a": (256, 28, 28), "inception3b": (320, 28, 28),
                          "inception3c": (576, 14, 14), "inception4a": (576, 14, 14), "inception4b": (576, 14, 14),
                          "inception4e": (1056, 7, 7), "inception5a": (1024, 7, 7), "inception5b": (1024, 7, 7)}),
        ("resnet18", {"conv1": (64, 112, 112), "maxpool": (64, 56, 56), "layer1": (64, 56, 56),
                      "layer2": (128, 28, 28), "layer3": (256, 14, 14), "layer4": (512, 7, 7), "fc": (1000,)}),
        ("resnet34", {"layer1": (64, 56, 56), "layer4": (512, 7, 7), "flatten": (512,)}),
        ("resnet50", {"layer1": (256, 56, 56), "layer2": (512, 28, 28), "layer3": (1024, 14, 14),
                      "layer4": (2048, 7, 7), "flatten": (2048,)}),
        ("mobilenet_v3_small", {"conv1": (16, 112, 112), "block1": (16, 56, 56), "block2": (24, 28, 28),
                                "block4": (40, 14, 14), "block7": (48, 14, 14), "block9": (96, 7, 7),
                                "conv2": (576, 7, 7), "fc1": (1024,)}),
    ],
)  # fmt: skip
def test_layers_give_the_published_shapes(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    values, found = torch.empty(2, *COLOUR, device="meta"), {}
    for layer, module in full_size(name).named_children():
        values = module(values)
        found[layer] = tuple(values.shape[1:])
    assert {layer: found[layer] for layer in shapes} == shapes


def test_resnets_weights_have_torchvisions_names() -> None:
    names = set(full_size("resnet50").state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias", "fc.bias"} <= names
    # torchvision's file has as many.
    assert len(names) == 320


@pytest.mark.parametrize("name", ["googlenet", "inception_bn", "mobilenet_v3_small", "resnet18", "resnet50"])
def test_small_pictures_are_shrunk_by_eight_and_large_ones_by_thirty_two(name: str) -> None:
    for size, rest in ((56, 7), (64, 2)):
        with torch.device("meta"):
            network = find_network(name).factory((1, size, size), 5)
            values = torch.empty(2, 1, size, size)
        for layer, module in network.named_children():
            if layer == "avgpool":
                break
            values = module(values)
        assert values.shape[2:] == (rest, rest)
