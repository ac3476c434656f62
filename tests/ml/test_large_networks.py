"""Networks of the ILSVRC on the shipped digits."""

from __future__ import annotations

import pytest
from digits import shipped_digits

from sparkwater.ml import ImageClassifier


@pytest.mark.parametrize("network", ["resnet18", "googlenet"])
def test_large_networks_begin_to_learn_digits_with_two_workers(spark, network):
    estimator = ImageClassifier(
        network=network, featuresCol="content", imageShape=[28, 28, 1], numWorkers=2, epochs=3, batchSize=10,
        learningRate=0.01,
    )  # fmt: skip
    summary = estimator.fit(shipped_digits(spark, "training", 3)).summary
    assert summary.numWorkers == 2
    losses = summary.objectiveHistory
    assert losses[-1] < 0.9 * losses[0], losses
