"""Plain values that pages show: tables, curves and confusion matrices, each with a text alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkwater.plots.drawing.palette import listed, number

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
class Curves:
    """Lines of one measure by epoch.

    Attributes
    ----------
    title : str
        The measure.
    lines : mapping of str to tuple of float or None
        A value an epoch, by the name of the rows or the learner.
    best : int or None
        The epoch, from 0, whose weights the model has.
    epochs : tuple of int
        The epochs of the values, counted from 1, where they aren't all.
    """

    title: str
    lines: Mapping[str, tuple[float | None, ...]]
    best: int | None = None
    epochs: tuple[int, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The epochs of the values, counted from 1."""
        most = max((len(values) for values in self.lines.values()), default=0)
        return self.epochs or tuple(range(1, most + 1))

    @property
    def alt(self) -> str:
        """First, last and lowest value of each line in words."""
        parts = []
        for name, values in self.lines.items():
            known = [(value, place) for place, value in zip(self.numbers, values, strict=False) if value is not None]
            if known:
                low, place = min(known)
                parts.append(
                    f"{name}: {number(known[0][0])} in epoch {known[0][1]}, {number(known[-1][0])} in epoch "
                    f"{known[-1][1]}, lowest {number(low)} in epoch {place}"
                )
        return f"{self.title} by epoch. {listed(parts)}"


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
        parts = [f"{actual} taken for {predicted}, {number(count)} times" for count, actual, predicted in mistaken]
        said = f"Mistaken most: {listed(parts, 3)}." if parts else "None is mistaken."
        return f"Confusion matrix of {len(self.labels)} classes, {self.rows}: {self.words}. {said}"

    @property
    def words(self) -> str:
        """Right rows of all rows."""
        return f"{number_of(self.right)} of {number_of(self.total)} right ({share(self.right, self.total)})"


def number_of(count: float) -> str:
    """Return a number of rows."""
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.2f}"


def share(part: float, whole: float) -> str:
    """Return a part as a percentage."""
    return f"{part / whole:.1%}" if whole else "none"


def cell(value: Value) -> str:
    """Return a value of a table as text."""
    if value is None:
        return ""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return number_of(value)
        return f"{value:,.1f}" if 1_000 <= abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> Table:
    """Return a table of any sequences."""
    return Table(title, tuple(columns), tuple(map(tuple, rows)))
