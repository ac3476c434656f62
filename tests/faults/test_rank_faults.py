"""Ranks that fail, hang or vanish: all stop, the driver knows why, nothing is left behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest
import torch
from digits import tensor_frame
from processes import eventually, running_executors
from pyspark import cloudpickle

from sparkwater.errors import DataError, RankFailure
from sparkwater.gpu.networks import lenet, register_network, registry
from sparkwater.ml import ImageClassifier, confusion_matrix


class FailsAtStepSeven(torch.nn.Module):
    """LeNet, but rank 1 raises when it is called for the eighth time."""

    def __init__(self, shape, classes):
        super().__init__()
        self.network = lenet(shape, classes)
        self.calls = 0

    def forward(self, batch):
        from pyspark import TaskContext

        context = TaskContext.get()
        self.calls += torch.is_grad_enabled()  # the trial of the memory layout doesn't count
        if context is not None and context.partitionId() == 1 and self.calls == 8:
            raise ArithmeticError("the eighth step is too much")
        return self.network(batch)


class MeetsItsEnd(torch.nn.Module):
    """LeNet, but rank 1 sends itself a signal when it is called for the fourth time."""

    def __init__(self, shape, classes, number):
        super().__init__()
        self.network = lenet(shape, classes)
        self.number = number
        self.calls = 0

    def forward(self, batch):
        from pyspark import TaskContext

        context = TaskContext.get()
        self.calls += torch.is_grad_enabled()  # the trial of the memory layout doesn't count
        if context is not None and context.partitionId() == 1 and self.calls == 4:
            os.kill(os.getpid(), self.number)
        return self.network(batch)


@pytest.fixture(autouse=True, scope="module")
def _networks_travel_by_value():
    # Executors can't import this module.
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    before = dict(registry._REGISTRY)
    shape = (28, 28, 1)
    register_network("fails", image_shape=shape)(lambda shape, classes: FailsAtStepSeven(shape, classes))
    register_network("killed", image_shape=shape)(lambda shape, classes: MeetsItsEnd(shape, classes, signal.SIGKILL))
    register_network("stopped", image_shape=shape)(lambda shape, classes: MeetsItsEnd(shape, classes, signal.SIGSTOP))
    yield
    cloudpickle.unregister_pickle_by_value(module)
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)


def listening() -> set[tuple[int, int]]:
    """Return process and port of everything that this process and its children listen on."""
    found = set()
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            connections = process.net_connections()
            found |= {(process.pid, entry.laddr.port) for entry in connections if entry.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_error_of_one_rank_is_raised_on_the_driver(cluster, collective):
    frame = tensor_frame(cluster, 100)
    good = ImageClassifier(numWorkers=2, epochs=1, batchSize=16, collective=collective)
    good.fit(frame)
    ports_before = listening()
    shared_memory_before = set(Path("/dev/shm").iterdir())
    estimator = ImageClassifier(network="fails", numWorkers=2, epochs=3, batchSize=16, collective=collective)
    with pytest.raises(RankFailure, match="the eighth step is too much") as caught:
        estimator.fit(frame)
    failure = caught.value
    assert (failure.rank, failure.epoch, failure.step, failure.error_type) == (1, 1, 0, "ArithmeticError")
    assert "in forward" in failure.remote_traceback
    assert failure.host
    # Nothing is left behind, and the same executors train at once.
    assert eventually(lambda: listening() <= ports_before)
    assert set(Path("/dev/shm").iterdir()) <= shared_memory_before
    assert good.fit(frame).summary.numRows == 100


def test_killed_rank_is_a_rank_failure_and_the_cluster_trains_again(cluster):
    frame = tensor_frame(cluster, 100)
    with pytest.raises(RankFailure, match="Spark ended the training") as caught:
        ImageClassifier(network="killed", numWorkers=2, epochs=3, batchSize=16, stallTimeout=15).fit(frame)
    assert caught.value.remote_traceback
    assert ImageClassifier(numWorkers=2, epochs=1, batchSize=16).fit(frame).summary.numRows == 100


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_rank_that_stands_still_fails_the_fit(cluster, collective):
    frame = tensor_frame(cluster, 100)
    stalled = ImageClassifier(
        network="stopped", numWorkers=2, epochs=3, batchSize=16, stallTimeout=8, collective=collective
    )
    outcome: list[BaseException] = []

    def train() -> None:
        try:
            stalled.fit(frame)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join(timeout=90)
    finished = not thread.is_alive()
    for process in psutil.Process().children(recursive=True):  # whatever still stands is freed for the next test
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_STOPPED:
                process.kill()
    thread.join(timeout=60)
    assert finished
    assert isinstance(outcome[0], RankFailure)
    assert outcome[0].rank == 1
    assert "rank 1 stood still" in str(outcome[0])


def test_training_on_an_executor_that_dies_fails_and_the_next_one_works(cluster, caplog):
    frame = tensor_frame(cluster, 400).cache()
    frame.count()
    outcome: list[BaseException] = []

    def train() -> None:
        try:
            ImageClassifier(numWorkers=2, epochs=200, batchSize=16, stallTimeout=15).fit(frame)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=train)
    with caplog.at_level(logging.INFO, logger="sparkwater"):
        thread.start()
        assert eventually(lambda: "epoch 1/200" in caplog.text, seconds=60)
    running_executors()[0].kill()
    thread.join(timeout=90)
    assert not thread.is_alive()
    assert isinstance(outcome[0], RankFailure)
    assert ImageClassifier(numWorkers=2, epochs=1).fit(frame).summary.numRows == 400


def test_two_fits_at_once_equal_their_solo_runs(spark):
    frames = [tensor_frame(spark, 80, seed=seed) for seed in (1, 2)]
    solo = [ImageClassifier(numWorkers=2, epochs=2, seed=7).fit(frame).weights for frame in frames]
    together: dict[int, bytes] = {}

    def train(index: int) -> None:
        together[index] = ImageClassifier(numWorkers=2, epochs=2, seed=7).fit(frames[index]).weights

    threads = [threading.Thread(target=train, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=200)
    assert [together[0], together[1]] == solo


def test_loss_that_is_not_a_number_stops_all_ranks_in_the_same_step(spark):
    with pytest.raises(DataError, match=r"the loss is (nan|inf) in epoch 0, step \d+; a lower learningRate"):
        ImageClassifier(numWorkers=2, learningRate=1e20, epochs=1, batchSize=16).fit(tensor_frame(spark, 100))


def test_model_learns_after_all_of_that(cluster):
    frame = tensor_frame(cluster, 100)
    model = ImageClassifier(epochs=4, batchSize=32, learningRate=0.02).fit(frame)
    assert confusion_matrix(model.transform(frame), "label", "prediction").error < 0.1
