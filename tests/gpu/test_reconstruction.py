"""Rows as their own targets: errors of each kind of column, what networks learn by them, sparse means, quantiles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gpu import ranks
from gpu.fits import train_network
from torch import nn

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks import build_network, check_network, find_network
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.gpu.networks.reconstruction import PARTS, reconstruct
from sparkwater.gpu.networks.weight_bytes import load_weights
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ReconstructionTask, task_from_dict
from sparkwater.gpu.training.loss_quantile import LOSS_QUANTILE, quantile
from sparkwater.gpu.training.regularizers.sparsity import Sparsity

CPU = torch.device("cpu")

#: Two numbers, a flag, a number, then a category of 3 and one of 2 ids.
MIXED = ReconstructionTask(4, categories=(3, 2), flags=(2,))
PIXELS = ReconstructionTask(256)


def mixed_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs and inputs of three rows of `MIXED`."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.tensor(
        [[0.5, -1.0, 1.0, 2.0, 0.0, 1.0], [0.0, 3.0, 0.0, -0.5, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
    )
    return torch.randn((3, MIXED.outputs), generator=generator), inputs


def test_each_kind_of_entry_has_its_error_in_closed_form() -> None:
    outputs, inputs = mixed_rows()
    assert (MIXED.size, MIXED.outputs) == (6, 9)
    expected = []
    for given, wanted in zip(outputs.tolist(), inputs.tolist(), strict=True):
        odds = 1 / (1 + math.exp(-given[2]))
        entropies = [
            -given[start + int(wanted[place])] + math.log(sum(math.exp(value) for value in given[start:stop]))
            for place, start, stop in ((4, 4, 7), (5, 7, 9))
        ]
        flag = -math.log(odds if wanted[2] else 1 - odds)
        squares = [(given[place] - wanted[place]) ** 2 for place in (0, 1, 3)]
        expected.append([squares[0], squares[1], flag, squares[2], *entropies])
    torch.testing.assert_close(MIXED.errors(outputs, inputs), torch.tensor(expected))
    torch.testing.assert_close(MIXED.losses(outputs, inputs), torch.tensor(expected).mean(dim=1))


def test_metrics_are_means_by_weight_of_all_numbers_and_of_all_the_rest() -> None:
    outputs, inputs = mixed_rows()
    weights = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    sums = MIXED.sums(CPU)
    for rows in (slice(0, 1), slice(1, 3)):
        sums.add(outputs[rows], inputs[rows], weights[rows])
    errors = MIXED.errors(outputs, inputs).double().numpy()
    found = sums.metrics()
    by_row = {"reconstructionError": range(6), "mse": (0, 1, 3), "crossEntropy": (2, 4, 5)}
    assert list(found) == list(by_row)
    for name, places in by_row.items():
        assert found[name] == pytest.approx(np.average(errors[:, list(places)].mean(axis=1), weights=weights)), name


def test_a_metric_of_entries_that_are_not_there_is_none_and_refused() -> None:
    numbers, others = ReconstructionTask(2), ReconstructionTask(1, categories=(2,), flags=(0,))
    for task, name in ((numbers, "crossEntropy"), (others, "mse")):
        sums = task.sums(CPU)
        sums.add(torch.zeros(1, task.outputs), torch.ones(1, task.size), None)
        assert sums.metrics()[name] is None
        assert "use 'reconstructionError'" in str(task.unfit(name))
        assert task.unfit("reconstructionError") is None
    assert "has the metrics" in str(numbers.unfit("auc"))


def test_rebuilt_rows_are_numbers_probabilities_and_the_likeliest_ids() -> None:
    outputs, _ = mixed_rows()
    rebuilt = MIXED.respond(outputs.double().numpy())
    np.testing.assert_allclose(rebuilt[:, [0, 1, 3]], outputs[:, [0, 1, 3]])
    np.testing.assert_allclose(rebuilt[:, 2], torch.sigmoid(outputs[:, 2]), rtol=1e-6)
    assert rebuilt[:, 4].tolist() == outputs[:, 4:7].argmax(dim=1).tolist()
    assert rebuilt[:, 5].tolist() == outputs[:, 7:9].argmax(dim=1).tolist()


@pytest.mark.parametrize(
    "values",
    [
        {"numbers": 0},
        {"numbers": -1, "categories": (3,)},
        {"numbers": 2, "flags": (2,)},
        {"numbers": 2, "threshold": -1.0},
        {"numbers": 2, "threshold": math.inf},
    ],
)
def test_layouts_that_are_none_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"numbers|threshold"):
        ReconstructionTask(**values)


def test_the_task_comes_back_from_json() -> None:
    task = ReconstructionTask(4, categories=(3, 2), flags=(2,), threshold=0.5)
    assert task_from_dict(task.to_dict()) == task


def trained(
    rows: int, epochs: float = 30, network: str = "autoencoder", **changes: Any
) -> tuple[Outcome, TrainedNetwork]:
    arguments = changes.pop("network_arguments", {})
    settings = {"optimizer": "adam", "learning_rate": 0.003, **changes}
    job = ranks.rank_job(rows, network=network, network_arguments=arguments, task=PIXELS, epochs=epochs, **settings)
    outcome = run_rank(ranks.picture_batches(range(rows)), job, SinglePeer())
    assert outcome.failure is None, outcome.failure
    assert isinstance(outcome.scaling, Scaling)
    entry = find_network(network, arguments)
    return outcome, TrainedNetwork(
        entry, ranks.SPEC.shape, PIXELS, outcome.scaling, outcome.weights, outcome.weights_digest
    )


def pictures(rows: int) -> np.ndarray:
    return load_rows(ranks.picture_batches(range(rows)), ranks.SPEC, PIXELS, "error").features.numpy()


@pytest.mark.parametrize(
    ("network", "arguments", "most"),
    [("autoencoder", {"hidden": [64, 16, 64]}, 0.02), ("conv_autoencoder", {"code": 16, "filters": 8}, 0.1)],
)
def test_few_rows_are_learned_by_heart_and_given_back_in_their_own_units(
    network: str, arguments: dict[str, Any], most: float
) -> None:
    outcome, fitted = trained(9, 300, network, network_arguments=arguments, batch_size=9)
    record = outcome.history[-1]
    assert record.loss < most
    assert record.training["mse"] == record.training["reconstructionError"]
    given = pictures(9)
    parts = reconstruct(fitted, given, list(PARTS))
    errors, rows = parts["errors"], parts["rows"]
    np.testing.assert_allclose(errors.mean(axis=1), parts["error"], rtol=1e-6)
    assert rows.shape == given.shape
    deviation = fitted.scaling.deviation[0]
    np.testing.assert_allclose(errors.reshape(given.shape), ((rows - given) / deviation) ** 2, rtol=1e-3, atol=1e-6)


def test_rows_of_another_kind_have_larger_errors() -> None:
    _, fitted = trained(40, 60, network_arguments={"hidden": [32, 2, 32]})
    known = reconstruct(fitted, pictures(40), ["error"])["error"]
    others = np.random.default_rng(0).permuted(pictures(40).reshape(40, -1), axis=1).reshape(-1, *ranks.SPEC.shape)
    assert known.max() < reconstruct(fitted, others, ["error"])["error"].min()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 7, 9), (2, 1, 5), (1, 10, 6)])
def test_convolutions_give_back_pictures_of_any_size(shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    check_network(find_network("conv_autoencoder"), shape, size)
    network = build_network(find_network("conv_autoencoder"), shape, size, 1)
    assert network(torch.zeros(2, *shape)).shape == (2, size)


def test_an_encoder_alone_is_a_classifier_with_the_same_names_of_layers() -> None:
    whole, encoder = (build_network(find_network("conv_autoencoder"), (1, 8, 8), outputs, 1) for outputs in (64, 3))
    shared = {
        name
        for name, value in whole.state_dict().items()
        if value.shape == dict(encoder.state_dict()).get(name, value[:0]).shape
    }
    assert shared == {f"{layer}.{part}" for layer in ("conv1", "conv2", "code") for part in ("weight", "bias")}


@pytest.mark.parametrize("name", ["autoencoder", "conv_autoencoder"])
def test_inputs_are_corrupted_in_training_only_and_targets_never(name: str) -> None:
    entry = find_network(name, {"noise": 0.3, "input_dropout": 0.25})
    network = build_network(entry, ranks.SPEC.shape, PIXELS.outputs, 1)
    seen: list[torch.Tensor] = []
    layer = network.fc1 if name == "autoencoder" else network.conv1
    layer.register_forward_pre_hook(lambda module, given: seen.append(given[0].flatten(1)))
    compute = Compute(network, Scaling((80.0,), (50.0,)), CPU)
    features = torch.from_numpy(pictures(200))
    clean = compute.inputs(features).flatten(1)
    _, targets = compute.compared(PIXELS, features, torch.zeros(200))
    assert torch.equal(targets, clean)
    network.eval()
    compute.compared(PIXELS, features, torch.zeros(200))
    assert torch.equal(seen[1], clean)
    dropped = (seen[0].abs() < 1.5) & (clean.abs() > 2.0)
    assert 0.15 < float(dropped.sum() / (clean.abs() > 2.0).sum()) < 0.35


class Spoils(nn.Module):
    """Gives back its input doubled, and has doubled it in place."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.mul_(2.0).flatten(1) * self.scale


def test_a_network_that_works_in_place_does_not_change_the_target() -> None:
    compute = Compute(Spoils(), Scaling((80.0,), (50.0,)), CPU)
    features = torch.from_numpy(pictures(3))
    outputs, targets = compute.compared(PIXELS, features, torch.zeros(3))
    torch.testing.assert_close(targets, compute.inputs(features).flatten(1))
    torch.testing.assert_close(outputs, 4 * targets)


class ThreeRanks(LocalCommunicator):
    """The sums that a rank has with two others of the same rows."""

    def begin_sum_(self, values: torch.Tensor) -> Any:
        values *= 3
        return lambda: None


def sparse_network(activation: nn.Module) -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 6), activation, nn.Linear(6, 256))


def divergence(network: nn.Sequential, inputs: torch.Tensor, mean: float, weights: torch.Tensor) -> torch.Tensor:
    """The penalty by its formula, of activations that go from -1 or 0 to 1."""
    low = -1.0 if isinstance(network[2], nn.Tanh) else 0.0
    activations = (network[:3](inputs) - low) / (1 - low)
    means, rho = (weights[:, None] * activations).sum(dim=0) / weights.sum(), (mean - low) / (1 - low)
    return (rho * torch.log(rho / means) + (1 - rho) * torch.log((1 - rho) / (1 - means))).sum()


@pytest.mark.parametrize(("activation", "mean"), [(nn.Sigmoid(), 0.05), (nn.Tanh(), -0.8)])
@pytest.mark.parametrize("communicator", [LocalCommunicator(), ThreeRanks()])
def test_the_gradient_of_sparsity_is_that_of_the_divergence(
    activation: nn.Module, mean: float, communicator: Any
) -> None:
    network = sparse_network(activation)
    compute = Compute(network, Scaling((80.0,), (50.0,)), CPU)
    features, weights = torch.from_numpy(pictures(10)), torch.linspace(0.2, 2.0, 10, dtype=torch.float64)
    sparsity = Sparsity(compute, mean, 0.7, iter([features]), communicator)
    compute.outputs(features)
    penalties = sparsity.penalties(weights)
    assert penalties.tolist() == [0.0] * 10
    ((penalties * weights).sum() / weights.sum()).backward()
    found = network[1].weight.grad.clone()
    network.zero_grad()
    (0.7 * divergence(network, compute.inputs(features), mean, weights)).backward()
    assert network[1].weight.grad.abs().max() > 1e-3
    torch.testing.assert_close(found, network[1].weight.grad, rtol=1e-4, atol=1e-6)


def test_a_network_is_let_go_of_after_its_training() -> None:
    network = sparse_network(nn.Sigmoid())
    job = ranks.rank_job(0, task=PIXELS, epochs=1, batch_size=4, sparsity_beta=1.0, average_activation=0.1)
    train_network(network, ranks.picture_batches(range(8)), Place(0, (8,)), job)
    assert not any(module._forward_hooks for module in network.modules())


def test_sparse_units_come_near_the_mean_that_is_asked_for() -> None:
    means = []
    for beta in (0.0, 3.0):
        arguments = {"hidden": [12], "activation": "sigmoid"}
        _, fitted = trained(
            60, 60, network_arguments=arguments, sparsity_beta=beta, average_activation=0.1, learning_rate=0.002
        )
        network = build_network(fitted.entry, ranks.SPEC.shape, PIXELS.outputs, 1)
        load_weights(network, fitted.weights)
        scaled = fitted.scaling.apply(torch.from_numpy(pictures(60)))
        means.append(torch.sigmoid(network.fc1(scaled.flatten(1))).mean(dim=0))
    # Some units stay where they are: open for one kind of rows, and closed for all others.
    assert float((means[1] - 0.1).abs().median()) < 0.01
    assert float((means[0] - 0.1).abs().median()) > 0.05


def test_sparsity_of_a_map_is_by_channel() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Sigmoid(), nn.Flatten(), nn.LazyLinear(256))
    compute = Compute(network, Scaling((80.0,), (50.0,)), CPU)
    features = torch.from_numpy(pictures(4))
    compute.outputs(features)
    sparsity = Sparsity(compute, 0.2, 1.0, iter([features]), LocalCommunicator())
    compute.outputs(features)
    sparsity.penalties(None).mean().backward()
    slopes = network[0].bias.grad.clone()
    network.zero_grad()
    means = torch.sigmoid(network[0](compute.inputs(features))).mean(dim=(0, 2, 3))
    (0.2 * torch.log(0.2 / means) + 0.8 * torch.log(0.8 / (1 - means))).sum().backward()
    torch.testing.assert_close(slopes, network[0].bias.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "mean", "message"),
    [
        (nn.ReLU(), 0.1, "the network has none: set activation='sigmoid' or 'tanh'"),
        (nn.Sigmoid(), 0.0, r"averageActivation=0\.0 .*above 0 and below 1"),
        (nn.Tanh(), -1.0, r"averageActivation=-1\.0 .*above -1 and below 1"),
    ],
)
def test_sparsity_that_has_no_meaning_is_refused(activation: nn.Module, mean: float, message: str) -> None:
    compute = Compute(sparse_network(activation), Scaling((80.0,), (50.0,)), CPU)
    with pytest.raises(ConfigurationError, match=message):
        Sparsity(compute, mean, 1.0, iter([]), LocalCommunicator())


@pytest.mark.parametrize("share", [1e-9, 0.25, 0.5, 0.505, 0.99, 1.0])
def test_a_quantile_is_the_value_of_sorted_values(share: float) -> None:
    values = np.random.default_rng(1).lognormal(0, 3, 1001)
    values[:40] = 0.0
    values[40:80] = values[100]
    for times in (np.ones(len(values), int), np.random.default_rng(2).integers(0, 4, len(values))):
        found = quantile(torch.from_numpy(values), share, LocalCommunicator(), torch.from_numpy(times).double())
        assert found == np.quantile(np.repeat(values, times), share, method="inverted_cdf")


def test_ties_and_single_values_are_their_own_quantile() -> None:
    for values in ([0.0], [3.5], [2.0] * 7, [1e-308, 1e308]):
        several = torch.tensor(values, dtype=torch.float64)
        found = quantile(several, 0.5, LocalCommunicator(), torch.ones_like(several))
        assert found == np.quantile(values, 0.5, method="inverted_cdf")


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_reported_quantile_is_that_of_the_rows_as_they_are_scored(epochs: float) -> None:
    arguments = {"hidden": [16], "noise": 0.5}
    outcome, fitted = trained(40, epochs, network_arguments=arguments, loss_quantile=0.9)
    errors = reconstruct(fitted, pictures(40), ["error"])["error"]
    expected = np.quantile(errors, 0.9, method="inverted_cdf")
    assert outcome.resolved[LOSS_QUANTILE] == pytest.approx(expected, rel=1e-6)


def test_a_row_of_weight_three_counts_three_times_in_the_quantile() -> None:
    errors = reconstruct(trained(40, 0, loss_quantile=0.5)[1], pictures(40), ["error"])["error"]
    heavy = errors > np.median(errors)
    weights = {row: 3.0 for row in range(40) if heavy[row]}
    job = ranks.rank_job(40, network="autoencoder", task=PIXELS, epochs=0, loss_quantile=0.5, weighted=True)
    outcome = run_rank(ranks.picture_batches(range(40), weights=weights), job, SinglePeer())
    assert outcome.failure is None, outcome.failure
    expected = np.quantile(np.repeat(errors, np.where(heavy, 3, 1)), 0.5, method="inverted_cdf")
    assert outcome.resolved[LOSS_QUANTILE] == pytest.approx(expected, rel=1e-6)


def test_ranks_learn_sparse_means_and_report_a_quantile_of_all_rows_together(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "epochs": 3, "batch_size": 40, "network_arguments": {"hidden": [6], "activation": "sigmoid"},
        "loss_quantile": 0.75, "average_activation": 0.1, "optimizer": "sgd", "learning_rate": 0.5,
    }  # fmt: skip
    alone, without = (trained(40, sparsity_beta=beta, **settings)[0] for beta in (0.5, 0.0))
    places = {"even": [0, 20, 40], "uneven": [0, 3, 40], "none": [0, 0, 40]}
    others = {"kind": "reconstruction", "network": "autoencoder", "collective": "torch", "sparsity_beta": 0.5}
    jobs = {name: {"starts": starts, **others, **settings} for name, starts in places.items()}
    for report in ranks.launch("trainings", tmp_path, jobs=jobs):
        for name in jobs:
            assert report[name]["failure"] is None, report[name]["failure"]
            # One step an epoch has all rows, so only the order of sums is another.
            losses = [record["loss"] for record in report[name]["history"]]
            assert losses == pytest.approx([record.loss for record in alone.history], rel=1e-4)
            assert report[name]["resolved"][LOSS_QUANTILE] == pytest.approx(alone.resolved[LOSS_QUANTILE], rel=1e-4)
    assert without.history[-1].loss != pytest.approx(alone.history[-1].loss, rel=1e-3)
