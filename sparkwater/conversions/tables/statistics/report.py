"""`TableReport`: what became of each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Beyond this skew a number is called skewed in texts.
SKEWED = 2.0


@dataclass(frozen=True)
class ColumnReport:
    """Facts on a column of the training rows.

    Attributes
    ----------
    name, type, kind : str
        Name, Spark type, and kind of the fitted column.
    entries : int
        Entries in a row's tensor; 0 for a column that is left out.
    missing, infinite : int
        Rows without a value, and with an infinite number.
    levels : int or None
        Different categories, rare ones included.
    known : int or None
        Categories with an id or a flag of their own.
    rare : float or None
        Share of the rows with a category that is rare.
    skew : float or None
        Third standardised moment of a number.
    reason : str or None
        The reason why the column is left out.
    """

    name: str
    type: str
    kind: str
    entries: int = 0
    missing: int = 0
    infinite: int = 0
    levels: int | None = None
    known: int | None = None
    rare: float | None = None
    skew: float | None = None
    reason: str | None = None

    @property
    def remark(self) -> str:
        """The reason, or what is to be minded."""
        if self.reason:
            return f"left out: {self.reason}"
        notes = []
        if self.skew is not None and abs(self.skew) > SKEWED:
            notes.append(f"skewed ({self.skew:g})")
        if self.infinite:
            notes.append(f"{self.infinite} infinite")
        if self.rare:
            notes.append(f"{self.rare:.1%} of rows rare")
        return ", ".join(notes)


@dataclass(frozen=True)
class TableReport:
    """Facts on all columns, in their order.

    Attributes
    ----------
    rows : int
        Training rows.
    columns : tuple of ColumnReport
        The columns, those that are left out as well.
    """

    rows: int
    columns: tuple[ColumnReport, ...]

    @property
    def left_out(self) -> tuple[ColumnReport, ...]:
        """The columns that are left out."""
        return tuple(column for column in self.columns if column.reason)

    def reasons(self) -> str:
        """Return the names of the columns that are left out, with the reasons; of many the first ten."""
        found = self.left_out
        shown = "; ".join(f"{column.name!r}: {column.reason}" for column in found[:10])
        return f"{shown}; and {len(found) - 10} more" if len(found) > 10 else shown

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON's types."""
        return {"rows": self.rows, "columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TableReport:
        """Return the report that `to_dict` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it isn't one.
        """
        return cls(int(fields["rows"]), tuple(ColumnReport(**column) for column in fields["columns"]))

    def __str__(self) -> str:
        """Return a table of text, one line a column."""
        lines = [("column", "type", "kind", "entries", "missing", "levels", "remark")]
        for column in self.columns:
            levels = "" if column.levels is None else f"{column.levels:,}"
            lines.append(
                (
                    column.name,
                    column.type,
                    column.kind,
                    f"{column.entries:,}",
                    f"{column.missing:,}",
                    levels,
                    column.remark,
                )
            )
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )
