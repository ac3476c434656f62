"""Statistics of a part of the rows, in Arrow batches, and their merging: what a fit runs on the executors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.conversions.tables.statistics.levels import PIECE_BYTES, PIECE_ROWS, FrequentLevels, LevelCounter
from sparkwater.conversions.tables.statistics.sketch import NumberSketch
from sparkwater.conversions.tables.statistics.spread import NumberSpread
from sparkwater.conversions.tables.statistics.vectors import VectorRows, VectorSketches, VectorSpreads

#: A row is a count of a level (null for missing ones), or the statistics of a column's entry as bytes. Beside those
#: of a part, ``level`` is the part's own name: equal ones of two parts must not be taken for one.
FOUND = pa.schema(
    [
        ("column", pa.int32()),
        ("entry", pa.int32()),
        ("level", pa.string()),
        ("rows", pa.int64()),
        ("statistics", pa.binary()),
    ]
)

Batches = Iterable[pa.RecordBatch]

#: Bytes of rows that are measured together.
MOST_BYTES = 16 * 1024 * 1024

#: A column's position, and the entry in it.
Place = tuple[int, int]

#: The place of the sketch that counts all rows.
ROWS: Place = (-1, 0)

Sketches = dict[Place, NumberSketch]
Spreads = dict[Place, NumberSpread]


def sketch_part(
    batches: Batches, columns: Sequence[InputColumn], sizes: Mapping[int, int], part: str
) -> Iterator[pa.RecordBatch]:
    """Yield sketches of numbers, and counts of levels, of a part of the rows.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        The columns by position.
    columns : sequence of InputColumn
        What they hold.
    sizes : mapping of int to int
        The sample's size in the sketch of each column of numbers.
    part : str
        A name that no other part has.
    """
    levels = LevelCounter()
    sketches: Sketches = {}
    vectors = {
        position: VectorSketches(column.size, sizes[position])
        for position, column in enumerate(columns)
        if column.role == "vector"
    }
    for batch in bounded(batches):
        sketches[ROWS] = sketches.get(ROWS, NumberSketch.empty(1)).plus(np.zeros(batch.num_rows))
        for position, column in enumerate(columns):
            array = batch.column(position)
            if column.role == "category":
                for counts in levels.add(position, array):
                    yield from _counted(counts)
                continue
            if position in vectors:
                vectors[position].add(VectorRows.of(array, column.size))
                continue
            for entry, numbers in enumerate(column.numbers(array).T):
                before = sketches.get((position, entry)) or NumberSketch.empty(sizes[position])
                sketches[position, entry] = before.plus(numbers)
    for counts in levels.rest():
        yield from _counted(counts)
    for position, found in vectors.items() if ROWS in sketches else ():
        sketches.update({(position, entry): sketch for entry, sketch in found.sketches()})
    yield from _as_bytes({place: sketch.to_bytes() for place, sketch in sketches.items()}, part)


def merge_sketches(batches: Batches, most: int, least: int) -> Iterator[pa.RecordBatch]:
    """Yield the merged sketch of each column's entry, the frequent levels of each column, and their totals.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        `FOUND` of all parts; each level of a column once, with all its rows.
    most, least : int
        The most levels of a column, and the rows that each needs.
    """
    sketches: Sketches = {}
    levels: dict[int, FrequentLevels] = {}
    for some in _gathered(batches):
        for place, content in _statistics(some):
            sketch = NumberSketch.from_bytes(content)
            sketches[place] = sketches[place].merged(sketch) if place in sketches else sketch
        for column, counts in _by_column(some):
            levels.setdefault(column, FrequentLevels(most, least)).add(counts)
    for column, found in levels.items():
        top = found.top()
        numbers = pa.array(np.full(len(top), column, np.int32))
        yield from _counted(pa.table({"column": numbers, "level": top["level"], "rows": top["rows"]}))
        totals = np.array([found.present, found.missing, found.different], np.int64).tobytes()
        yield from _as_bytes({(column, 0): totals})
    yield from _as_bytes({place: sketch.to_bytes() for place, sketch in sketches.items()})


def read_sketches(found: pa.Table, columns: Sequence[InputColumn]) -> tuple[Sketches, dict[int, FrequentLevels]]:
    """Return the sketches and frequent levels that `merge_sketches` yielded."""
    sketches: Sketches = {}
    levels: dict[int, FrequentLevels] = {}
    kept = dict(_by_column(found))
    for (column, entry), content in _statistics(found):
        if column >= 0 and columns[column].role == "category":
            present, missing, different = np.frombuffer(content, np.int64).tolist()
            levels[column] = FrequentLevels.of(present, missing, different, kept.get(column, found.slice(0, 0)))
        else:
            sketches[column, entry] = NumberSketch.from_bytes(content)
    return sketches, levels


def spread_part(
    batches: Batches, columns: Sequence[InputColumn], empty: Mapping[Place, NumberSpread]
) -> Iterator[pa.RecordBatch]:
    """Yield ranks and moments of a part of the rows.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        The columns by position.
    columns : sequence of InputColumn
        What they hold.
    empty : mapping of (int, int) to NumberSpread
        The spreads of no rows, by column and entry.
    """
    spreads = dict(empty)
    vectors = {
        position: VectorSpreads(
            {entry: empty[place, entry] for place, entry in empty if place == position}, column.size
        )
        for position, column in enumerate(columns)
        if column.role == "vector"
    }
    for batch in bounded(batches):
        for position, column in enumerate(columns):
            if position in vectors:
                vectors[position].add(VectorRows.of(batch.column(position), column.size))
                continue
            for entry, numbers in enumerate(column.numbers(batch.column(position)).T):
                if (position, entry) in spreads:
                    spreads[position, entry] = spreads[position, entry].plus(numbers)
    for position, found in vectors.items():
        spreads.update({(position, entry): spread for entry, spread in found.spreads()})
    yield from _as_bytes({place: spread.to_bytes() for place, spread in spreads.items() if spread.rows})


def merge_spreads(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the merged counts and sums of each column's entry."""
    merged: dict[Place, bytes] = {}
    for batch in batches:
        for place, content in _statistics(pa.Table.from_batches([batch])):
            merged[place] = NumberSpread.sum_bytes(merged[place], content) if place in merged else content
    yield from _as_bytes(merged)


def read_spreads(found: pa.Table, empty: Mapping[Place, NumberSpread]) -> Spreads:
    """Return the spreads that `merge_spreads` yielded."""
    spreads = dict(empty)
    for place, content in _statistics(found):
        spreads[place] = spreads[place].from_bytes(content)
    return spreads


def bounded(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield batches in pieces of about `MOST_BYTES`, or of one row: what is made of them takes a few times as much."""
    for batch in batches:
        pieces = max(1, math.ceil(batch.nbytes / MOST_BYTES))
        rows = max(1, math.ceil(batch.num_rows / pieces))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _gathered(batches: Batches) -> Iterator[pa.Table]:
    """Yield batches together, `PIECE_ROWS` rows at a time: each table is taken apart by column."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > PIECE_ROWS or size > PIECE_BYTES:
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def _statistics(found: pa.Table) -> Iterator[tuple[Place, bytes]]:
    """Yield the statistics in `FOUND`."""
    given = found.filter(pc.is_valid(found["statistics"]))
    for batch in given.to_batches():
        places = zip(batch.column("column").to_pylist(), batch.column("entry").to_pylist(), strict=True)
        for place, content in zip(places, batch.column("statistics"), strict=True):
            yield place, content.as_py()


def _by_column(found: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Yield the counts of levels in `FOUND`, column by column."""
    counts = found.filter(pc.is_null(found["statistics"])).sort_by("column")
    columns, starts = np.unique(counts["column"].to_numpy(), return_index=True)
    for column, start, stop in zip(columns.tolist(), starts, np.append(starts, len(counts))[1:], strict=True):
        yield column, counts.slice(start, stop - start)


def _counted(counts: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield counts of levels as `FOUND`."""
    zeros, nulls = pa.array(np.zeros(len(counts), np.int32)), pa.nulls(len(counts), pa.binary())
    arrays = [counts["column"], zeros, counts["level"], counts["rows"], nulls]
    yield from pa.Table.from_arrays(arrays, schema=FOUND).to_batches()


def _as_bytes(statistics: Mapping[Place, bytes], part: str | None = None) -> Iterator[pa.RecordBatch]:
    """Yield statistics as `FOUND`, a few at a time."""
    places = list(statistics)
    for start in range(0, len(places), 256):
        some = places[start : start + 256]
        arrays = [
            pa.array([column for column, _ in some], pa.int32()),
            pa.array([entry for _, entry in some], pa.int32()),
            pa.array([part] * len(some), pa.string()),
            pa.nulls(len(some), pa.int64()),
            pa.array([statistics[place] for place in some], pa.binary()),
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=FOUND)
