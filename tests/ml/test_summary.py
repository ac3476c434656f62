from __future__ import annotations

from dataclasses import asdict

import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import functions as F

from sparkwater.ml import ImageClassifier
from sparkwater.ml.summary import TrainingSummary


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    frame = tensor_frame(start_session("local[2]"), 120).withColumn("held", F.col("id") % 4 == 0)
    return ImageClassifier(
        epochs=2,
        batchSize=32,
        learningRate=0.02,
        numWorkers=2,
        collective="torch",
        validationIndicatorCol="held",
        checkpointDir=str(tmp_path_factory.mktemp("checkpoints")),
    ).fit(frame)


def test_the_parts_of_each_rank_add_up_to_the_fit(fitted):
    summary = fitted.summary
    assert len(summary.timingsPerRank) == 2
    for timings in summary.timingsPerRank:
        assert timings.total == pytest.approx(summary.totalSeconds)
        assert [
            name for name, seconds in asdict(timings).items() if seconds <= 0 and name not in ("wait", "report")
        ] == []
    assert min(timings.wait for timings in summary.timingsPerRank) == 0
    assert summary.timings.total == pytest.approx(summary.totalSeconds)
    assert TrainingSummary.from_dict(summary.to_dict()) == summary
