"""Fitting of a table's encoder: two Spark jobs of aggregates, or three, of which statistics alone are collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.conversions.tables.encoding.encoder import TableEncoder
from sparkwater.conversions.tables.inputs import handed_over
from sparkwater.conversions.tables.measuring import find_sketches, find_spreads
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
from sparkwater.conversions.tables.statistics.parts import ROWS, Sketches, Spreads
from sparkwater.conversions.tables.statistics.report import TableReport
from sparkwater.conversions.tables.statistics.settings import TableSettings
from sparkwater.conversions.tables.statistics.sketch import NumberSketch
from sparkwater.conversions.tables.statistics.spread import NumberSpread
from sparkwater.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Values in the samples of all numbers together, in the memory of each task; of one number; and of one whose
#: quantiles nobody needs: an origin for sums, and for whole numbers a look at whether all differ.
_ALL_VALUES, _MOST_VALUES, _WHOLE_VALUES, _FEW_VALUES = 2_000_000, 4_096, 1_024, 16


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
    sizes = _sample_sizes(columns, settings)
    sketches, levels = find_sketches(given, columns, sizes, settings.max_levels, settings.min_level_rows)
    if ROWS not in sketches:
        raise DataError("the DataFrame has no rows to fit on")
    spreads = find_spreads(given, columns, _no_rows(sketches))
    repeated = _find_repeated(given, columns, sketches)
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


def _no_rows(sketches: Sketches) -> Spreads:
    """Return the spreads of no rows of the numbers that vary."""
    return {
        place: NumberSpread.around(sketch)
        for place, sketch in sketches.items()
        if place != ROWS and sketch.low < sketch.high
    }


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
