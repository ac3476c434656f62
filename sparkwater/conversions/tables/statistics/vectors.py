"""Statistics of all entries of a column of vectors at once, by the numbers that are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkwater.conversions.tables.encoding.numbers import read_vectors
from sparkwater.conversions.tables.statistics.sketch import Counts, Floats, NumberSketch, hashes
from sparkwater.conversions.tables.statistics.spread import NumberSpread
from sparkwater.conversions.tensors.vectors import is_vectors, stored_numbers

_HIGHEST_HASH = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class VectorRows:
    """Numbers of vectors of one length; those that aren't stored are 0.

    Attributes
    ----------
    size : int
        Entries of a vector.
    rows, missing : int
        Rows with such a vector, and without.
    entries, values : numpy.ndarray of int64 and of float64
        The entry of each number that is stored, and the number.
    """

    size: int
    rows: int
    missing: int
    entries: Counts
    values: Floats

    @classmethod
    def of(cls, array: pa.Array, size: int) -> VectorRows:
        """Return the vectors of a length in an Arrow array of vectors, or of lists of numbers."""
        if is_vectors(array.type):
            stored = stored_numbers(array)
            usable = stored.lengths == size
            kept = usable[stored.rows]
            entries, values = stored.places[kept], stored.values[kept]
        else:
            found = read_vectors(array, size)
            usable, values = found.valid, found.values.reshape(-1).astype(np.float64, copy=False)
            entries = np.tile(np.arange(size), len(found.values))
        rows = int(usable.sum())
        return cls(size, rows, len(array) - rows, entries, values)

    def count(self, marked: npt.NDArray[np.bool_]) -> Counts:
        """Return how many of the marked numbers each entry has."""
        return np.bincount(self.entries[marked], minlength=self.size)

    @property
    def zeros(self) -> Counts:
        """Rows in which each entry isn't stored."""
        return np.asarray(self.rows - np.bincount(self.entries, minlength=self.size))

    def finite(self) -> tuple[Counts, Floats, Counts]:
        """Return finite numbers, 0 once an entry: their entries, the numbers, and the rows of each."""
        finite, zeros = np.isfinite(self.values), self.zeros
        unstored = np.flatnonzero(zeros)
        values = np.concatenate([self.values[finite] + 0.0, np.zeros(len(unstored))])
        counts = np.concatenate([np.ones(int(finite.sum()), np.int64), zeros[unstored]])
        return np.concatenate([self.entries[finite], unstored]), values, counts


class VectorSketches:
    """The `NumberSketch` of each entry of vectors.

    Parameters
    ----------
    entries : int
        Entries of a vector.
    size : int
        The most values in each sample.
    """

    def __init__(self, entries: int, size: int) -> None:
        self._size = size
        self._finite, self._missing, self._infinite = np.zeros((3, entries), np.int64)
        self._low, self._high = np.full(entries, np.inf), np.full(entries, -np.inf)
        # The samples, by entry and hash; above the limit of a full one nothing has a place any more.
        self._entries, self._counts = np.zeros((2, 0), np.int64)
        self._values = np.empty(0)
        self._limits = np.full(entries, _HIGHEST_HASH)

    def add(self, rows: VectorRows) -> None:
        """Add rows."""
        missing = np.isnan(rows.values)
        self._missing += rows.missing + rows.count(missing)
        self._infinite += rows.count(np.isinf(rows.values))
        entries, values, counts = rows.finite()
        np.add.at(self._finite, entries, counts)
        np.minimum.at(self._low, entries, values)
        np.maximum.at(self._high, entries, values)
        self._sample(entries, values, counts)

    def _sample(self, entries: Counts, values: Floats, counts: Counts) -> None:
        within = hashes(values) <= self._limits[entries]
        entries = np.concatenate([self._entries, entries[within]])
        values = np.concatenate([self._values, values[within]])
        counts = np.concatenate([self._counts, counts[within]])
        keys = hashes(values)
        order = np.lexsort((keys, entries))
        entries, values, keys = entries[order], values[order], keys[order]
        first = np.flatnonzero(_changes(entries) | _changes(keys))
        counts = np.add.reduceat(counts[order], first) if len(first) else counts
        entries, values, keys = entries[first], values[first], keys[first]
        starts = np.flatnonzero(_changes(entries))
        ranks = np.arange(len(entries)) - np.repeat(starts, np.diff(np.append(starts, len(entries))))
        kept, last = ranks < self._size, ranks == self._size - 1
        self._entries, self._values, self._counts = entries[kept], values[kept], counts[kept]
        self._limits[entries[last]] = keys[last]

    def sketches(self) -> Iterator[tuple[int, NumberSketch]]:
        """Yield the sketch of each entry."""
        bounds = np.searchsorted(self._entries, np.arange(len(self._finite) + 1))
        for entry, (start, stop) in enumerate(pairwise(bounds)):
            yield (
                entry,
                NumberSketch(
                    size=self._size,
                    finite=int(self._finite[entry]),
                    missing=int(self._missing[entry]),
                    infinite=int(self._infinite[entry]),
                    low=float(self._low[entry]),
                    high=float(self._high[entry]),
                    values=self._values[start:stop],
                    counts=self._counts[start:stop],
                ),
            )


class VectorSpreads:
    """The `NumberSpread` of entries of vectors.

    Parameters
    ----------
    spreads : mapping of int to NumberSpread
        Those of no rows, by entry; other entries aren't measured.
    entries : int
        Entries of a vector.
    """

    def __init__(self, spreads: Mapping[int, NumberSpread], entries: int) -> None:
        self._spreads = dict(spreads)
        own = list(self._spreads.values())
        self._number = np.full(entries, -1)
        self._number[list(self._spreads)] = np.arange(len(own))
        self._sizes = np.array([len(spread.edges) for spread in own], np.int64)
        self._edges = np.concatenate([*(spread.edges for spread in own), [np.nan]])
        self._edge_starts = np.cumsum(self._sizes) - self._sizes
        self._cell_starts = 2 * self._edge_starts + np.arange(len(own))
        self._origins = np.array([spread.origin for spread in own])
        self._units = np.array([spread.unit for spread in own])
        self._cells = np.zeros(2 * int(self._sizes.sum()) + len(own), np.int64)
        self._powers = np.zeros((3, len(own)))

    def add(self, rows: VectorRows) -> None:
        """Add rows."""
        entries, values, counts = rows.finite()
        numbers = self._number[entries]
        measured = numbers >= 0
        numbers, values, counts = numbers[measured], values[measured], counts[measured]
        places = self._places(numbers, values)
        at = self._edges[self._edge_starts[numbers] + places] == values
        at &= places < self._sizes[numbers]
        np.add.at(self._cells, self._cell_starts[numbers] + 2 * places + at, counts)
        apart = (values - self._origins[numbers]) / self._units[numbers]
        for power, sums in enumerate(self._powers, start=1):
            sums += np.bincount(numbers, weights=counts * apart**power, minlength=len(sums))

    def _places(self, numbers: Counts, values: Floats) -> Counts:
        """Return how many edges of its own spread each value is above, by halving."""
        low, high = np.zeros_like(numbers), self._sizes[numbers]
        for _ in range(int(self._sizes.max(initial=0)).bit_length()):
            middle = (low + high) // 2
            above = (self._edges[self._edge_starts[numbers] + middle] < values) & (low < high)
            low, high = np.where(above, middle + 1, low), np.where(above, high, middle)
        return low

    def spreads(self) -> Iterator[tuple[int, NumberSpread]]:
        """Yield the spread of each measured entry."""
        for number, (entry, spread) in enumerate(self._spreads.items()):
            start = self._cell_starts[number]
            cells = self._cells[start : start + 2 * self._sizes[number] + 1]
            yield entry, replace(spread, cells=cells, powers=self._powers[:, number])


def _changes(sorted_values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Return which values differ from the one before; the first one does."""
    return np.concatenate([np.ones(min(1, len(sorted_values)), bool), sorted_values[1:] != sorted_values[:-1]])
