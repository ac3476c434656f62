"""Ranks on two hosts learn what two ranks on one learn."""

from __future__ import annotations

import pytest
from digits import tensor_frame
from processes import eventually, within

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError
from sparkwater.ml import ImageClassifier


@pytest.mark.parametrize("collective", ["horovod", "torch"])
def test_two_hosts_learn_the_same_as_one(hosts, on_one_machine, collective):
    frame = tensor_frame(hosts.session(), 100)
    model = ImageClassifier(epochs=2, batchSize=32, numWorkers=2, collective=collective).fit(frame)
    assert model.summary.collective == collective
    assert model.weights == on_one_machine


def test_shared_memory_is_refused_with_the_hosts(hosts):
    learner = ImageClassifier(epochs=2, numWorkers=2, collective="memory")
    with pytest.raises(ConfigurationError, match=r"on 10\.77\.0\.2, 10\.77\.0\.3; use collective='horovod' or 'torch'"):
        learner.fit(tensor_frame(hosts.session(), 100))


def test_more_workers_than_cores_are_refused_within_seconds(hosts):
    spark = hosts.session()
    frame = tensor_frame(spark, 100)
    assert eventually(lambda: len(session_of(spark).executor_places()) == 2, 60)
    spark.sparkContext.setJobGroup("refused", "must stay empty")
    try:
        with within(5), pytest.raises(ConfigurationError, match=r"numWorkers=4, .* 2 tasks .* startTimeout=1 seconds"):
            ImageClassifier(numWorkers=4, startTimeout=1).fit(frame)
        assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("refused")) == []
    finally:
        spark.sparkContext._jsc.clearJobGroup()
