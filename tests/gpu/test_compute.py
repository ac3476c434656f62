from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import user_networks
from gpu import ranks
from torch import nn

from sparkwater.gpu import device
from sparkwater.gpu.collective.connections import COLLECTIVES
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.compute import choose_layout
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.training.checkpoints import CheckpointFolder

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ROWS = 60


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(**settings: Any) -> Outcome:
    outcome = run_rank(ranks.picture_batches(range(ROWS)), ranks.rank_job(ROWS, **settings), SinglePeer())
    assert outcome.failure is None, outcome.failure
    return outcome


def losses(outcome: Outcome) -> list[float]:
    return [record.loss for record in outcome.history]


def test_pictures_go_channels_last_and_the_trial_leaves_no_trace() -> None:
    network = build_network(find_network("resnet18"), (3, 32, 32), 10, 1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    assert choose_layout(network, torch.zeros(2, 3, 32, 32), CPU, "float32") == torch.channels_last
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert network.conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("network", "inputs", "device", "precision"),
    [
        (user_networks.Winding().train(), torch.zeros(2, 1, 28, 28), CPU, "float32"),  # it views its tensors
        (build_network(find_network("mlp"), (1, 28, 28), 10, 1), torch.zeros(2, 1, 28, 28), CPU, "float32"),
        (nn.Linear(3, 2), torch.zeros(2, 3), CPU, "float32"),
        (nn.Bilinear(3, 3, 2), (torch.zeros(2, 3), torch.zeros(2, 3)), CPU, "float32"),
        (build_network(find_network("lenet"), (1, 28, 28), 10, 1), torch.zeros(2, 1, 28, 28), GPU, "float32"),
    ],
)
def test_other_networks_and_gpus_in_float32_stay_as_they_are(network, inputs, device, precision) -> None:
    assert choose_layout(network, inputs, device, precision) == torch.contiguous_format
    assert all(parameter.is_contiguous() for parameter in network.parameters())


def test_gpus_in_16_bits_go_channels_last() -> None:
    network = build_network(find_network("lenet"), (1, 28, 28), 10, 1)
    assert choose_layout(network, torch.zeros(2, 1, 28, 28), GPU, "bfloat16") == torch.channels_last


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_16_bits_learn_nearly_the_same_and_weights_stay_float32(precision: str) -> None:
    exact, mixed = trained(), trained(precision=precision)
    assert losses(mixed) != losses(exact)
    assert losses(mixed) == pytest.approx(losses(exact), abs=0.02)
    assert trained(precision=precision).weights_digest == mixed.weights_digest
    assert len(mixed.weights) == len(exact.weights)


def test_bfloat16_warns_once_a_training_on_a_processor_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for known, warnings in ((("architecture",), 0), ((), 1)):  # what every processor tells, and nothing
        monkeypatch.setattr(device, "BFLOAT16_INSTRUCTIONS", known)
        caplog.clear()
        trained(precision="bfloat16", epochs=1)
        assert caplog.text.count("set precision='float32'") == warnings
    caplog.clear()
    trained(epochs=1)
    assert "precision=" not in caplog.text


def test_only_the_first_rank_warns_of_bfloat16(tmp_path: Path) -> None:
    jobs = {"one": {"starts": [0, 25, 60], "collective": "memory", "precision": "bfloat16", "epochs": 1}}
    first, second = ranks.launch("trainings", tmp_path, jobs=jobs)
    assert first["one"]["failure"] is second["one"]["failure"] is None
    warned = ["ranks 0, 1 has no instructions" in ranks.log_of(tmp_path, rank).read_text() for rank in (0, 1)]
    assert warned == [not device.computes_bfloat16(CPU), False]


def test_float16_skips_steps_whose_gradients_overflow_and_goes_on(tmp_path: Path) -> None:
    # So large a rate that gradients, times the first scale, 65536, are beyond float16.
    settings = {"optimizer": "adam", "learning_rate": 0.02, "batch_size": 4, "checkpoint_dir": str(tmp_path)}
    outcome = trained(precision="float16", **settings)
    (folder,) = tmp_path.iterdir()
    last = CheckpointFolder(str(folder)).latest()
    assert last is not None
    assert last.state["scaler"]["scale"] < 65536
    assert losses(outcome)[-1] < 0.5 * losses(outcome)[0]


def test_float16_goes_on_from_a_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    whole = trained(precision="float16")
    settings = {"precision": "float16", "checkpoint_dir": str(tmp_path), "checkpoint_interval": 3}
    job = ranks.rank_job(ROWS, fail_at=7, **settings)
    assert run_rank(ranks.picture_batches(range(ROWS)), job, SinglePeer()).failure is not None
    again = trained(**settings)
    assert again.resumed_at == 6
    assert again.weights_digest == whole.weights_digest


def test_the_scale_of_float16_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    # As above: the scale falls before the training breaks off.
    settings = {"precision": "float16", "optimizer": "adam", "learning_rate": 0.02, "batch_size": 4}
    settings["checkpoint_interval"] = 3
    whole = trained(**settings, checkpoint_dir=str(tmp_path / "whole"))
    settings["checkpoint_dir"] = str(tmp_path / "parts")
    job = ranks.rank_job(ROWS, fail_at=31, **settings)
    assert run_rank(ranks.picture_batches(range(ROWS)), job, SinglePeer()).failure is not None
    assert scale_in(tmp_path / "parts")["scale"] < 65536
    again = trained(**settings)
    assert again.resumed_at == 30
    assert scale_in(tmp_path / "parts") == scale_in(tmp_path / "whole")
    assert again.weights_digest == whole.weights_digest


def scale_in(directory: Path) -> dict[str, Any]:
    (folder,) = directory.iterdir()
    last = CheckpointFolder(str(folder)).latest()
    assert last is not None
    return last.state["scaler"]


@pytest.mark.parametrize("changes", [{"clip_norm": 0.3}, {"clip_value": 0.02}, {"l1": 0.05}])
def test_float16_clips_and_penalises_gradients_of_their_own_size(changes: dict[str, Any]) -> None:
    exact, mixed, free = trained(**changes), trained(precision="float16", **changes), trained(precision="float16")
    assert losses(mixed) == pytest.approx(losses(exact), abs=0.02)
    assert losses(mixed) != pytest.approx(losses(free), abs=0.02)


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_compressed_gradients_learn_nearly_the_same_on_all_ranks(collective: str, tmp_path: Path) -> None:
    kinds = ("none", "float16") if collective == "horovod" else ("none", "float16", "bfloat16")
    settings = {"starts": [0, 25, 60], "collective": collective}
    jobs = {kind: {**settings, "gradient_compression": kind} for kind in kinds}
    first, second = ranks.launch("trainings", tmp_path, jobs=jobs)
    exact = [record["loss"] for record in first["none"]["history"]]
    for kind in kinds[1:]:
        assert first[kind]["failure"] is None, first[kind]["failure"]
        assert first[kind]["weights_digest"] == second[kind]["weights_digest"] != first["none"]["weights_digest"]
        assert [record["loss"] for record in first[kind]["history"]] == pytest.approx(exact, abs=0.02)
        assert [record["rows"] for record in first[kind]["history"]] == [60] * 4


@pytest.mark.slow
def test_a_compiled_network_learns_nearly_the_same() -> None:
    exact, compiled = (trained(network="mlp", epochs=1, compiled=compiled) for compiled in (False, True))
    assert losses(compiled) == pytest.approx(losses(exact), abs=1e-4)
    assert len(compiled.weights) == len(exact.weights)
