"""Virtual adversarial training against closed forms, and what it leaves alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from gpu import ranks
from gpu.fits import FIXED, train_network, trained
from torch import nn
from torch.distributions import Bernoulli, Categorical, Exponential, Poisson, kl_divergence

from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks.inputs import Inputs
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.rows.plan import plan_epoch
from sparkwater.gpu.seeding import derive_seed
from sparkwater.gpu.tasks import (
    ClassificationTask,
    MultiLabelTask,
    OrdinalTask,
    QuantilesTask,
    ReconstructionTask,
    RegressionTask,
)
from sparkwater.gpu.training.regularizers.adversarial import PROBE, Adversary
from sparkwater.gpu.training.step import StepId, Stepper

ROWS = 12
PLACE = Place(0, (ROWS,))
CLASSES = ClassificationTask((0.0, 1.0, 2.0))


def linear(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, outputs))
    network[1].weight.data.mul_(3)
    return network


def one_step(network: nn.Module, **changes: Any) -> None:
    """Train with one step of all rows at rate 1."""
    settings = {"batch_size": 100, "epochs": 1, "learning_rate": 1.0, **changes}
    job, batches = ranks.rank_job(0, **settings), ranks.picture_batches(range(ROWS))
    train_network(network, batches, PLACE, job)


def noise(rows: int, seed: int) -> torch.Tensor:
    """Directions as the first step of rank 0 draws them."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "adversary", 0, 0, 0))
    return torch.empty(rows, 1, 16, 16).normal_(generator=generator).view(rows, -1).double()


def test_a_softmax_moves_by_its_closed_form() -> None:
    # KL(p || q) of logits W x + b: its slope by x is W'(q - p), and by W, at the point x + r, (q - p) (x + r)'.
    plain, moved = linear(), linear()
    one_step(plain)
    one_step(moved, virtual_adversarial_radius=2.0)
    layer = linear()[1]
    weights, bias = layer.weight.detach().double(), layer.bias.detach().double()
    job = ranks.rank_job(0)
    rows = load_rows(ranks.picture_batches(range(ROWS)), job.spec, job.task, "error")
    assert rows.order is not None
    first_step = rows.order[torch.from_numpy(plan_epoch((ROWS,), 100, 42, 0).order(0))]
    inputs = FIXED.apply(rows.features[first_step]).view(ROWS, -1).double()

    def shares(points: torch.Tensor) -> torch.Tensor:
        return (points @ weights.T + bias).softmax(dim=1)

    def unit(vectors: torch.Tensor) -> torch.Tensor:
        return vectors / vectors.norm(dim=1, keepdim=True)

    first = unit(noise(ROWS, 42))
    ways = unit((shares(inputs + PROBE * first) - shares(inputs)) @ weights)
    points = inputs + 2.0 * ways
    slopes = (shares(points) - shares(inputs)) / ROWS
    assert slopes.abs().max() > 0.01
    for place, expected in ((1, slopes.T @ points), (1, slopes.sum(dim=0))):
        parameter = "weight" if expected.dim() == 2 else "bias"
        change = getattr(plain[place], parameter) - getattr(moved[place], parameter)
        torch.testing.assert_close(change.double(), expected, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_linear_regression_loses_as_much_as_by_ridge_regression(weighted: bool) -> None:
    # Half the squared change of w x within a radius r is at most r^2 w^2 / 2, whatever the row and its weight.
    task = RegressionTask("gaussian", center=1.0, scale=1.0)
    weights = {row: 0.5 + row % 3 for row in range(ROWS)} if weighted else None
    batches, losses = ranks.picture_batches(range(ROWS), weights=weights), []
    network = linear(1)
    for radius in (0.0, 0.7):
        settings: dict[str, Any] = {"task": task, "epochs": 1, "batch_size": 6, "learning_rate": 0.0}
        job = ranks.rank_job(0, **settings, weighted=weighted, virtual_adversarial_radius=radius)
        losses.append(train_network(network, batches, PLACE, job).history[0].loss)
    squares = float(network[1].weight.detach().square().sum())
    assert losses[1] - losses[0] == pytest.approx(0.49 * squares / 2, rel=1e-4)


class Statistics(nn.Module):
    """Layers that change their buffers in each pass of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.first = nn.utils.parametrizations.spectral_norm(nn.Linear(256, 8))
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(8, 3)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(self.norm(self.first(self.flat(pictures)))))


def test_running_statistics_are_those_of_the_rows_themselves() -> None:
    found = []
    for radius in (0.0, 2.0):
        torch.manual_seed(3)
        network = Statistics()
        # Without a learning rate the network stays what it is.
        one_step(network, virtual_adversarial_radius=radius, learning_rate=0.0, epochs=3, batch_size=4)
        found.append({name: buffer.clone() for name, buffer in network.named_buffers()})
    assert {"norm.running_var", "norm.num_batches_tracked", "first.parametrizations.weight.0._u"} <= set(found[0])
    for name, buffer in found[0].items():
        assert torch.equal(buffer, found[1][name]), name


def test_the_same_units_are_dropped_at_a_row_and_around_it() -> None:
    network, masks = Statistics(), []
    network.drop.register_forward_hook(lambda layer, given, output: masks.append(output == 0))
    one_step(network, virtual_adversarial_radius=2.0, batch_size=4)
    assert len(masks) == 9
    steps = [masks[first : first + 3] for first in (0, 3, 6)]
    assert all(torch.equal(first, second) for step in steps for first, second in pairwise(step))
    assert not torch.equal(steps[0][0], steps[1][0])


def test_gradients_of_weights_come_from_one_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is sent to other ranks while the pass goes on must be whole.
    arrivals: list[int] = []
    begin = Stepper.begin

    def counted(self: Stepper, state: Any, batch: Any, step: StepId, weight: float) -> None:
        hook = layer.weight.register_post_accumulate_grad_hook(lambda _: arrivals.append(step.step))
        begin(self, state, batch, step, weight)
        hook.remove()

    network = linear()
    layer = network[1]
    monkeypatch.setattr(Stepper, "begin", counted)
    one_step(network, virtual_adversarial_radius=2.0, batch_size=4)
    assert arrivals == [0, 1, 2]


def adversary(predict: Any, numbers: int | None = None) -> Adversary:
    return Adversary(predict, CLASSES.divergences, 2.0, numbers)


def visited(network: Any, inputs: Inputs, numbers: int | None = None) -> tuple[list[Any], torch.Tensor]:
    """Return the points at which the network is asked, the row's own not among them, and the losses."""
    points: list[Any] = []

    def predict(moved: Inputs) -> torch.Tensor:
        points.append(moved)
        return network(moved)

    losses = adversary(predict, numbers).losses(inputs, network(inputs), torch.Generator().manual_seed(1))
    return points, losses


def test_of_several_inputs_those_that_are_numbers_move_together() -> None:
    inputs = (torch.randn(5, 4), torch.arange(5), torch.randn(5, 2, 3), torch.ones(5, 2, dtype=torch.bool))
    weights, table = torch.randn(4, 3), torch.randn(5, 3)

    def network(given: Any) -> torch.Tensor:
        return given[0] @ weights + table[given[1]] + given[2].sum(dim=2) @ weights[:2] + given[3].sum(dim=1)[:, None]

    (_, last), losses = visited(network, inputs)
    assert torch.equal(last[1], inputs[1])
    assert torch.equal(last[3], inputs[3])
    moves = torch.cat([(last[place] - inputs[place]).reshape(5, -1) for place in (0, 2)], dim=1)
    torch.testing.assert_close(moves.norm(dim=1), torch.full((5,), 2.0))
    assert (moves.abs() > 1e-3).float().mean() > 0.9
    assert (losses > 0).all()


def test_ids_in_a_tables_row_stay() -> None:
    rows = torch.cat([torch.randn(6, 3), torch.tensor([[1.0, 7.0]] * 6)], dim=1)
    weights = torch.randn(5, 3)
    points, _ = visited(lambda given: given @ weights, rows, numbers=3)
    assert len(points) == 2
    for point, length in zip(points, (PROBE, 2.0), strict=True):
        assert torch.equal(point[:, 3:], rows[:, 3:])
        torch.testing.assert_close((point - rows)[:, :3].norm(dim=1), torch.full((6,), length), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("slope", [0.0, 1e-30, float("inf")])
def test_where_no_direction_is_found_the_first_one_stays(slope: float) -> None:
    rows = torch.randn(4, 5)

    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, given: torch.Tensor) -> torch.Tensor:
            return given[:, :3].clone()

        @staticmethod
        def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
            return torch.full((4, 5), slope)

    (probe, last), losses = visited(Steep.apply, rows)
    assert losses.isfinite().all()
    torch.testing.assert_close((last - rows).norm(dim=1), torch.full((4,), 2.0))
    same = torch.allclose((last - rows) / 2.0, (probe - rows).detach() / PROBE, atol=1e-5)
    assert same == (slope != 1e-30)


@pytest.mark.parametrize("kind", ranks.TASKS)
def test_a_prediction_is_nowhere_from_itself_and_apart_from_others(kind: str) -> None:
    task = ranks.TASKS[kind][0]
    outputs, others = torch.randn(2, 9, task.outputs, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(task.divergences(outputs, outputs), torch.zeros(9), rtol=0, atol=1e-6)
    assert (task.divergences(outputs, others) > 0).all()


def test_divergences_are_torchs_and_those_of_two_classes() -> None:
    outputs, others = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(1))
    expected = nn.functional.kl_div(others.log_softmax(1), outputs.log_softmax(1), reduction="none", log_target=True)
    torch.testing.assert_close(CLASSES.divergences(outputs, others), expected.sum(dim=1))
    # A label's log-odds are those of two classes, the other one at 0.
    both = [torch.stack([torch.zeros_like(each), each], dim=-1).view(-1, 2) for each in (outputs, others)]
    of_labels = ClassificationTask((0.0, 1.0)).divergences(*both).view(9, 3).mean(dim=1)
    torch.testing.assert_close(MultiLabelTask((0.0, 1.0, 2.0)).divergences(outputs, others), of_labels)


def test_divergences_of_other_tasks_are_those_of_their_predictions() -> None:
    outputs, others = torch.randn(2, 9, 2, generator=torch.Generator().manual_seed(1)).double()
    ordinal = OrdinalTask((0.0, 1.0, 2.0), beginning=(0.5, -0.5))
    p, q = (torch.from_numpy(ordinal.respond(ordinal.adjust(raw).numpy())) for raw in (outputs, others))
    torch.testing.assert_close(ordinal.divergences(outputs, others), (p * (p / q).log()).sum(dim=1))

    quantiles = QuantilesTask((0.1, 0.9), center=100.0, scale=5.0)
    levels, other_levels = (quantiles.adjust(raw) for raw in (outputs, others))
    apart = ((levels - other_levels) / 5).square().mean(dim=1) / 2
    torch.testing.assert_close(quantiles.divergences(outputs, others), apart)

    # A number, a flag, and a category of 3 ids.
    outputs, others = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(2)).double()
    task = ReconstructionTask(2, (3,), (1,))
    flags = [Bernoulli(logits=raw[:, 1]) for raw in (outputs, others)]
    categories = [Categorical(logits=raw[:, 2:]) for raw in (outputs, others)]
    expected = (outputs[:, 0] - others[:, 0]) ** 2 + kl_divergence(*flags) + kl_divergence(*categories)
    torch.testing.assert_close(task.divergences(outputs, others), expected / 3)


@pytest.mark.parametrize("distribution", ["poisson", "gamma", "tweedie"])
def test_divergences_of_logarithms_of_means_are_those_of_their_distributions(distribution: str) -> None:
    outputs, others = torch.randn(2, 9, 1, generator=torch.Generator().manual_seed(1)).double()
    found = RegressionTask(distribution, center=2.0, power=1.5).divergences(outputs, others)
    mean, other = outputs[:, 0].exp(), others[:, 0].exp()
    expected = {
        "poisson": lambda: kl_divergence(Poisson(mean), Poisson(other)),
        "gamma": lambda: kl_divergence(Exponential(1 / mean), Exponential(1 / other)),
        # Half the deviance at power 1.5, twice the square of the difference of the roots, by the root of the mean.
        "tweedie": lambda: 2 * (mean.sqrt() - other.sqrt()) ** 2 / other.sqrt(),
    }[distribution]()
    torch.testing.assert_close(found, expected)


def test_predictions_are_compared_with_their_offsets() -> None:
    # The same offset for all rows is as good as a larger bias.
    task, losses = ClassificationTask((0.0, 1.0)), []
    table = pa.Table.from_batches(ranks.picture_batches(range(ROWS)))
    labels = pa.array([float(row % 2) for row in range(ROWS)])
    table = table.set_column(table.column_names.index("label"), "label", labels)
    for offset in (1.5, None):
        network, rows = linear(2), table
        if offset is None:
            network[1].bias.data[1] += 1.5
        else:
            rows = table.append_column("offset", pa.array([offset] * ROWS))
        settings: dict[str, Any] = {"task": task, "epochs": 1, "batch_size": 6, "learning_rate": 0.0}
        job = ranks.rank_job(0, **settings, virtual_adversarial_radius=2.0)
        losses.append(train_network(network, rows.to_batches(), PLACE, job).history[0].loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_16_bits_learn_nearly_the_same(precision: str) -> None:
    settings: dict[str, Any] = {"epochs": 3, "learning_rate": 0.05, "virtual_adversarial_radius": 4.0}
    batches = ranks.picture_batches(range(40))
    exact, mixed = (trained(batches, **settings, precision=kind) for kind in ("float32", precision))
    without = trained(batches, **{**settings, "virtual_adversarial_radius": 0.0})
    losses = [outcome.history[-1].loss for outcome in (exact, mixed, without)]
    assert losses[1] == pytest.approx(losses[0], abs=0.01)
    assert losses[0] - losses[2] > 0.03


def test_ranks_with_rows_and_without_learn_the_same(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"network": "mlp", "epochs": 3, "virtual_adversarial_radius": 0.5,
                                "weight_averaging": 0.8, "learning_rate": 0.01}  # fmt: skip
    # A linear regression loses the same whatever rank draws the first direction.
    ridge = {**settings, "network_arguments": {"hidden": []}, "kind": "regression", "learning_rate": 0.0}
    norms = {**settings, "network_arguments": {"hidden": [9], "batch_norm": True}}
    starts = {"both": [0, 25, 60], "first": [0, 60, 60]}
    jobs = {
        f"{name} {kind}": {**job, "starts": where, "collective": "memory"}
        for name, where in starts.items()
        for kind, job in (("ridge", ridge), ("norms", norms))
    }
    reports = ranks.launch("trainings", tmp_path, jobs=jobs)
    for name in jobs:
        assert [report[name]["failure"] for report in reports] == [None, None]
        assert len({report[name]["weights_digest"] for report in reports}) == 1
    alone = {kind: ranks.training(tmp_path / kind, 0, 1, [0, 60], **job) for kind, job in
             (("ridge", ridge), ("norms", norms))}  # fmt: skip
    for kind in ("ridge", "norms"):
        assert reports[0][f"first {kind}"]["weights_digest"] == alone[kind]["weights_digest"], kind
    losses = [[record["loss"] for record in each["history"]] for each in (reports[0]["both ridge"], alone["ridge"])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
