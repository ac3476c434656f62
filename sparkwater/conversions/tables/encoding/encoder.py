"""`TableEncoder`: the fitted encoding of a table's columns as one tensor a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from sparkwater.conversions.tables.encoding.categories import CategoryColumn
from sparkwater.conversions.tables.encoding.column import FittedColumn
from sparkwater.conversions.tables.encoding.numbers import NumberColumn, TensorColumn, VectorColumn
from sparkwater.conversions.tables.encoding.time_column import TimeColumn
from sparkwater.conversions.tensors.arrow import TensorRows
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import SchemaError

_KINDS: dict[str, type[FittedColumn]] = {
    kind.kind: kind for kind in (NumberColumn, TimeColumn, VectorColumn, TensorColumn, CategoryColumn)
}


@dataclass(frozen=True)
class TableLayout:
    """The order of a row's entries: first the numbers, then an id for each column of categories.

    Attributes
    ----------
    numbers : int
        The first so many entries are numbers; flags are among them.
    categories : tuple of int
        The count of ids of each column after them. An id is a whole number from 0 up, below that count: 0 for a
        missing category, 1 for a rare or unseen one, 2 and up for known levels.
    """

    numbers: int
    categories: tuple[int, ...]

    @property
    def width(self) -> int:
        """All entries."""
        return self.numbers + len(self.categories)


@dataclass(frozen=True)
class TableEncoder:
    """The fitted columns of a table. A value without Spark: it encodes Arrow batches wherever they are.

    Attributes
    ----------
    columns : tuple of FittedColumn
        The columns in their order; at least one.
    """

    columns: tuple[FittedColumn, ...]

    @cached_property
    def layout(self) -> TableLayout:
        """The order of a row's entries."""
        numbers = sum(column.width for column in self.columns if not column.ids)
        return TableLayout(numbers, tuple(column.ids for column in self.columns if column.ids))

    @property
    def spec(self) -> TensorSpec:
        """The spec of a row's tensor: float32 of one dimension."""
        return TensorSpec("float32", (self.layout.width,))

    @cached_property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """The first entry of each column, by its name, and the one after its last."""
        found, number, place = {}, 0, self.layout.numbers
        for column in self.columns:
            if column.ids:
                found[column.name] = (place, place + 1)
                place += 1
            else:
                found[column.name] = (number, number + column.width)
                number += column.width
        return found

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of all entries, in order."""
        numbers = [name for column in self.columns if not column.ids for name in column.entries]
        return (*numbers, *(column.name for column in self.columns if column.ids))

    def encode(self, batch: pa.RecordBatch) -> TensorRows:
        """Return rows as tensors.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            The columns by name, in any order, and others. Numbers, booleans, strings, dates and timestamps come
            as Arrow's types for them, vectors as lists of numbers or as Spark's structs, tensors as binary.

        Returns
        -------
        TensorRows
            Values are float32 of shape ``(usable rows, layout.width)``.

        Raises
        ------
        SchemaError
            If a column isn't there, or holds something else than the training rows' one.
        """
        values = np.empty((batch.num_rows, self.layout.width), np.float32)
        problems: dict[int, str] = {}
        for column in self.columns:
            start, stop = self.bounds[column.name]
            for row, problem in _encode(column, batch, values[:, start:stop]).items():
                problems.setdefault(row, f"column {column.name!r}: {problem}")
        valid = np.ones(batch.num_rows, dtype=bool)
        valid[list(problems)] = False
        return TensorRows(values[valid] if problems else values, valid, problems)

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON's types."""
        return {"columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TableEncoder:
        """Return the encoder that `to_dict` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it isn't one.
        """
        return cls(tuple(_KINDS[column["kind"]].from_dict(column) for column in fields["columns"]))


def _encode(column: FittedColumn, batch: pa.RecordBatch, out: Any) -> dict[int, str]:
    if column.name not in batch.schema.names:
        raise SchemaError(f"there is no column {column.name!r}; the columns are {', '.join(batch.schema.names)}")
    try:
        return column.encode(batch.column(column.name), out)
    except SchemaError as error:
        raise SchemaError(f"column {column.name!r}, which was {column.type} in training: {error}") from error
