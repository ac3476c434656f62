"""Bits of two classification fits: a change of the training that is meant to change nothing leaves them alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.ml import ImageClassifier

PLAIN: dict[str, Any] = {"epochs": 2}

#: Each part of the training that has arithmetic of its own.
EVERYTHING: dict[str, Any] = {
    "epochs": 2.5,
    "weightCol": "w",
    "validationIndicatorCol": "held",
    "classWeight": "balanced",
    "labelSmoothing": 0.1,
    "augmentation": [{"name": "shift", "pixels": 2}, {"name": "rotation", "degrees": 10}],
    "network": "convnet",
    "optimizer": "adam",
    "learningRate": 0.003,
    "learningRateSchedule": "oneCycle",
    "clipNorm": 1.0,
    "l1": 1e-5,
}


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    rows = tensor_frame(start_session("local[2]"), 120)
    return rows.withColumn("w", 1.0 + F.col("id") % 3).withColumn("held", F.col("id") % 5 == 0).cache()


def are_the_same_kernels() -> bool:
    """Return whether sums on this machine are in the order in which the bits below were made."""
    found = Path("/proc/cpuinfo")
    kernels = torch.__version__.startswith("2.13.") and torch.backends.cpu.get_cpu_capability() == "AVX2"
    # The matrix products are others on other makers' processors.
    return kernels and found.exists() and "AuthenticAMD" in found.read_text()


@pytest.mark.parametrize(
    ("params", "losses", "digest"),
    [
        (PLAIN, [1.374572499593099, 1.3351903279622397], "9181285edaab1e71e3f10589"),
        (EVERYTHING, [2.1363167762756348, 1.0203412373860676, 1.3256793816884358], "14eb2e6066ddd0e05e0bfd56"),
    ],
    ids=["plain", "everything"],
)
def test_a_fit_has_the_bits_that_it_always_had(
    frame: DataFrame, params: dict[str, Any], losses: list[float], digest: str
) -> None:
    model = ImageClassifier(**params, numWorkers=2).fit(frame)
    assert model.summary.objectiveHistory == pytest.approx(losses, rel=1e-4)
    if are_the_same_kernels():
        assert model.summary.objectiveHistory == losses
        assert hashlib.sha256(model.weights).hexdigest().startswith(digest)
