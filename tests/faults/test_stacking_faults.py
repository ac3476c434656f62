"""An executor that is lost while an ensemble is cross-fitted."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
import torch
from by_value import by_value
from digits import tensor_frame
from pyspark.sql import SparkSession

from sparkwater.gpu.networks import lenet, register_network, registry
from sparkwater.ml import ImageClassifier
from sparkwater.stacking import StackedEnsemble


class EndsItsExecutor(torch.nn.Module):
    """LeNet that kills the Java process it runs under, at its fourth call in training and only the first time."""

    def __init__(self, shape, classes, flag):
        super().__init__()
        self.network = lenet(shape, classes)
        self.flag = flag
        self.calls = 0

    def forward(self, batch):
        self.calls += self.training
        if self.calls == 4 and self.training and not Path(self.flag).exists():
            Path(self.flag).touch()
            executor = next(one for one in psutil.Process().parents() if one.name() == "java")
            executor.send_signal(signal.SIGKILL)
        return self.network(batch)


@pytest.fixture
def flag(tmp_path: Path):
    before = dict(registry._REGISTRY)
    path = str(tmp_path / "killed")
    register_network("ends", image_shape=(28, 28, 1))(lambda shape, classes: EndsItsExecutor(shape, classes, path))
    with by_value(__name__):
        yield Path(path)
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)


def test_a_killed_executor_costs_one_fit_only(cluster: SparkSession, flag: Path) -> None:
    frame = tensor_frame(cluster, 96)
    learner = ImageClassifier(network="ends", epochs=3, batchSize=12, learningRate=0.01)
    model = StackedEnsemble(learners={"net": learner}, numFolds=2, foldAssignment="modulo").fit(frame)
    assert flag.exists()
    assert sorted(fit.attempts for fit in model.summary.fits) == [1, 2]
    assert sum(fit.rows for fit in model.summary.fits) == 96
    assert model.transform(frame).where("prediction is null").isEmpty()
