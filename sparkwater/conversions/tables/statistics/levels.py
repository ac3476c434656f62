"""Counts of categories: of a part's rows in pieces of bounded size, and the most frequent ones of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.conversions.tables.encoding.categories import as_text

#: A part's counts go on when there are so many of them, or so many bytes: memory stays bounded.
PIECE_ROWS, PIECE_BYTES = 1_000_000, 64 * 1024 * 1024

#: Counts of categories: column, category (null for a missing one), rows.
COUNTS = pa.schema([("column", pa.int32()), ("level", pa.string()), ("rows", pa.int64())])


class LevelCounter:
    """Counts of the categories of several columns in a part of the rows."""

    def __init__(self) -> None:
        self._pieces: list[pa.Table] = []
        self._rows = self._bytes = 0

    def add(self, column: int, array: pa.Array) -> Iterator[pa.Table]:
        """Count the categories of more rows of a column; yield `COUNTS` that had to go."""
        found = pc.value_counts(as_text(array))
        numbers = pa.array(np.full(len(found), column, np.int32))
        piece = pa.Table.from_arrays([numbers, found.field(0), found.field(1)], schema=COUNTS)
        self._pieces.append(piece)
        self._rows += piece.num_rows
        self._bytes += piece.nbytes
        if self._rows > PIECE_ROWS or self._bytes > PIECE_BYTES:
            self._compact()
            if self._rows > PIECE_ROWS // 2 or self._bytes > PIECE_BYTES // 2:
                yield from self.rest()

    def rest(self) -> Iterator[pa.Table]:
        """Yield the counts that are held."""
        self._compact()
        yield from self._pieces
        self.__init__()  # type: ignore[misc]

    def _compact(self) -> None:
        if not self._pieces:
            return
        whole = pa.concat_tables(self._pieces).group_by(["column", "level"]).aggregate([("rows", "sum")])
        whole = whole.rename_columns(["rows" if name == "rows_sum" else name for name in whole.column_names]).select(
            COUNTS.names
        )
        self._pieces, self._rows, self._bytes = [whole], whole.num_rows, whole.nbytes


@dataclass
class FrequentLevels:
    """The most frequent categories of a column, of counts that name each category once.

    Attributes
    ----------
    most : int
        Categories to keep.
    least : int
        Rows that a category needs.
    present, missing : int
        Rows with a category, and without.
    different : int
        All categories.
    """

    most: int
    least: int
    present: int = 0
    missing: int = 0
    different: int = 0

    def __post_init__(self) -> None:
        self._kept = pa.table({"level": pa.array([], pa.string()), "rows": pa.array([], pa.int64())})

    def add(self, counts: pa.Table) -> None:
        """Take counts of categories of the column: ``level``, ``rows``."""
        missing = counts.filter(pc.is_null(counts["level"]))
        given = counts.filter(pc.is_valid(counts["level"]))
        self.missing += pc.sum(missing["rows"]).as_py() or 0
        self.present += pc.sum(given["rows"]).as_py() or 0
        self.different += given.num_rows
        frequent = given.filter(pc.greater_equal(given["rows"], self.least)).select(["level", "rows"])
        self._kept = pa.concat_tables([self._kept, frequent])
        if self._kept.num_rows > 4 * self.most:
            self._kept = self.top()

    def top(self) -> pa.Table:
        """Return the most frequent categories, ``level`` and ``rows``; of equally frequent ones the first by text."""
        order = pc.sort_indices(self._kept, sort_keys=[("rows", "descending"), ("level", "ascending")])
        return self._kept.take(order[: self.most]).combine_chunks()

    @classmethod
    def of(cls, present: int, missing: int, different: int, kept: pa.Table) -> FrequentLevels:
        """Return the finished counts of a column, of which the frequent categories are known."""
        found = cls(max(1, kept.num_rows), 1, present, missing, different)
        found._kept = kept.select(["level", "rows"])
        return found
