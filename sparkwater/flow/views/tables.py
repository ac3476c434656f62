"""Tables and confusion matrices as plain values, with text alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkwater.flow.views.numbers import count_text, counted, share
from sparkwater.plots.drawing.palette import listed

#: A value of a table.
Value = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Table of few rows.

    Attributes
    ----------
    title : str
        Its title.
    columns : tuple of str
        Names of the columns.
    rows : tuple of tuple of Value
        The rows.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True)
class Matrix:
    """Counts of rows by their class and the predicted one.

    Attributes
    ----------
    labels : tuple of str
        The classes.
    counts : tuple of tuple of float
        ``counts[i][j]`` rows of class ``i`` were predicted as class ``j``.
    rows : str
        The rows that were counted, in words.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]
    rows: str

    @property
    def total(self) -> float:
        """All rows."""
        return sum(map(sum, self.counts))

    @property
    def right(self) -> float:
        """Rows that were predicted as their own class."""
        return sum(self.counts[place][place] for place in range(len(self.labels)))

    @property
    def alt(self) -> str:
        """Share of right rows, and the classes that are mistaken most, in words."""
        mistaken = sorted(
            (
                (count, self.labels[actual], self.labels[predicted])
                for actual, row in enumerate(self.counts)
                for predicted, count in enumerate(row)
                if actual != predicted and count
            ),
            key=lambda one: (-one[0], one[1:]),
        )
        parts = [f"{actual} taken for {predicted}, {counted(count, 'time')}" for count, actual, predicted in mistaken]
        said = f"Mistaken most: {listed(parts, 3)}." if parts else "None is mistaken."
        return f"Confusion matrix of {len(self.labels)} classes, {self.rows}: {self.words}. {said}"

    @property
    def words(self) -> str:
        """Right rows of all rows."""
        return f"{count_text(self.right)} of {count_text(self.total)} right ({share(self.right, self.total)})"


def without_empty_columns(table: Table) -> Table:
    """Return a table without the columns in which no row has a value; all are there where there are no rows."""
    kept = [
        place
        for place in range(len(table.columns))
        if not table.rows or any(row[place] not in (None, "") for row in table.rows)
    ]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return Table(table.title, tuple(table.columns[place] for place in kept), rows)


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> Table:
    """Return a table of any sequences."""
    return Table(title, tuple(columns), tuple(map(tuple, rows)))
