"""Statistics of a DataFrame's columns: one Spark job of sketches, another of counts between values.

Driver side. Rows are measured on the executors; statistics alone are collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import functions as F

from sparkwater.conversions.sessions.jobs import run_job
from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.conversions.tables.statistics.levels import FrequentLevels
from sparkwater.conversions.tables.statistics.parts import (
    Sketches,
    Spreads,
    merge_sketches,
    merge_spreads,
    read_sketches,
    read_spreads,
    sketch_part,
    spread_part,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_FOUND = "column int, entry int, level string, rows bigint, statistics binary"
_KEY = ["column", "entry"]

_Run = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def find_sketches(
    given: DataFrame, columns: Sequence[InputColumn], sizes: Mapping[int, int], most: int, least: int
) -> tuple[Sketches, dict[int, FrequentLevels]]:
    """Return the sketches of numbers, and the frequent levels of categories; one Spark job.

    Parameters
    ----------
    given : pyspark.sql.DataFrame
        The columns by position, named ``c0``, ``c1`` and so on, as `sparkwater.conversions.tables.inputs.handed_over`
        gives them.
    columns : sequence of InputColumn
        What they hold.
    sizes : mapping of int to int
        The sample's size in the sketch of each column of numbers.
    most, least : int
        The most levels of a column, and the rows that each needs.
    """
    columns, sizes = tuple(columns), dict(sizes)

    def measure(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        task = TaskContext.get()
        assert task is not None  # on an executor
        return sketch_part(batches, columns, sizes, part=str(task.partitionId()))

    def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return merge_sketches(batches, most, least)

    parts = given.mapInArrow(measure, _FOUND)
    if any(column.role == "category" for column in columns):
        # Spark's aggregates spill: a column may have more levels than memory holds. Statistics pass as keys.
        parts = parts.groupBy("column", "entry", "level", "statistics").agg(F.sum("rows").alias("rows"))
        parts = parts.select("column", "entry", "level", "rows", "statistics")
    return read_sketches(_merged(parts, merge, len(columns)), columns)


def find_spreads(given: DataFrame, columns: Sequence[InputColumn], empty: Spreads) -> Spreads:
    """Return spreads of numbers with all rows in them; one Spark job, none where there is no spread.

    Parameters
    ----------
    given : pyspark.sql.DataFrame
        As for `find_sketches`.
    columns : sequence of InputColumn
        What they hold.
    empty : mapping of (int, int) to NumberSpread
        The spreads of no rows, by column and entry.
    """
    if not empty:
        return {}
    used = sorted({column for column, _ in empty})
    # Only these columns go to Python again.
    narrow = tuple(columns[column] for column in used)
    numbers = {column: number for number, column in enumerate(used)}
    renumbered = {(numbers[column], entry): spread for (column, entry), spread in empty.items()}

    def measure(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return spread_part(batches, narrow, renumbered)

    parts = given.select(*(f"c{column}" for column in used)).mapInArrow(measure, _FOUND)
    found = read_spreads(_merged(parts, merge_spreads, len(renumbered)), renumbered)
    return {(used[column], entry): spread for (column, entry), spread in found.items()}


def _merged(parts: DataFrame, merge: _Run, groups: int) -> pa.Table:
    """Run a job: statistics of parts are brought together by column and entry, and merged as they come."""
    slots = session_of(parts.sparkSession).default_parallelism
    return run_job(parts.repartition(max(1, min(slots, groups)), *_KEY).mapInArrow(merge, _FOUND).toArrow)
