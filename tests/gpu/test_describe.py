from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest
import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection.describe import NetworkDescription, describe_network
from sparkwater.gpu.networks import build_network, find_network

LENET = """\
lenet for inputs of 1 x 28 x 28
-----------------------------------------------------------
layer    type       output        parameters  multiply-adds
-----------------------------------------------------------
conv1    Conv2d     20 x 24 x 24         520        288,000
pool1    MaxPool2d  20 x 12 x 12           0              0
relu1    ReLU       20 x 12 x 12           0              0
conv2    Conv2d     50 x 8 x 8        25,050      1,600,000
pool2    MaxPool2d  50 x 4 x 4             0              0
relu2    ReLU       50 x 4 x 4             0              0
flatten  Flatten    800                    0              0
fc1      Linear     500              400,500        400,000
relu3    ReLU       500                    0              0
fc2      Linear     10                 5,010          5,000
-----------------------------------------------------------
total                                431,080      2,293,000"""


class Winding(nn.Module):
    """A layer that is called twice, joins, functions between layers, and a weight of no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.fc = nn.Linear(64, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        first = self.relu(self.conv(inputs))
        second = self.relu(self.conv(first * self.scale))
        left, right = (first + second).chunk(2, dim=1)
        pooled = nn.functional.max_pool2d(torch.cat([right, left], dim=1), 2)
        return self.fc(self.dropout(pooled.flatten(1)))


class Branching(nn.Module):
    """What it does depends on its input's values."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs if inputs.sum() > 0 else -inputs


def inputs_of(description: NetworkDescription) -> dict[str, tuple[str, ...]]:
    return {layer.name: layer.inputs for layer in description.layers}


def test_a_description_is_a_table_with_totals() -> None:
    assert str(describe_network("lenet", (1, 28, 28))) == LENET


def test_a_notebook_shows_the_same_numbers() -> None:
    page = describe_network("lenet", (1, 28, 28))._repr_html_()
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", page)
    assert len(cells) == 5 * 12
    assert cells[5:10] == ["conv1", "Conv2d", "20 x 24 x 24", "520", "288,000"]
    assert cells[-5:] == ["total", "", "", "431,080", "2,293,000"]


def test_a_notebook_shows_the_graph_of_a_small_network_and_folds_that_of_a_large_one() -> None:
    assert "<details open>" in describe_network("lenet", (1, 28, 28))._repr_html_()
    assert "<details>" in describe_network("resnet18", (3, 32, 32))._repr_html_()


def test_layers_are_followed_through_functions_and_joins() -> None:
    description = describe_network(Winding(), (4, 8, 8))
    assert inputs_of(description) == {
        "conv": ("input",),
        "relu": ("conv",),
        "conv#2": ("relu",),
        "relu#2": ("conv#2",),
        "add": ("relu", "relu#2"),
        "dropout": ("add",),
        "fc": ("dropout",),
    }
    assert [layer.parameters for layer in description.layers] == [148, 0, 0, 0, 0, 0, 195]
    assert [layer.multiply_adds for layer in description.layers] == [9216, 0, 9216, 0, 0, 0, 192]
    # The scale belongs to no layer.
    assert description.parameters == 148 + 195 + 4


def test_joins_are_named_for_the_module_that_does_them() -> None:
    residual = inputs_of(describe_network("resnet18", (3, 32, 32)))
    assert residual["layer1.0.add"] == ("layer1.0.bn2", "relu")
    assert residual["layer2.0.add"] == ("layer2.0.bn2", "layer2.0.downsample.1")
    inception = inputs_of(describe_network("googlenet", (3, 32, 32)))
    assert inception["inception3a.cat"] == tuple(
        f"inception3a.{branch}.relu" for branch in ("branch1x1", "branch3x3", "branch5x5", "branch_pool")
    )


def test_a_layer_that_computes_by_itself_what_its_parts_hold_is_one_layer() -> None:
    description = describe_network(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (7, 16))
    attention = description.layers[0]
    assert (attention.name, attention.type, attention.output_shape) == ("self_attn", "MultiheadAttention", (7, 16))
    assert attention.parameters == 4 * 16 * 16 + 4 * 16
    assert inputs_of(description)["add"] == ("input", "dropout1")


def test_one_layer_alone_is_a_network() -> None:
    description = describe_network(nn.Linear(3, 4), [3])
    assert [(layer.name, layer.output_shape) for layer in description.layers] == [("Linear", (4,))]


def test_a_network_of_any_size_is_described_without_memory() -> None:
    with torch.device("meta"):
        huge = nn.Sequential(nn.Flatten(), nn.Linear(10**6, 10**6), nn.Linear(10**6, 10))
    assert describe_network(huge, (1, 1000, 1000)).multiply_adds == 10**12 + 10**7
    assert describe_network("resnet50", (3, 8192, 8192)).layers[0].output_shape == (64, 4096, 4096)


def test_a_described_network_stays_as_it_was() -> None:
    network = build_network(find_network("convnet"), (1, 16, 16), 3, 1)
    network.get_submodule("layer2").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    describe_network(network, (1, 16, 16))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


_MEETING = Barrier(2)


class Meets(nn.Module):
    """Passes on what it gets; where another thread comes to the same place, both at once."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        with suppress(BrokenBarrierError):
            _MEETING.wait(0.5)
        return values


def test_a_network_is_described_by_two_threads_at_once() -> None:
    network = nn.Sequential(nn.Linear(3, 2), Meets(), nn.ReLU())
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: describe_network(network, (3,), 2), range(2))
    assert first == second
    assert [layer.name for layer in first.layers] == ["0", "1", "2"]
    assert network[0].weight.device.type == "cpu"


def test_auto_is_described_as_the_network_that_it_is() -> None:
    assert describe_network("auto", (1, 28, 28)) == describe_network("lenet", (1, 28, 28))


def test_what_cannot_be_described_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigurationError, match="did you mean"):
        describe_network("lenet5", (1, 28, 28))
    with pytest.raises(ConfigurationError, match="at least 16 x 16"):
        describe_network("lenet", (1, 8, 8))
    with pytest.raises(ConfigurationError, match="Linear can't be described for inputs of 5"):
        describe_network(nn.Linear(3, 4), (5,))
    network = Branching()
    with pytest.raises(ConfigurationError, match="Branching can't be described"):
        describe_network(network, (5,))
    assert network.training
