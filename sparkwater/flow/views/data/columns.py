"""Columns of a DataFrame at a glance: counts, bounds, moments, distinct values, a histogram.

Driver side; two Spark jobs for any number of columns. Counts, samples of numbers and the most frequent levels come to
the driver: they are as many for any number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.tables.inputs import form_of, handed_over
from sparkwater.conversions.tables.measuring import find_sketches, find_spreads
from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.conversions.tables.statistics.levels import FrequentLevels
from sparkwater.conversions.tables.statistics.parts import ROWS
from sparkwater.conversions.tables.statistics.sketch import NumberSketch, hashes
from sparkwater.conversions.tables.statistics.spread import NumberSpread
from sparkwater.flow.views.data.bins import Bar, Bins, calendar_bins, number_bins, time_text, zeros_of
from sparkwater.flow.views.data.types import kind_of, type_words
from sparkwater.flow.views.numbers import number_text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Most frequent levels of a category that are shown.
LEVELS = 10

#: Values in the sample of a number, by which different ones are estimated.
_SAMPLE = 1_024

#: Tasks of a job at most: several for each slot, so that all end at about the same time.
_TASKS_A_SLOT = 4

#: Longer texts are counted by their beginning and their hash: none of them travels whole.
_TEXT = 200

#: The number that stands for a value of these kinds, and its name.
_SIZES = {"bytes": "size in bytes", "vector": "length", "list": "length", "map": "entries"}


@dataclass(frozen=True)
class ColumnView:
    """Facts on a column.

    Attributes
    ----------
    name, type, kind : str
        Name, type in plain words, and kind as `sparkwater.flow.views.data.types.kind_of` names it.
    missing : int
        Rows without a value: null, or NaN.
    infinite : int
        Rows with an infinite number, which the other facts leave out.
    zeros : int or None
        Rows that are zero; None of what is no number.
    minimum, maximum, mean, deviation : str or None
        Of numbers, dates and sizes, as text. The deviation of dates and times is in days.
    distinct : int or None
        Different values; None where they aren't counted.
    exact : bool
        Whether ``distinct`` is exact; else it is estimated, with a standard error of 3 %.
    measured : str
        Name of the number that the facts are of, where a value is none: ``size in bytes``, ``length``, ``entries``.
    bars : tuple of Bar
        Histogram; of categories the most frequent levels.
    others : int
        Rows of categories with a level that has no bar.
    """

    name: str
    type: str
    kind: str
    missing: int = 0
    infinite: int = 0
    zeros: int | None = None
    minimum: str | None = None
    maximum: str | None = None
    mean: str | None = None
    deviation: str | None = None
    distinct: int | None = None
    exact: bool = True
    measured: str = ""
    bars: tuple[Bar, ...] = ()
    others: int = 0

    @property
    def distinct_text(self) -> str:
        """The number of different values, with "about" where it is estimated."""
        if self.distinct is None:
            return ""
        return f"{self.distinct:,}" if self.exact else f"about {self.distinct:,}"

    @property
    def alt(self) -> str:
        """The histogram in words."""
        if not self.bars:
            return f"{self.name}: no histogram"
        most = max(self.bars, key=lambda bar: bar.rows)
        what = "levels" if self.kind == "category" else "bins"
        return f"{self.name}: {len(self.bars)} {what}; most rows, {most.rows:,}, at {most.label}"


@dataclass(frozen=True)
class FrameView:
    """Facts on columns of a DataFrame.

    Attributes
    ----------
    rows : int
        Rows.
    columns : tuple of ColumnView
        The columns that were asked for, in this order.
    """

    rows: int
    columns: tuple[ColumnView, ...]


def describe_columns(frame: DataFrame, places: Sequence[int] | None = None, levels: int = LEVELS) -> FrameView:
    """Return facts on columns; two Spark jobs, which read these columns alone.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Rows with columns of any types. Names may hold dots, or be there twice.
    places : sequence of int, optional
        Positions of the columns; by default all.
    levels : int
        Most frequent levels of a category that get a bar.
    """
    places = range(len(frame.columns)) if places is None else places
    fields = [frame.schema.fields[place] for place in places]
    zone = frame.sparkSession.conf.get("spark.sql.session.timeZone") or "UTC"
    # A folder of small files has a partition for every thirty of them, and each of them its own cost.
    tasks = _TASKS_A_SLOT * session_of(frame.sparkSession).default_parallelism
    plain = frame.toDF(*(f"c{place}" for place in range(len(frame.columns)))).coalesce(tasks)
    given = plain.select(
        *(
            _number(f"c{place}", field, zone).alias(f"c{at}")
            for at, (place, field) in enumerate(zip(places, fields, strict=True))
        )
    )
    columns = [_input(field) for field in fields]
    sketches, found = find_sketches(given, columns, dict.fromkeys(range(len(fields)), _SAMPLE), levels, 1)
    if ROWS not in sketches:
        return FrameView(0, tuple(ColumnView(field.name, type_words(field), kind_of(field)) for field in fields))
    bins = {
        place: _bins(field, sketches[place, 0])
        for place, field in enumerate(fields)
        if (place, 0) in sketches and sketches[place, 0].low < sketches[place, 0].high and _is_shown(field)
    }
    empty = {(at, 0): some.spread(sketches[at, 0].low, sketches[at, 0].high) for at, some in bins.items()}
    spreads = find_spreads(given, columns, empty)
    views = [
        _category_view(field, found[at])
        if at in found
        else _number_view(field, sketches[at, 0], bins.get(at), spreads.get((at, 0)))
        for at, field in enumerate(fields)
    ]
    return FrameView(sketches[ROWS].finite, tuple(views))


def _input(field: T.StructField) -> InputColumn:
    role = "category" if kind_of(field) == "category" else "number"
    return InputColumn(field.name, field.dataType.simpleString(), role, form="fraction", asked=True, size=1)


def _is_shown(field: T.StructField) -> bool:
    return kind_of(field) in ("number", "time", *_SIZES)


def _number(name: str, field: T.StructField, zone: str) -> Column:
    """Return the double, or for categories the text, that stands for a column's values."""
    column, kind, form = F.col(name), kind_of(field), form_of(field)
    if kind in ("number", "time") and form is not None:
        return handed_over(name, form, kind, zone)
    if kind == "category":
        text = column.cast("string")
        long = F.concat(F.substring(text, 1, _TEXT), F.lit("… "), F.hex(F.xxhash64(text)))
        return F.when(F.length(text) > _TEXT, long).otherwise(text)
    if kind == "vector":
        stored = F.unwrap_udt(column)
        size = F.when(stored["type"] == 1, F.size(stored["values"])).otherwise(stored["size"])
    elif kind == "bytes":
        size = F.octet_length(column)
    else:
        size = F.size(column) if kind in ("list", "map") else F.lit(1)
    return F.when(column.isNotNull(), size.cast("double"))


def _bins(field: T.StructField, sketch: NumberSketch) -> Bins:
    if kind_of(field) == "time":
        return calendar_bins(sketch.low, sketch.high)
    whole = form_of(field) == "whole" or kind_of(field) in _SIZES
    return number_bins(sketch.low, sketch.high, whole=whole)


def _category_view(field: T.StructField, found: FrequentLevels) -> ColumnView:
    top = found.top()
    bars = tuple(Bar(str(row["level"]), row["rows"]) for row in top.to_pylist())
    return ColumnView(
        name=field.name,
        type=type_words(field),
        kind="category",
        missing=found.missing,
        distinct=found.different,
        bars=bars,
        others=found.present - sum(bar.rows for bar in bars),
    )


def _number_view(
    field: T.StructField, sketch: NumberSketch, bins: Bins | None, spread: NumberSpread | None
) -> ColumnView:
    kind = kind_of(field)
    view = ColumnView(
        field.name,
        type_words(field),
        kind,
        missing=sketch.missing,
        infinite=sketch.infinite,
        zeros=_zeros(kind, sketch),
    )
    if not _is_shown(field) or not sketch.finite:
        return view
    is_time, clock = kind == "time", form_of(field) != "date"

    def text(value: float) -> str:
        return time_text(value, clock=clock) if is_time else number_text(value)

    varies = bins is not None and spread is not None
    mean, deviation = (spread.mean, spread.deviation) if spread is not None else (sketch.low, 0.0)
    distinct, exact = distinct_values(sketch)
    bars = bins.bars(spread) if bins is not None and spread is not None else (Bar(text(sketch.low), sketch.finite),)
    return ColumnView(
        name=field.name,
        type=view.type,
        kind=kind,
        missing=sketch.missing,
        infinite=sketch.infinite,
        zeros=zeros_of(spread) if varies and kind == "number" and spread is not None else view.zeros,
        minimum=text(sketch.low),
        maximum=text(sketch.high),
        mean=text(mean),
        deviation=f"{deviation / 86_400:.4g} days" if is_time else number_text(deviation),
        distinct=distinct,
        exact=exact,
        measured=_SIZES.get(kind, ""),
        bars=bars,
    )


def _zeros(kind: str, sketch: NumberSketch) -> int | None:
    """Return the zeros of a number that never varies."""
    return (sketch.finite if sketch.low == 0.0 else 0) if kind == "number" else None


def distinct_values(sketch: NumberSketch) -> tuple[int, bool]:
    """Return the number of different finite values, and whether it is exact.

    Source of the estimate: Bar-Yossef et al. 2002, by the largest of the smallest hashes; its standard error is
    one by the root of the sample's size.
    """
    if sketch.is_whole:
        return len(sketch.values), True
    share = (float(hashes(sketch.values[-1:])[0]) + 1.0) / 2.0**64
    return round((len(sketch.values) - 1) / share), False
