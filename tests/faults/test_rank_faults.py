"""Ranks that fail, hang or vanish: all stop, the driver knows why, nothing is left behind."""

from __future__ import annotations

import logging

import psutil
import pytest
from digits import tensor_frame
from failing_networks import failing_networks
from processes import await_during, begun, is_clean, python_workers, running_executors, traces

from sparkwater.errors import DataError, RankFailure
from sparkwater.gpu.collective.connections import COLLECTIVES
from sparkwater.gpu.outcome import Failure, Outcome
from sparkwater.ml import ImageClassifier, confusion_matrix
from sparkwater.ml.launch.launcher import first_cause


@pytest.fixture(autouse=True, scope="module")
def _networks():
    with failing_networks():
        yield


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_error_of_one_rank_is_raised_on_the_driver_and_not_tried_again(cluster, collective, caplog):
    frame = tensor_frame(cluster, 100)
    good = ImageClassifier(numWorkers=2, epochs=1, batchSize=16, collective=collective)
    good.fit(frame)
    before = traces()
    failing = ImageClassifier(
        network="fails", numWorkers=2, epochs=3, batchSize=16, collective=collective, maxRestarts=3
    )
    with caplog.at_level(logging.WARNING, logger="sparkwater"):
        failure = begun(lambda: failing.fit(frame)).exception(timeout=30)
    assert isinstance(failure, RankFailure)
    assert "the eighth step is too much" in str(failure)
    assert (failure.rank, failure.epoch, failure.step, failure.error_type) == (1, 1, 0, "ArithmeticError")
    assert "in forward" in failure.remote_traceback
    assert failure.host
    assert "restart" not in caplog.text
    # Nothing is left behind, and the same executors train at once.
    assert is_clean(before), traces() - before
    assert good.fit(frame).summary.numRows == 100


@pytest.mark.parametrize("collective", ["horovod", "memory"])
def test_killed_rank_is_a_rank_failure_and_the_cluster_trains_again(cluster, collective):
    frame = tensor_frame(cluster, 100)
    before = traces()
    with pytest.raises(RankFailure, match="Spark ended the training") as caught:
        ImageClassifier(
            network="killed", numWorkers=2, epochs=3, batchSize=16, stallTimeout=15, collective=collective
        ).fit(frame)
    assert caught.value.remote_traceback
    assert is_clean(before), traces() - before
    assert ImageClassifier(numWorkers=2, epochs=1, batchSize=16).fit(frame).summary.numRows == 100


def failed(rank: int, kind: str, first: bool) -> Outcome:
    return Outcome(rank, f"host {rank}", Failure(kind, f"rank {rank} said so", "its traceback", 2, 5, first))


def test_the_rank_that_failed_by_itself_is_named_before_those_that_broke_with_it():
    by_itself, broken = failed(2, "ArithmeticError", True), [failed(rank, "PeerFailed", False) for rank in (0, 1, 3)]
    for outcomes in ([by_itself, *broken], [*broken, by_itself], [by_itself, failed(3, "OSError", True), *broken[:2]]):
        cause = first_cause(outcomes)
        assert isinstance(cause, RankFailure)
        assert (cause.rank, cause.host, cause.error_type) == (2, "host 2", "ArithmeticError")
    # Where all broke, the lowest rank speaks.
    assert first_cause(broken[::-1]).rank == 0


def test_a_users_mistake_on_one_rank_is_raised_as_what_it_is():
    cause = first_cause([failed(0, "PeerFailed", False), failed(1, "DataError", True)])
    assert type(cause) is DataError
    assert str(cause) == "rank 1 said so"


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_rank_that_stands_still_fails_the_fit_within_the_time_for_it(cluster, collective):
    frame = tensor_frame(cluster, 100)
    before = traces()
    stalled = ImageClassifier(
        network="stopped", numWorkers=2, epochs=3, batchSize=16, stallTimeout=8, collective=collective
    )
    ended = begun(lambda: stalled.fit(frame))
    await_during(ended, lambda: any("stands" in trace for trace in traces()))
    failure = ended.exception(timeout=30)
    assert isinstance(failure, RankFailure)
    assert failure.rank == 1
    assert "rank 1 stood still" in str(failure)
    assert is_clean(before), traces() - before


@pytest.mark.parametrize("collective", ["horovod", "memory"])
def test_training_on_an_executor_that_dies_fails_and_the_next_one_works(cluster, collective, caplog):
    frame = tensor_frame(cluster, 400).cache()
    frame.count()
    before = traces()
    with caplog.at_level(logging.INFO, logger="sparkwater"):
        training = ImageClassifier(numWorkers=2, epochs=200, batchSize=16, stallTimeout=15, collective=collective)
        ended = begun(lambda: training.fit(frame))
        await_during(ended, lambda: "epoch 1/200" in caplog.text)
        executor = running_executors()[0]
        killed = python_workers(executor)
        executor.kill()
        failure = ended.exception(timeout=90)
    assert isinstance(failure, RankFailure)
    assert killed
    _, alive = psutil.wait_procs(killed, timeout=10)
    assert alive == []
    assert is_clean(before), traces() - before
    assert ImageClassifier(numWorkers=2, epochs=1).fit(frame).summary.numRows == 400


def test_two_fits_at_once_equal_their_solo_runs(spark):
    frames = [tensor_frame(spark, 80, seed=seed) for seed in (1, 2)]
    solo = [ImageClassifier(numWorkers=2, epochs=2, seed=7).fit(frame).weights for frame in frames]
    fits = [begun(lambda frame=frame: ImageClassifier(numWorkers=2, epochs=2, seed=7).fit(frame)) for frame in frames]
    assert [fit.result(timeout=200).weights for fit in fits] == solo


def test_loss_that_is_not_a_number_stops_all_ranks_in_the_same_step(spark):
    with pytest.raises(DataError, match=r"the loss is (nan|inf) in epoch 0, step \d+; a lower learningRate"):
        ImageClassifier(numWorkers=2, learningRate=1e20, epochs=1, batchSize=16).fit(tensor_frame(spark, 100))


def test_model_learns_after_all_of_that(cluster):
    frame = tensor_frame(cluster, 100)
    model = ImageClassifier(epochs=4, batchSize=32, learningRate=0.02).fit(frame)
    assert confusion_matrix(model.transform(frame), "label", "prediction").error < 0.1
