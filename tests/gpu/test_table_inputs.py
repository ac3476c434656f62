"""Rows of tables as networks read them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import build_network, check_network, find_network
from sparkwater.gpu.networks.tables.embeddings import PeriodicEmbedding, PiecewiseLinearEmbedding
from sparkwater.gpu.networks.tables.inputs import TableInput

NAMES = ("realmlp", "tabm", "h2o", "table_mlp")

#: Two numbers, a column of two levels, one of thirty, one of three.
NUMBERS, CATEGORIES = 2, [4, 32, 5]
ROWS = torch.tensor([[0.5, -1.0, 2.0, 31.0, 0.0], [0.1, 0.2, 3.0, 1.0, 4.0], [0.0, 0.0, 0.0, 0.0, 1.0]])


def built(name: str, **arguments: object) -> nn.Module:
    layout = {"numbers": NUMBERS, "categories": CATEGORIES}
    return build_network(find_network(name, {**layout, **arguments}), (5,), 3, 1)


def test_rows_become_numbers_flags_and_embeddings_in_this_order() -> None:
    table = TableInput((5,), NUMBERS, CATEGORIES, width=6)
    assert table.features == 2 + (4 + 5) + 6
    features = table(ROWS)
    assert features.shape == (3, table.features)
    assert torch.equal(features[:, :2], ROWS[:, :2])
    flags = features[:, 2:11].tolist()
    assert flags[0] == [0, 0, 1, 0, 1, 0, 0, 0, 0]
    assert flags[1] == [0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert flags[2] == [1, 0, 0, 0, 0, 1, 0, 0, 0]
    assert torch.equal(features[0, 11:], table.embeddings.table.weight[31])
    assert not features[1:, 11:].any(), "the embeddings of rare and missing values begin at 0"


def test_columns_of_embeddings_share_a_table_in_which_each_has_its_part() -> None:
    table = TableInput((3,), 0, [40, 20, 30], one_hot=0, width=2)
    weight = table.embeddings.table.weight
    assert weight.shape == (90, 2)
    features = table(torch.tensor([[39.0, 2.0, 5.0]]))
    assert torch.equal(features[0], torch.cat([weight[39], weight[42], weight[65]]))
    blank = [0, 1, 40, 41, 60, 61]
    assert not weight[blank].any()
    assert weight[[2, 42, 62]].all()


def test_all_values_are_numbers_unless_it_is_said_otherwise() -> None:
    rows = torch.randn(3, 2, 4)
    assert torch.equal(TableInput((2, 4))(rows), rows.flatten(1))
    assert TableInput((5,), categories=[3]).numbers == 4


@pytest.mark.parametrize(("numbers", "categories"), [(3, [4, 5, 6]), (6, []), (None, [3] * 6), (4, [0])])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_categories_that_do_not_make_up_a_row_are_refused(name: str, numbers, categories) -> None:
    with pytest.raises(ConfigurationError, match=r"categories=\[.*for rows of 5 values; accepted"):
        check_network(find_network(name, {"numbers": numbers, "categories": categories}), (5,), 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_for_tables_is_checked_without_weights_and_scores_rows(name: str) -> None:
    check_network(find_network(name, {"numbers": NUMBERS, "categories": CATEGORIES}), (5,), 3)
    check_network(find_network(name), (3, 200, 200), 3)
    network = built(name)
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    network(ROWS).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key
    assert network.eval()(ROWS).shape == (3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_what_no_training_row_has_adds_nothing(name: str) -> None:
    network = built(name).eval()
    missing, rare, level = ROWS.clone(), ROWS.clone(), ROWS.clone()
    for rows, value in ((missing, 0.0), (rare, 1.0), (level, 2.0)):
        rows[:, 2:] = value
    with torch.no_grad():
        assert torch.equal(network(missing), network(rare))
        assert not torch.allclose(network(missing), network(level), atol=1e-3)


def test_a_periodic_embedding_is_the_papers_formula() -> None:
    torch.manual_seed(1)
    layer, rows = PeriodicEmbedding(3, width=4, frequencies=5, deviation=0.7), torch.randn(6, 3)
    embedded = layer(rows).detach()
    assert embedded.shape == (6, layer.features) == (6, 12)
    for row in range(6):
        for number in range(3):
            value = rows[row, number]
            waves = torch.cos(2 * torch.pi * layer.frequencies[number] * value + layer.phases[number])
            linear = waves @ layer.weight[number] + layer.bias[number, 0]
            expected = torch.cat([linear, value[None]]).detach()
            torch.testing.assert_close(embedded[row, 4 * number : 4 * number + 4], expected)
    frequencies = PeriodicEmbedding(1000, deviation=0.1).frequencies
    assert float(frequencies.detach().std()) == pytest.approx(0.1, rel=0.03)


def test_a_piecewise_linear_embedding_goes_through_its_knots_and_on_as_lines() -> None:
    torch.manual_seed(1)
    layer = PiecewiseLinearEmbedding(2, width=3, bins=4, start=0.0, stop=8.0)
    with torch.no_grad():
        layer.weight.normal_()
        values = torch.tensor([-2.0, 0.0, 2.0, 3.0, 8.0, 10.0])
        embedded = layer(torch.stack([values, values], dim=1)).view(6, 2, 3)
        line = values[:, None, None] * layer.line[:, 0] + layer.bias[:, 0]
        steps = embedded - line
        # The weights are the rises from knot to knot.
        first, second, third, fourth = layer.weight.unbind(dim=1)
        expected = [-first, 0 * first, first, first + second / 2, first + second + third + fourth]
        for step, rise in zip(steps, [*expected, expected[-1] + fourth], strict=True):
            torch.testing.assert_close(step, rise)
    assert not PiecewiseLinearEmbedding(2).weight.any(), "it begins as a line"
