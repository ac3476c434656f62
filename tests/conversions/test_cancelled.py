"""Errors of jobs that somebody cancelled are told from others."""

from __future__ import annotations

import pytest

from sparkwater.conversions.sessions.session import was_cancelled


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("[SPARK_JOB_CANCELLED] Job 5 cancelled part of cancelled job tag flow-3", True),
        ("An error occurred: SparkException: Job 12 cancelled because killed via the Web UI", True),
        ("[OPERATION_CANCELED] Operation has been canceled.", True),
        (
            "Job aborted due to stage failure: Task 0 in stage 3.0 failed\n\tat java.util.concurrent.Future.cancel",
            False,
        ),
        ("a shift of -1.0", False),
        ("", False),
    ],
)
def test_a_cancellation_is_known_by_what_spark_says(words, expected):
    plain = RuntimeError(words)
    assert was_cancelled(plain) is expected
    wrapped = RuntimeError("Spark ended the training")
    wrapped.__cause__ = plain
    assert was_cancelled(wrapped) is expected
    assert not was_cancelled(None)
