"""Rows that can't be scored, by the problems that the graph finds in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkwater.bundle.scorer.signature import Problem
from sparkwater.errors import CheckpointError, DataError


def without_problems(
    outputs: Sequence[npt.NDArray[Any]], numbers: npt.NDArray[np.int64], problems: Sequence[Problem], start: int
) -> list[npt.NDArray[Any]]:
    """Return outputs, with missing ones for the rows that a stage skips.

    Numbers are NaN there and texts None; flags and whole numbers have no meaning.

    Parameters
    ----------
    outputs : sequence of numpy.ndarray
        Outputs of some rows.
    numbers : numpy.ndarray of int64
        Number of each row's problem, from 1 on; 0 for none.
    problems : sequence of Problem
        The problems.
    start : int
        Number of the first row.

    Raises
    ------
    CheckpointError
        If the signature has no such problem.
    DataError
        If a row has a problem for which none is skipped; with the row and the reason.
    """
    found = np.flatnonzero(numbers)
    for row in found.tolist():
        number = int(numbers[row])
        if not 1 <= number <= len(problems):
            raise CheckpointError(f"the graph finds problem {number}; the signature has {len(problems)}")
        problem = problems[number - 1]
        if not problem.skips:
            raise DataError(f"row {start + row}: {problem.reason}")
    if not len(found):
        return list(outputs)
    return [_missing(values, found) for values in outputs]


def first_problem(numbers: npt.NDArray[np.int64], problems: Sequence[Problem]) -> str | None:
    """Return the first row that has a problem, with the reason, in words; None where no row has any."""
    found = np.flatnonzero(numbers)
    if not len(found):
        return None
    number = int(numbers[found[0]])
    known = 1 <= number <= len(problems)
    return f"row {found[0]}: {problems[number - 1].reason if known else f'problem {number}, of {len(problems)}'}"


def _missing(values: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    changed = values.copy()
    if values.dtype.kind == "f":
        changed[rows] = np.nan
    elif values.dtype.kind == "O":
        changed[rows] = None
    return changed
