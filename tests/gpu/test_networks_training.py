"""Networks with batch statistics and dropout on the training loop."""

from __future__ import annotations

import torch

from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.networks.inference import TrainedNetwork, predict_raw
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.rows.held import RankRows
from sparkwater.gpu.rows.reading import SkippedRows
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.loop import train

SHAPE, CLASSES, ROWS = (1, 16, 16), 3, 45
TASK = ClassificationTask.numbered(CLASSES)


def striped_rows() -> RankRows:
    """Noise of three classes, each with its own bright third."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(ROWS) % CLASSES
    features = torch.randint(0, 120, (ROWS, *SHAPE), generator=generator, dtype=torch.uint8)
    for row, label in enumerate(labels.tolist()):
        features[row, :, 5 * label : 5 * label + 5] += 100
    return RankRows(features, labels, SkippedRows())


def trained(name: str, epochs: int) -> tuple[list[EpochRecord], TrainedNetwork]:
    rows, scaling = striped_rows(), Scaling((80.0,), (50.0,))
    network = build_network(find_network(name), SHAPE, CLASSES, 1)
    config = TrainConfig(
        epochs=epochs,
        batch_size=9,
        optimizer="sgd",
        learning_rate=0.02,
        momentum=0.9,
        weight_decay=0.0005,
        schedule="cosine",
        seed=1,
    )
    compute = Compute(network, scaling, torch.device("cpu"))
    history = train(compute, rows, TASK, Place(0, (ROWS,)), config, LocalCommunicator()).history
    weights = dump_weights(network)
    return history, TrainedNetwork(find_network(name), SHAPE, TASK, scaling, weights, digest(weights))


def test_a_network_with_batch_statistics_learns_and_scores_single_rows_by_them() -> None:
    history, network = trained("convnet", 6)
    assert history[-1].loss < history[0].loss / 3
    rows = striped_rows()
    scores = torch.from_numpy(predict_raw(network, rows.features.numpy()))
    assert (scores.argmax(dim=1) == rows.targets).double().mean() > 0.9
    alone = torch.cat([torch.from_numpy(predict_raw(network, row[None])) for row in rows.features.numpy()])
    torch.testing.assert_close(alone, scores, rtol=1e-3, atol=1e-4)


def test_training_with_dropout_and_batch_statistics_gives_the_same_bits_again() -> None:
    first, second = (trained("mobilenet_v3_small", 2) for _ in range(2))
    assert first[1].weights_digest == second[1].weights_digest
    assert [record.loss for record in first[0]] == [record.loss for record in second[0]]
