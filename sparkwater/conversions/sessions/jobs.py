"""Spark jobs, and the mistakes that executors find in what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sparkwater.errors import raised_on_executor

T = TypeVar("T")


def run_job(job: Callable[[], T]) -> T:
    """Run a Spark job; the user's own mistake is raised as it was on the executor.

    Raises
    ------
    SparkwaterError
        The mistake.
    """
    try:
        return job()
    except Exception as error:
        mistake = raised_on_executor(error)
        if mistake is None:
            raise
        raise mistake from error
