"""RealMLP, TabM and H2O's network against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.curves import flat_cosine
from sparkwater.gpu.networks import build_network, check_network, find_network
from sparkwater.gpu.networks.tables.layers import (
    FeatureScale,
    LearnedActivation,
    ScheduledDropout,
    TangentLinear,
)
from sparkwater.gpu.networks.tables.tabm import MembersLinear, MembersOutput
from sparkwater.gpu.tasks import ClassificationTask, RegressionTask
from sparkwater.gpu.training.members import mean_of_members, member_losses


def built(name: str, values: int = 6, outputs: int = 3, **arguments: object) -> nn.Module:
    return build_network(find_network(name, arguments), (values,), outputs, 1)


def test_the_tangent_parametrisation_divides_by_the_root_of_the_inputs() -> None:
    torch.manual_seed(1)
    layer, rows = TangentLinear(50, 4), torch.randn(7, 50)
    with torch.no_grad():
        layer.bias.normal_()
        torch.testing.assert_close(layer(rows), rows @ layer.weight.t() / math.sqrt(50) + layer.bias)
    assert float(TangentLinear(300, 300).weight.detach().std()) == pytest.approx(1, rel=0.02)


def test_first_weights_give_outputs_of_deviation_1_with_kinks_among_the_rows() -> None:
    torch.manual_seed(1)
    layer, rows = TangentLinear(8, 200), torch.randn(300, 8) * 5 + 2
    layer.fit(rows)
    with torch.no_grad():
        products = layer(rows) - layer.bias
    torch.testing.assert_close(products.std(dim=0, correction=0), torch.ones(200))
    assert (-layer.bias >= products.min(dim=0).values).all()
    assert (-layer.bias <= products.max(dim=0).values).all()
    # Random means of five rows: a third of a row's variance, around the mean.
    around = (-layer.bias - products.mean(dim=0)).detach()
    assert float(around.std()) == pytest.approx(3**-0.5, rel=0.15)


def test_each_unit_learns_its_share_of_an_activation() -> None:
    layer, rows = LearnedActivation("mish", 3), torch.randn(5, 3)
    torch.testing.assert_close(layer(rows), nn.functional.mish(rows))
    with torch.no_grad():
        layer.share.copy_(torch.tensor([0.0, 0.25, 1.0]))
    mixed = layer(rows)
    torch.testing.assert_close(mixed[:, 0], rows[:, 0])
    torch.testing.assert_close(mixed[:, 1], rows[:, 1] + 0.25 * (nn.functional.mish(rows) - rows)[:, 1])
    with pytest.raises(ConfigurationError, match="activation='swish' is unknown; accepted: selu, mish"):
        LearnedActivation("swish", 3)


def test_dropout_follows_its_curve_and_keeps_the_mean() -> None:
    torch.manual_seed(1)
    rows = torch.ones(400, 500)
    layer = ScheduledDropout(0.4)
    for share in (0.0, 0.5, 0.6, 0.8, 1.0):
        layer.set_progress(share)
        passed = layer(rows)
        assert float((passed == 0).float().mean()) == pytest.approx(0.4 * flat_cosine(share), abs=0.005)
        assert float(passed.mean()) == pytest.approx(1, abs=0.01)
    assert torch.equal(layer.eval()(rows), rows)
    constant = ScheduledDropout(0.4, "constant")
    constant.set_progress(0.9)
    assert float((constant(rows) == 0).float().mean()) == pytest.approx(0.4, abs=0.005)
    with pytest.raises(ConfigurationError, match=r"dropout=1.0 by the curve 'flatCosine'; accepted: .*constant, flat"):
        ScheduledDropout(1.0)


def test_realmlp_is_the_papers_network() -> None:
    network = built("realmlp", values=64, outputs=10)
    names = [name for name, _ in network.named_children()]
    assert names[:5] == ["table", "scale", "fc1", "activation1", "dropout1"]
    assert names[-1] == "fc4"
    assert isinstance(network.get_submodule("scale"), FeatureScale)
    embedding = 64 * (2 * 16 + 16 * 3 + 3)
    weights = 3 * 256 * 256 + 256 * 10
    shares_and_biases = 256 + 6 * 256 + 10
    assert sum(parameter.numel() for parameter in network.parameters()) == embedding + weights + shares_and_biases
    rows = torch.randn(2000, 64, generator=torch.Generator().manual_seed(3)) * 0.7413
    with torch.no_grad():
        outputs = network.eval()(rows)
    assert outputs.std(dim=0).tolist() == pytest.approx([1] * 10, rel=0.4)


def test_members_of_tabm_learn_each_for_itself_and_are_averaged_in_scores() -> None:
    network = built("tabm", members=4, hidden=[12, 11], dropout=0.0)
    rows = torch.randn(9, 6)
    outputs = network(rows)
    assert outputs.shape == (9, 4, 3)
    outputs[:, 2].square().sum().backward()
    own = [
        parameter
        for module in network.modules()
        if isinstance(module, (MembersLinear, MembersOutput))
        for name, parameter in module.named_parameters()
        if name != "weight" or isinstance(module, MembersOutput)
    ]
    assert len(own) == 8
    for parameter in own:
        assert parameter.grad is not None
        assert parameter.grad[2].any()
        assert not parameter.grad[[0, 1, 3]].any()
    with torch.no_grad():
        assert not torch.allclose(outputs[:, 0], outputs[:, 1])
        torch.testing.assert_close(network.eval()(rows), outputs.mean(dim=1))


def test_a_layer_of_members_is_a_linear_layer_each() -> None:
    torch.manual_seed(1)
    layer, rows = MembersLinear(3, 5, 4, varied=True), torch.randn(7, 5)
    with torch.no_grad():
        layer.output_factors.normal_()
        together = layer(rows)
        for member in range(3):
            weight = layer.output_factors[member][:, None] * layer.weight * layer.input_factors[member]
            expected = rows @ weight.t() + layer.bias[member]
            torch.testing.assert_close(together[:, member], expected)
    assert torch.equal(MembersLinear(3, 5, 4, varied=False).input_factors, torch.ones(3, 5))


@pytest.mark.parametrize("task", [ClassificationTask.numbered(3), RegressionTask("gaussian")])
def test_the_loss_of_a_row_is_the_mean_of_its_members(task) -> None:
    outputs = torch.randn(5, 4, task.outputs)
    targets = torch.tensor([0, 2, 1, 1, 0]).to(getattr(torch, task.target.dtype))
    losses = member_losses(task, outputs, targets)
    expected = torch.stack([task.losses(outputs[:, member], targets) for member in range(4)]).mean(dim=0)
    torch.testing.assert_close(losses, expected)
    assert torch.equal(member_losses(task, outputs[:, 0], targets), task.losses(outputs[:, 0], targets))
    assert torch.equal(mean_of_members(outputs), outputs.mean(dim=1))
    assert mean_of_members(outputs[:, 0]).shape == (5, task.outputs)


@pytest.mark.parametrize(
    ("activation", "units", "biases"),
    [("rectifier", 90, [0.5, 1.0]), ("tanh", 90, [0, 0]), ("maxout", 180, [0.5, 1.0])],
)
def test_h2os_network_begins_as_in_h2o(activation: str, units: int, biases: list[float]) -> None:
    network = built("h2o", values=40, hidden=[90, 90], activation=activation, classes=True)
    first, second, last = (network.get_submodule(f"fc{place}") for place in (1, 2, 3))
    assert (first.out_features, last.in_features) == (units, 90)
    assert [layer.bias.unique().tolist() for layer in (first, second, last)] == [[biases[0]], [biases[1]], [0]]
    for layer, inputs, outputs, factor in ((first, 40, 90, 1), (second, 90, 90, 1), (last, 90, 3, 4)):
        bound = factor * math.sqrt(6 / (inputs + outputs))
        assert 0.95 * bound < float(layer.weight.abs().max()) <= bound
    plain = built("h2o", hidden=[90], initial_weights="normal", initial_scale=0.3).get_submodule("fc1")
    assert float(plain.weight.std()) == pytest.approx(0.3, rel=0.1)
    uniform = built("h2o", hidden=[90], initial_weights="uniform", initial_scale=0.3).get_submodule("fc1")
    assert 0.29 < float(uniform.weight.abs().max()) <= 0.3


def test_h2os_units_are_maxima_and_left_out_by_layer() -> None:
    network = built("h2o", hidden=[5, 4], activation="maxout", input_dropout=0.2, hidden_dropouts=[0.5, 0.3])
    rates = [layer.p for layer in network if isinstance(layer, nn.Dropout)]
    assert rates == [0.2, 0.5, 0.3]
    rows = torch.randn(3, 6)
    with torch.no_grad():
        both = network.get_submodule("fc1")(rows)
        assert torch.equal(network.get_submodule("maxout1")(both), torch.maximum(both[:, :5], both[:, 5:]))
    for arguments, message in (
        ({"activation": "relu"}, "activation='relu' is unknown; accepted: rectifier, tanh, maxout"),
        ({"initial_weights": "zeros"}, "initial_weights='zeros' is unknown; accepted: uniform_adaptive"),
        ({"hidden_dropouts": [0.5]}, r"hidden_dropouts=\[0.5\] for 2 hidden layers; give one a layer"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            check_network(find_network("h2o", arguments), (6,), 3)
