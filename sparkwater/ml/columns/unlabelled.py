"""Rows without labels: all that a fit needs to find is their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkwater.errors import DataError
from sparkwater.ml.columns.labels import LabelColumn
from sparkwater.ml.columns.roles import RowColumns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.gpu.tasks import Task


@dataclass(frozen=True)
class RowCount(LabelColumn):
    """The number of rows, which have no labels."""

    def kept(self, before: Task, source: str) -> RowCount:
        """Return the same: a network that goes on keeps nothing of labels."""
        del before, source
        return self


def count_rows(parts: Sequence[tuple[DataFrame, RowColumns]]) -> RowCount:
    """Count the rows; a Spark job for each DataFrame, which reads no column.

    Raises
    ------
    DataError
        If there are no rows.
    """
    rows = sum(frame.count() for frame, _ in parts)
    if not rows:
        raise DataError("the DataFrame has no rows to train on")
    return RowCount(rows)
