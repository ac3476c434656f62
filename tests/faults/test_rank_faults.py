"""Ranks that fail, hang or vanish: all stop, the driver knows why, nothing is left behind."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

import psutil
import pytest
import torch
from digits import tensor_frame
from processes import eventually, is_clean, python_workers, running_executors, traces
from pyspark import cloudpickle
from pyspark.sql import DataFrame

from sparkwater.errors import DataError, RankFailure
from sparkwater.gpu.networks import lenet, register_network, registry
from sparkwater.ml import ImageClassifier, ImageClassifierModel, confusion_matrix


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


def end_of(estimator: ImageClassifier, frame: DataFrame) -> tuple[BaseException | ImageClassifierModel, float]:
    """Fit in a thread that must end; return how, and after how many seconds."""
    ended: list[BaseException | ImageClassifierModel] = []

    def train() -> None:
        try:
            ended.append(estimator.fit(frame))
        except BaseException as error:
            ended.append(error)

    started = time.monotonic()
    thread = threading.Thread(target=train)
    thread.start()
    thread.join(timeout=90)
    assert not thread.is_alive()
    return ended[0], time.monotonic() - started


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_error_of_one_rank_is_raised_on_the_driver_and_not_tried_again(cluster, collective, caplog):
    frame = tensor_frame(cluster, 100)
    good = ImageClassifier(numWorkers=2, epochs=1, batchSize=16, collective=collective)
    good.fit(frame)
    before = traces()
    failing = ImageClassifier(
        network="fails", numWorkers=2, epochs=3, batchSize=16, collective=collective, maxRestarts=3
    )
    with caplog.at_level(logging.WARNING, logger="sparkwater"):
        failure, seconds = end_of(failing, frame)
    assert isinstance(failure, RankFailure)
    assert "the eighth step is too much" in str(failure)
    assert (failure.rank, failure.epoch, failure.step, failure.error_type) == (1, 1, 0, "ArithmeticError")
    assert "in forward" in failure.remote_traceback
    assert failure.host
    assert seconds < 30
    assert "restart" not in caplog.text
    # Nothing is left behind, and the same executors train at once.
    assert is_clean(before), traces() - before
    assert good.fit(frame).summary.numRows == 100


def test_killed_rank_is_a_rank_failure_and_the_cluster_trains_again(cluster):
    frame = tensor_frame(cluster, 100)
    before = traces()
    with pytest.raises(RankFailure, match="Spark ended the training") as caught:
        ImageClassifier(network="killed", numWorkers=2, epochs=3, batchSize=16, stallTimeout=15).fit(frame)
    assert caught.value.remote_traceback
    assert is_clean(before), traces() - before
    assert ImageClassifier(numWorkers=2, epochs=1, batchSize=16).fit(frame).summary.numRows == 100


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_rank_that_stands_still_fails_the_fit_within_the_time_for_it(cluster, collective):
    frame = tensor_frame(cluster, 100)
    before = traces()
    stalled = ImageClassifier(
        network="stopped", numWorkers=2, epochs=3, batchSize=16, stallTimeout=15, collective=collective
    )
    stopped: list[float] = []

    def watch() -> None:
        if eventually(lambda: any("stands" in trace for trace in traces()), seconds=60):
            stopped.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    failure, _ = end_of(stalled, frame)
    ended = time.monotonic()
    watcher.join()
    assert isinstance(failure, RankFailure)
    assert failure.rank == 1
    assert "rank 1 stood still" in str(failure)
    assert ended - stopped[0] < 30
    assert is_clean(before), traces() - before


def test_training_on_an_executor_that_dies_fails_and_the_next_one_works(cluster, caplog):
    frame = tensor_frame(cluster, 400).cache()
    frame.count()
    before = traces()
    killed: list[psutil.Process] = []

    def kill_in_the_second_epoch() -> None:
        if eventually(lambda: "epoch 1/200" in caplog.text, seconds=60):
            executor = running_executors()[0]
            killed.extend(python_workers(executor))
            executor.kill()

    killer = threading.Thread(target=kill_in_the_second_epoch)
    killer.start()
    with caplog.at_level(logging.INFO, logger="sparkwater"):
        failure, _ = end_of(ImageClassifier(numWorkers=2, epochs=200, batchSize=16, stallTimeout=15), frame)
    killer.join()
    assert isinstance(failure, RankFailure)
    assert killed
    _, alive = psutil.wait_procs(killed, timeout=10)
    assert alive == []
    assert is_clean(before), traces() - before
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
