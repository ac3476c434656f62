"""Averages of weights: by hand, in validation, for the best epoch, and at the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gpu import ranks
from gpu.fits import train_network, trained
from torch import nn

from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.training.regularizers.weight_average import WeightAverage

#: So small that the last of six steps has a share of its own, and those before it one for their place.
DECAY, ROWS = 0.3, 24


class Layers(nn.Module):
    """Statistics of batches, and a mask with infinities; it notes its state at the beginning of each pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.flat, self.first, self.norm = nn.Flatten(), nn.Linear(256, 6), nn.BatchNorm1d(6)
        self.last = nn.Linear(6, 3)
        self.register_buffer("mask", torch.tensor([0.0, -math.inf, 0.0, 0.0, 0.0, 0.0]))
        self.seen: list[dict[str, torch.Tensor]] = []

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.append(self.state())
        return self.last(self.norm(self.first(self.flat(pictures))) + self.mask.exp())

    def state(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().double().clone() for name, value in self.state_dict().items()}


def fitted(**changes: Any) -> Layers:
    network = Layers()
    job = ranks.rank_job(0, batch_size=8, epochs=2, learning_rate=0.05, **changes)
    train_network(network, ranks.picture_batches(range(ROWS)), Place(0, (ROWS,)), job)
    return network


def test_the_trained_network_is_the_average_of_those_after_each_step() -> None:
    plain, averaged = fitted(), fitted(weight_averaging=DECAY)
    after = [*plain.seen[1:], plain.state()]
    assert len(after) == 6
    # The training itself is the same.
    assert all(torch.equal(averaged.seen[5][name], value) for name, value in plain.seen[5].items())
    taken = [1, 10 / 11, 10 / 12, 10 / 13, 10 / 14, 0.7]
    shares = [taken[step] * math.prod(1 - later for later in taken[step + 1 :]) for step in range(6)]
    assert sum(shares) == pytest.approx(1)
    for name, value in averaged.state().items():
        if name in ("mask", "norm.num_batches_tracked"):
            assert torch.equal(value, after[-1][name])
            continue
        mean = sum(share * each[name] for share, each in zip(shares, after, strict=True))
        torch.testing.assert_close(value, mean, rtol=1e-5, atol=1e-6)
        # Normalisation takes away what a bias before it adds.
        assert name == "first.bias" or not torch.allclose(mean, after[-1][name], rtol=1e-3), name


def test_a_network_has_its_own_weights_back_after_a_look_at_the_averages() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weights = network[0].weight.data
    average = WeightAverage(network, weights, 0.5)
    network[1].running_mean.fill_(4.0)
    weights.fill_(6.0)
    average.add(network, weights, 1)
    weights.fill_(3.0)
    network[1].running_mean.fill_(1.0)
    average.add(network, weights, 100)
    with average.applied(network, weights):
        assert weights.tolist() == [[4.5, 4.5]] * 2
        assert network[1].running_mean.tolist() == [2.5] * 2
    assert weights.tolist() == [[3.0, 3.0]] * 2
    assert network[1].running_mean.tolist() == [1.0] * 2


def raw(outcome: Outcome, rows: Any) -> torch.Tensor:
    job = ranks.rank_job(0)
    assert outcome.scaling is not None
    network = TrainedNetwork(
        job.network, job.spec.shape, job.task, outcome.scaling, outcome.weights, outcome.weights_digest
    )
    return torch.from_numpy(np.asarray(predict_raw(network, rows.features.numpy())))


def test_the_averaged_network_is_validated() -> None:
    held_out = list(range(30, 40))
    batches = ranks.picture_batches(range(40), held_out=held_out)
    settings: dict[str, Any] = {"epochs": 2, "validation": True, "learning_rate": 0.02}
    averaged, plain = trained(batches, **settings, weight_averaging=0.9), trained(batches, **settings)
    job = ranks.rank_job(0)
    rows = load_rows(ranks.picture_batches(held_out), job.spec, job.task, "error")
    sums = job.task.sums(torch.device("cpu"))
    sums.add(raw(averaged, rows), rows.targets, None)
    found = averaged.history[-1].validation
    assert found is not None
    assert found["logloss"] == pytest.approx(sums.metrics()["logloss"], rel=1e-5)
    assert plain.history[-1].validation != found
    assert [record.training for record in plain.history] == [record.training for record in averaged.history]


def test_the_best_epoch_is_kept_with_its_averages() -> None:
    batches = ranks.misleading_batches(40, range(30, 40))
    settings: dict[str, Any] = {"validation": True, "keep_best": True, "weight_averaging": 0.9, "learning_rate": 0.05}
    whole = trained(batches, epochs=6, **settings)
    assert whole.best_epoch is not None
    assert whole.best_epoch < 5
    until_then = trained(batches, epochs=whole.best_epoch + 1, **{**settings, "keep_best": False})
    assert whole.weights == until_then.weights
    without = trained(batches, epochs=whole.best_epoch + 1, **{**settings, "weight_averaging": 0.0})
    assert whole.weights != without.weights
