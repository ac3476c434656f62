"""Fitting of a table's encoder: two Spark jobs of aggregates, or three, of which statistics alone are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import functions as F

from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.tables.encoding.encoder import TableEncoder
from sparkwater.conversions.tables.inputs import handed_over
from sparkwater.conversions.tables.statistics.choices import (
    Fitted,
    NumberStatistics,
    fit_category,
    fit_number,
    fit_tensor,
    fit_time,
    fit_vector,
    looks_like_identifier,
)
from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.conversions.tables.statistics.levels import FrequentLevels
from sparkwater.conversions.tables.statistics.parts import (
    ROWS,
    Sketches,
    Spreads,
    merge_sketches,
    merge_spreads,
    read_sketches,
    read_spreads,
    sketch_part,
    spread_part,
)
from sparkwater.conversions.tables.statistics.report import TableReport
from sparkwater.conversions.tables.statistics.settings import TableSettings
from sparkwater.conversions.tables.statistics.sketch import NumberSketch
from sparkwater.conversions.tables.statistics.spread import NumberSpread
from sparkwater.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_FOUND = "column int, entry int, level string, rows bigint, statistics binary"
_KEY = ["column", "entry"]

#: Values in the samples of all numbers together, in the memory of each task; of one number; and of one whose
#: quantiles nobody needs: an origin for sums, and for whole numbers a look at whether all differ.
_ALL_VALUES, _MOST_VALUES, _WHOLE_VALUES, _FEW_VALUES = 2_000_000, 4_096, 1_024, 16

_Run = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def fit_table(
    frame: DataFrame, columns: Sequence[InputColumn], settings: TableSettings
) -> tuple[TableEncoder, TableReport]:
    """Return the fitted encoder, and what became of each column.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The training rows.
    columns : sequence of InputColumn
        The columns.
    settings : TableSettings
        The settings.

    Raises
    ------
    DataError
        If there are no rows, or every column is left out.
    """
    given = frame.select(*(_handed_over(place, column, settings) for place, column in enumerate(columns)))
    sketches, levels = _find_sketches(given, columns, settings)
    if ROWS not in sketches:
        raise DataError("the DataFrame has no rows to fit on")
    spreads, repeated = _find_spreads(given, columns, sketches), _find_repeated(given, columns, sketches)
    found = _Found(sketches, spreads, levels, repeated)
    fitted = [_fit(place, column, found, settings) for place, column in enumerate(columns)]
    report = TableReport(sketches[ROWS].finite, tuple(facts for _, facts in fitted))
    kept = tuple(column for column, _ in fitted if column is not None)
    if not kept:
        raise DataError(f"every column is left out: {report.reasons()}")
    return TableEncoder(kept), report


def _handed_over(place: int, column: InputColumn, settings: TableSettings) -> Column:
    # Nothing is measured of tensors.
    is_tensor = column.role == "tensor"
    given = F.lit(None) if is_tensor else handed_over(column.name, column.form, column.role, settings.zone)
    return given.alias(f"c{place}")


def _find_sketches(
    given: DataFrame, columns: Sequence[InputColumn], settings: TableSettings
) -> tuple[Sketches, dict[int, FrequentLevels]]:
    columns, sizes = tuple(columns), _sample_sizes(columns, settings)
    most, least = settings.max_levels, settings.min_level_rows

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


def _find_spreads(given: DataFrame, columns: Sequence[InputColumn], sketches: Sketches) -> Spreads:
    columns = tuple(columns)
    empty = {
        place: NumberSpread.around(sketch)
        for place, sketch in sketches.items()
        if place != ROWS and sketch.low < sketch.high
    }
    if not empty:
        return {}
    used = sorted({column for column, _ in empty})
    # Only these columns go to Python again.
    narrow = tuple(columns[column] for column in used)
    renumbered = {(used.index(column), entry): spread for (column, entry), spread in empty.items()}

    def measure(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return spread_part(batches, narrow, renumbered)

    parts = given.select(*(f"c{column}" for column in used)).mapInArrow(measure, _FOUND)
    found = read_spreads(_merged(parts, merge_spreads, len(renumbered)), renumbered)
    return {(used[column], entry): spread for (column, entry), spread in found.items()}


def _find_repeated(given: DataFrame, columns: Sequence[InputColumn], sketches: Sketches) -> set[int]:
    """Return the columns of which two rows have the same, of those that samples take for identifiers; a job at most."""
    asked = [
        place
        for place, column in enumerate(columns)
        if column.role == "number"
        and looks_like_identifier(column, sketches[place, 0])
        and not sketches[place, 0].is_whole
    ]
    if not asked:
        return set()
    # One aggregate of all columns' values, which spills: there are as many as rows.
    values = given.select(F.posexplode(F.array(*(f"c{place}" for place in asked))).alias("number", "value"))
    counts = values.where("value is not null and not isnan(value)").groupBy("number", "value").count()
    found = counts.where("count > 1").select("number").distinct().collect()
    return {asked[row["number"]] for row in found}


def _merged(parts: DataFrame, merge: _Run, groups: int) -> pa.Table:
    """Run a job: statistics of parts are brought together by column and entry, and merged as they come."""
    slots = session_of(parts.sparkSession).default_parallelism
    return parts.repartition(max(1, min(slots, groups)), *_KEY).mapInArrow(merge, _FOUND).toArrow()


def _sample_sizes(columns: Sequence[InputColumn], settings: TableSettings) -> dict[int, int]:
    """Return the size of each column's samples, which only the settings and the columns decide on."""
    asks_quantiles = settings.scaling != "standard" or settings.imputation == "median"
    entries = sum(column.size for column in columns)
    share = max(_FEW_VALUES, min(_MOST_VALUES, _ALL_VALUES // max(1, entries)))
    found = {}
    for place, column in enumerate(columns):
        least = min(share, _WHOLE_VALUES) if column.may_identify else _FEW_VALUES
        scaled = column.role != "vector" or settings.scale_vectors
        found[place] = share if asks_quantiles and scaled else least
    return found


@dataclass(frozen=True)
class _Found:
    """Statistics of all columns."""

    sketches: Sketches
    spreads: Spreads
    levels: dict[int, FrequentLevels]
    repeated: set[int]

    def numbers(self, place: int, entry: int) -> NumberStatistics:
        """Return the statistics of a number."""
        spread = self.spreads.get((place, entry)) or NumberSpread.around(NumberSketch.empty(1))
        return NumberStatistics(self.sketches[place, entry], spread, place in self.repeated)


def _fit(place: int, column: InputColumn, found: _Found, settings: TableSettings) -> Fitted:
    if column.role == "tensor":
        return fit_tensor(column)
    if column.role == "category":
        return fit_category(column, found.levels[place], settings)
    numbers = [found.numbers(place, entry) for entry in range(column.size)]
    if column.role == "number":
        return fit_number(column, numbers[0], settings)
    return fit_time(column, numbers, settings) if column.role == "time" else fit_vector(column, numbers, settings)
