"""Suites that run on both sets of dependencies; all others run on the pinned one alone.

The sets differ in Spark, NumPy, pandas, pyarrow and Pillow. What a version of these does differently shows where the
package meets them, which is what these suites are about; what is built on that is the package's own. The mark of tests
of the pinned set alone is ``house``, the mark of those of the newest one alone is ``newest``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

#: Folders and files of tests.
SUITES = (
    "bundle/test_scorer.py",  # NumPy and Pillow without Spark
    "bundle/test_spark_stages.py",  # the data of Spark's own models
    "connect/test_connect.py",  # Spark's own client; a network and a learner of Spark's own, stacked
    "conversions",  # pandas, Arrow, pictures; files and tests of it with the mark are left out
    "flow/test_columns.py",  # Spark's schemas and statistics
    "gpu/test_data.py",  # NumPy's types on their way to torch
    "jobs/test_submit.py",  # spark-submit
    "ml/test_labels.py",  # types of columns
    "ml/test_pinned_bits.py",  # fits, with the same bits on both
    "ml/test_streams.py",  # Structured Streaming
    "mlflow/test_scoring.py",  # pandas and NumPy; docs/mlflow.md, whose examples run on both, has Spark's part
    "plots/test_frames.py",
    "stacking/test_row_keys.py",  # Spark's hashes
    "test_docs.py",
    "test_notebooks.py",
    "test_saved_stages.py",
)

#: A line of a program that makes it one for both sets: calls of these packages differ more than their names do.
OWN_CALLS = re.compile(r"^(?:import|from) (?:pandas|pyarrow)\b", re.MULTILINE)


def needs_one_set(path: Path) -> bool:
    """Return whether the tests of a file are run on the pinned set alone."""
    here = Path(__file__).parent
    return path.is_relative_to(here) and not any(path.is_relative_to(here / suite) for suite in SUITES)


def by_turns(programs: dict[str, str]) -> list[Any]:
    """Return names of programs as parameters, one for the pinned set, the next one for the newest, and so on.

    Examples of the documentation are made of what other tests call. Programs that call pandas or pyarrow themselves are
    for both sets.

    Parameters
    ----------
    programs : dict of str to str
        Names and source.
    """
    marks = {name: (pytest.mark.house, pytest.mark.newest)[place % 2] for place, name in enumerate(_alike(programs))}
    return [pytest.param(name, marks=marks.get(name, ())) for name in programs]


def _alike(programs: dict[str, str]) -> Iterable[str]:
    return (name for name, source in programs.items() if not OWN_CALLS.search(source))
